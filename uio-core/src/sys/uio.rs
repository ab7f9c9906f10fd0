//! `/dev/uioN`: wait for events, count them, mask and unmask.
//!
//! The ABI (`drivers/uio/uio.c`): a read of exactly 4 bytes yields the device's total event count, once it
//! differs from what this descriptor saw last; a write of exactly 4 bytes calls the driver's `irqcontrol`
//! with 0 or 1. `EIO` means that the device has no interrupt, or has been unbound.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

use crate::error::{Error, Result};

/// An open UIO device.
#[derive(Debug)]
pub(crate) struct UioFd(OwnedFd);

impl UioFd {
    /// Opens `node`. The one place where a UIO device is opened.
    pub(crate) fn open(node: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(node)
            .map_err(|error| explain_open(&error, node))?;
        Ok(Self(file.into()))
    }

    /// Whether the device has an interrupt: one without answers every poll with an error.
    pub(crate) fn has_interrupt(&self) -> Result<bool, Errno> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO)?;
        Ok(!fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR)))
    }

    /// The device's event count, if it changed since the last call.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it did not, `EIO` if the device is gone or has no interrupt.
    pub(crate) fn read_count(&self) -> Result<u32, Errno> {
        let mut count = [0; 4];
        match unistd::read(&self.0, &mut count)? {
            4 => Ok(u32::from_ne_bytes(count)),
            _ => Err(Errno::EIO),
        }
    }

    /// Unmasks (`true`) or masks the interrupt.
    ///
    /// # Errors
    ///
    /// `ENOSYS` if the kernel driver has no `irqcontrol`, `EIO` if the device is gone or has no interrupt.
    pub(crate) fn irqcontrol(&self, on: bool) -> Result<(), Errno> {
        match unistd::write(&self.0, &u32::from(on).to_ne_bytes())? {
            4 => Ok(()),
            _ => Err(Errno::EIO),
        }
    }
}

impl AsFd for UioFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn explain_open(error: &std::io::Error, node: &Path) -> Error {
    let name = node.display();
    let error = Error::from_io(error, "cannot open", &name);
    match error.errno() {
        Errno::EACCES | Errno::EPERM => error.with_hint(format!(
            "run as root, or give your group the node by a udev rule (for now: chgrp GROUP {name} && chmod 660 {name})"
        )),
        Errno::ENOENT => error.with_hint(
            "the kernel has the device, but the node is missing: is devtmpfs or udev at work in this container?",
        ),
        Errno::ENODEV | Errno::ENXIO => error.with_hint("the device was unbound just now; bind it again"),
        _ => error,
    }
}
