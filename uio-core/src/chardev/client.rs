//! The other side of a node: what a client in Rust needs beyond `read` and `write`.

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::IoctlCmd;
use crate::sys::node_ioctl::node_ioctl;

/// Calls `ioctl(2)` on a node that is served by FUSE or CUSE: `argument` has the size that is in the number, and is what
/// goes in and what comes out.
///
/// # Errors
///
/// - `EINVAL` if the argument has another size, or the number has no direction;
/// - `ENOTTY` if the file is not served by FUSE or CUSE, and if its driver does not know the number;
/// - what the driver says.
pub fn ioctl(file: impl AsFd, cmd: IoctlCmd, argument: &mut [u8]) -> Result<i32, Errno> {
    node_ioctl(file.as_fd(), cmd.0, argument)
}
