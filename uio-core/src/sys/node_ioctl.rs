//! `ioctl(2)` on a node that a program like this one serves, for clients in Rust.
//!
//! An ioctl of any device may do anything to the memory of its caller, so that there is no safe form of it. One of a
//! file that FUSE or CUSE serves may not: the kernel itself copies the argument, by the size that is in the number, and
//! the server never learns where it is (`fuse_do_ioctl` in `fs/fuse/ioctl.c`). So it is safe for such a file, with a number
//! that has a direction and an argument of that size; and this module makes sure of both.
//!
//! A CUSE server may ask for more (`CUSE_UNRESTRICTED_IOCTL`): then it says what is copied, and is as trusted as a driver
//! of the kernel would be. Those of this library ask for the same sizes, and one for numbers without a size, which are
//! refused here.
#![expect(unsafe_code, reason = "nix has no ioctl with a number from elsewhere")]

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat, major, minor};
use nix::sys::statfs::{FUSE_SUPER_MAGIC, fstatfs};

/// Calls `ioctl` with `number` and an argument of the size that is in it, both ways.
///
/// # Errors
///
/// - `EINVAL` if the argument has another size, or the number has no direction;
/// - `ENOTTY` if the file is not one that FUSE or CUSE serves;
/// - what the server says.
pub(crate) fn node_ioctl(
    file: BorrowedFd<'_>,
    number: u32,
    argument: &mut [u8],
) -> Result<i32, Errno> {
    // CAST: 14 bits.
    let size = (number >> 16 & 0x3FFF) as usize;
    if number >> 30 == 0 || size != argument.len() {
        return Err(Errno::EINVAL);
    }
    if !is_served(file)? {
        return Err(Errno::ENOTTY);
    }
    // SAFETY: the kernel copies `size` bytes from and to the argument, which has as many, and nothing else; see the
    // module.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), number.into(), argument.as_mut_ptr()) };
    Errno::result(answer)
}

/// Whether a process serves the file, by FUSE or by CUSE.
fn is_served(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = fstat(file.as_fd())?;
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Ok(fstatfs(file)?.filesystem_type() == FUSE_SUPER_MAGIC),
        SFlag::S_IFCHR => {
            let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
            let subsystem = fs::read_link(format!("/sys/dev/char/{major}:{minor}/subsystem"));
            Ok(subsystem.is_ok_and(|path| path.ends_with("class/cuse")))
        }
        _ => Ok(false),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs::File;

    use super::*;

    /// `_IOR('Z', 0, 8 bytes)`.
    const READS_8: u32 = 2 << 30 | 8 << 16 | (b'Z' as u32) << 8;

    #[test]
    fn a_file_that_nobody_serves_is_not_asked() {
        let regular = tempfile::tempfile().unwrap();
        let null = File::open("/dev/null").unwrap();
        for file in [regular, null] {
            assert_eq!(node_ioctl(file.as_fd(), READS_8, &mut [0; 8]), Err(Errno::ENOTTY));
        }
    }

    #[test]
    fn an_argument_of_another_size_never_reaches_the_kernel() {
        let file = tempfile::tempfile().unwrap();
        for argument in [&mut [][..], &mut [0; 7], &mut [0; 9]] {
            assert_eq!(node_ioctl(file.as_fd(), READS_8, argument), Err(Errno::EINVAL));
        }
        assert_eq!(node_ioctl(file.as_fd(), 0x541B, &mut []), Err(Errno::EINVAL), "no direction");
    }
}
