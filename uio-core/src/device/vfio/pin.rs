//! [`Pin`]: INTx, the level-triggered line that a function may share with others.
//!
//! The kernel masks the line before it signals the trigger, and unmasks it when the unmask eventfd is written;
//! if the device still asserts the line, it signals again at once (`vfio_pci_intx_unmask_handler`,
//! `drivers/vfio/pci/vfio_pci_intrs.c`). So an interrupt costs the wait and one write.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::handle::Handle;
use crate::error::{Error, Result};
use crate::irq::LineSource;
use crate::sys::vfio::Index;

/// The line. Its eventfds are installed when it is first unmasked, and go when messages take its place.
pub(super) struct Pin {
    handle: Arc<Handle>,
    trigger: EventFd,
    unmask: EventFd,
    /// Changed under `turn`.
    installed: AtomicBool,
    /// Those who install and uninstall.
    turn: Mutex<()>,
}

impl Pin {
    pub(super) fn new(handle: &Arc<Handle>) -> Result<Arc<Self>> {
        let eventfd = || {
            EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .map_err(|errno| Error::new(errno, "cannot create", "an eventfd for interrupts"))
        };
        Ok(Arc::new(Self {
            handle: Arc::clone(handle),
            trigger: eventfd()?,
            unmask: eventfd()?,
            installed: AtomicBool::new(false),
            turn: Mutex::new(()),
        }))
    }

    /// Frees the function for messages.
    pub(super) fn uninstall(&self) {
        let _turn = self.turn();
        if self.installed.swap(false, Ordering::AcqRel) {
            // A device that is gone has no pin.
            let _ = self.handle.slowly(|device| device.disable_irqs(Index::Intx));
        }
    }

    /// Installs the eventfds, which unmasks the line. `EBUSY` while messages are in use.
    #[cold]
    fn install(&self) -> Result<(), Errno> {
        let _turn = self.turn();
        if self.installed.load(Ordering::Acquire) {
            return self.signal_unmask();
        }
        let trigger = [Some(self.trigger.as_fd())];
        let installed = self.handle.slowly(|device| {
            device.set_triggers(Index::Intx, 0, &trigger)?;
            device.set_unmask(Some(self.unmask.as_fd()))
        });
        installed.map_err(|errno| if errno == Errno::EINVAL { Errno::EBUSY } else { errno })?;
        // Release: pairs with the load in `unmask`, which then finds the eventfd installed.
        self.installed.store(true, Ordering::Release);
        Ok(())
    }

    fn signal_unmask(&self) -> Result<(), Errno> {
        // The kernel takes the write as the signal and keeps no account; the count never comes near its end.
        self.unmask.write(1).map(drop)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineSource for Arc<Pin> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.trigger.as_fd()
    }

    /// One for each time that the descriptor came up: the line is masked until then, so there are no more.
    fn take(&self) -> Result<u32, Errno> {
        Ok(1)
    }

    fn unmask(&self) -> Result<(), Errno> {
        if self.installed.load(Ordering::Acquire) { self.signal_unmask() } else { self.install() }
    }

    fn mask(&self) -> Result<(), Errno> {
        if self.installed.load(Ordering::Acquire) {
            return self.handle.with(|device| device.mask_pin());
        }
        Ok(())
    }

    fn masks_itself(&self) -> bool {
        true
    }

    fn forget_past(&self) {
        // Without a count it says EAGAIN.
        let _ = self.trigger.read();
    }
}
