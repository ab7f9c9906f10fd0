//! [`Handle`]: the device's descriptor, that can be closed under those who use it.

use std::sync::Arc;

use nix::errno::Errno;

use crate::sync::rcu::{self, RcuCell};
use crate::sys::vfio::Device;

/// The descriptor, until it is [closed](Self::close).
pub(super) struct Handle(RcuCell<Option<Arc<Device>>>);

impl Handle {
    /// A handle that is open.
    pub(super) fn new(device: Device) -> Arc<Self> {
        Arc::new(Self(RcuCell::new(Some(Arc::new(device)))))
    }

    /// Calls `call` with the device: for what is short, a register access. Takes no lock; top halves may.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is closed; what `call` says.
    pub(super) fn with<R>(
        &self,
        call: impl FnOnce(&Device) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let section = rcu::read_lock();
        match self.0.read(&section) {
            Some(device) => call(device),
            None => Err(Errno::ENODEV),
        }
    }

    /// As [`with`](Self::with), for what may take long; it does not hold up those who wait for short calls.
    pub(super) fn slowly<R>(
        &self,
        call: impl FnOnce(&Device) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let device = {
            let section = rcu::read_lock();
            self.0.read(&section).clone()
        };
        call(&*device.ok_or(Errno::ENODEV)?)
    }

    /// Whether it is closed, or is about to be.
    pub(super) fn is_closed(&self) -> bool {
        self.0.read(&rcu::read_lock()).is_none()
    }

    /// Closes the descriptor, when the short calls that run have ended. A long call that still runs closes it at
    /// its end instead. Sleeps, for as long as the kernel does.
    pub(super) fn close(&self) {
        drop(self.0.replace(None).synchronize());
    }
}
