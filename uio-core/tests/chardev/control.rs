//! ioctl: what the kernel copies, what the driver answers.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::Task;
use super::io::{open, open_nonblocking, read_some};
use super::server::{Setup, is_cuse};

nix::ioctl_readwrite!(bump, b'U', 1, [u8; 8]);
nix::ioctl_write_int_bad!(echo_value, nix::request_code_none!(b'U', 2));
nix::ioctl_none!(drain_raw, b'U', 3);
nix::ioctl_none!(unknown, b'U', 99);
nix::ioctl_read_bad!(fionread, 0x541B, libc::c_int);

/// Waits until the device is empty; how often it looked.
pub(crate) fn drain(file: &File) -> Result<i32, Errno> {
    // SAFETY: the number has no argument.
    unsafe { drain_raw(file.as_raw_fd()) }
}

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
fn an_ioctl_that_waits_is_tried_again_and_holds_up_nobody() {
    let mut server = Setup::new().start();
    // As in a terminal, O_NONBLOCK makes no difference.
    let file = Arc::new(open_nonblocking(&server.path));
    std::io::Write::write_all(&mut &*file, b"12345").unwrap();
    let drains = [(); 2].map(|()| {
        let file = Arc::clone(&file);
        Task::start(move || drain(&file))
    });
    server.until("waiting", |s| s.waiting_ioctls == 2);
    assert_eq!(read_some(&file, 3).unwrap(), b"123");
    assert_eq!(server.stats().waiting_ioctls, 2, "not empty yet");
    assert_eq!(read_some(&file, 3).unwrap(), b"45");
    for drain in drains {
        assert!(
            drain.finish().unwrap() > 1,
            "the device finds what it left from one look to the next"
        );
    }
    assert_eq!(drain(&file), Ok(1), "nothing to wait for");
}

#[test]
fn a_hang_up_ends_a_waiting_ioctl() {
    let mut server = Setup::new().start();
    let file = open(&server.path);
    std::io::Write::write_all(&mut &file, b"12345").unwrap();
    let waiting = Task::start(move || drain(&file));
    server.until("waiting", |s| s.waiting_ioctls == 1);
    server.ask("hang_up");
    assert_eq!(waiting.finish(), Err(Errno::ENODEV));
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
