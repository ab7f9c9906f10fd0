//! [`EventFdSource`]: a line that is an eventfd, signalled once for each interrupt, as VFIO signals an MSI.
//!
//! The dispatcher watches lines edge-triggered: every signal makes the descriptor come up again, whether or not
//! its count was read. So an interrupt needs no read, and costs one system call in all, the wait. The price is
//! that the count is not known: signals that come before the dispatcher looked are one round, as two messages of
//! an MSI are to the kernel's edge-triggered flow, and [`LineStats`](super::LineStats) counts rounds.
//!
//! Nothing masks such a line in hardware: what is signalled while it is disabled is kept pending, as it is for
//! all lines, and no unmask is owed.
//!
//! Mirrors `vfio_msihandler` (`drivers/vfio/pci/vfio_pci_intrs.c`) and `handle_edge_irq` (`kernel/irq/chip.c`).

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::line::LineSource;
use crate::error::{Error, Result};

/// An interrupt line over an eventfd; see the [module](self). Make an [`IrqLine`](super::IrqLine) of it.
pub struct EventFdSource {
    fd: EventFd,
}

impl EventFdSource {
    /// A line that nobody signals yet.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the process has no descriptors left.
    #[doc(alias = "eventfd_ctx_fdget")]
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let fd = EventFd::from_flags(flags)
            .map_err(|errno| Error::new(errno, "cannot create", "an eventfd for interrupts"))?;
        Ok(Self { fd })
    }

    /// The same eventfd, for whoever signals it: a kernel driver, or a model. A signal is a write of the
    /// number 1, in 8 bytes.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the process has no descriptors left.
    pub fn trigger(&self) -> Result<OwnedFd> {
        let failed =
            |error| Error::from_io(&error, "cannot duplicate", "an eventfd for interrupts");
        self.fd.as_fd().try_clone_to_owned().map_err(failed)
    }
}

impl LineSource for EventFdSource {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// One for each time that the descriptor came up: without a system call.
    fn take(&self) -> Result<u32, Errno> {
        Ok(1)
    }

    fn unmask(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn mask(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn masks_itself(&self) -> bool {
        false
    }

    /// Nobody reads the count otherwise, and a descriptor with a count comes up when it is first watched.
    fn forget_past(&self) {
        // Without a count it says EAGAIN.
        let _ = self.fd.read();
    }
}

impl fmt::Debug for EventFdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFdSource").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
