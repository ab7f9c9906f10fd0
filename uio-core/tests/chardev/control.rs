//! ioctl: what the kernel copies, what the driver answers.

use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::io::open;
use super::server::{Setup, is_cuse};

nix::ioctl_readwrite!(bump, b'U', 1, [u8; 8]);
nix::ioctl_write_int_bad!(echo_value, nix::request_code_none!(b'U', 2));
nix::ioctl_none!(unknown, b'U', 99);
nix::ioctl_read_bad!(fionread, 0x541B, libc::c_int);

fn data_goes_both_ways(setup: &Setup) {
    let server = setup.start();
    let file = open(&server.path);
    let mut data = [1, 2, 3, 4, 5, 6, 7, 8];
    // SAFETY: the pointer is to the eight bytes that the number says.
    assert_eq!(unsafe { bump(file.as_raw_fd(), &mut data) }, Ok(7), "the driver's result");
    assert_eq!(data, [2, 3, 4, 5, 6, 7, 8, 9]);
}

fn a_value_is_passed_as_it_is(setup: &Setup) {
    let server = setup.start();
    // SAFETY: the argument is a value, not a pointer.
    assert_eq!(unsafe { echo_value(open(&server.path).as_raw_fd(), 4711) }, Ok(4711));
}

#[test]
fn restricted_ioctls_copy_what_the_number_says() {
    data_goes_both_ways(&Setup::new());
    a_value_is_passed_as_it_is(&Setup::new());
}

#[test]
fn an_unknown_ioctl_is_enotty() {
    let server = Setup::new().start();
    let file = open(&server.path);
    // SAFETY: the number has no argument.
    assert_eq!(unsafe { unknown(file.as_raw_fd()) }, Err(Errno::ENOTTY));
    assert!(!std::io::IsTerminal::is_terminal(&file));
}

#[test]
fn unrestricted_ioctls_copy_what_the_driver_says() {
    if !is_cuse() {
        return;
    }
    let setup = Setup { unrestricted: true, ..Setup::new() };
    data_goes_both_ways(&setup);
    a_value_is_passed_as_it_is(&setup);
    let server = setup.start();
    let file = open(&server.path);
    std::io::Write::write_all(&mut &file, b"12345").unwrap();
    let mut count = -1;
    // SAFETY: FIONREAD writes one int.
    unsafe { fionread(file.as_raw_fd(), &mut count) }.unwrap();
    assert_eq!(count, 5);
}

#[test]
fn fionread_where_the_kernel_does_not_let_it_through() {
    let server = Setup::new().start();
    let file = open(&server.path);
    std::io::Write::write_all(&mut &file, b"12345").unwrap();
    let mut count = -1;
    // SAFETY: FIONREAD writes one int.
    let result = unsafe { fionread(file.as_raw_fd(), &mut count) };
    if is_cuse() {
        assert_eq!(result, Err(Errno::ENOTTY), "the number does not tell its size");
    } else {
        assert_eq!((result, count), (Ok(0), 0), "the kernel answers from the size of the file");
    }
}
