//! The pin of a function that is bound to `uio_pci_generic`: two system calls an interrupt.
//!
//! When the pin fires, the kernel's handler sets `INTX_DISABLE`, counts, and wakes who waits (`irqhandler`,
//! `drivers/uio/uio_pci_generic.c`). The dispatcher watches edge-triggered, so it need not read the count, which
//! is one: the pin cannot fire again before it is re-armed. An unbind wakes the dispatcher too, with an error on
//! the descriptor; that is how the two are told apart without a read.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::config::UioPciConfig;
use crate::irq::LineSource;
use crate::sys::uio::UioFd;

/// The line: fires by `/dev/uioN`, is armed by configuration space.
pub(super) struct UioPciLine {
    uio: Arc<UioFd>,
    config: Arc<UioPciConfig>,
}

impl UioPciLine {
    pub(super) fn new(uio: Arc<UioFd>, config: Arc<UioPciConfig>) -> Self {
        Self { uio, config }
    }
}

impl LineSource for UioPciLine {
    fn fd(&self) -> BorrowedFd<'_> {
        self.uio.as_fd()
    }

    /// One for each time that the descriptor came up: without a system call.
    fn take(&self) -> Result<u32, Errno> {
        Ok(1)
    }

    fn unmask(&self) -> Result<(), Errno> {
        self.config.arm()
    }

    fn mask(&self) -> Result<(), Errno> {
        self.config.disarm()
    }

    fn masks_itself(&self) -> bool {
        true
    }

    /// Nobody reads the count otherwise.
    fn forget_past(&self) {
        // Without a change it says EAGAIN; a device that is gone says so when it is watched.
        let _ = self.uio.read_count();
    }

    fn error_is_loss(&self) -> bool {
        true
    }
}
