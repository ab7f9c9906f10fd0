//! [`Handle`]: the device's descriptor, that can be closed under those who use it.

use std::sync::Arc;

use nix::errno::Errno;

use crate::sync::WaitQueue;
use crate::sync::rcu::{self, RcuCell};
use crate::sys::vfio::Device;

/// The descriptor, until it is [closed](Self::close).
///
/// Whoever closes it is the last who has it, and so the one who waits for the kernel: short calls are sections that
/// the close waits for, and long ones a share each, which it waits for too.
pub(super) struct Handle {
    device: RcuCell<Option<Arc<Device>>>,
    /// Woken when a long call ends.
    idle: WaitQueue,
}

impl Handle {
    /// A handle that is open.
    pub(super) fn new(device: Device) -> Arc<Self> {
        let device = RcuCell::new(Some(Arc::new(device)));
        Arc::new(Self { device, idle: WaitQueue::new() })
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
        match self.device.read(&section) {
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
            self.device.read(&section).clone()
        };
        let device = device.ok_or(Errno::ENODEV)?;
        let result = call(&device);
        // In this order: the close looks at the shares when it is woken.
        drop(device);
        self.idle.wake_all();
        result
    }

    /// Whether it is closed, or is about to be.
    pub(super) fn is_closed(&self) -> bool {
        self.device.read(&rcu::read_lock()).is_none()
    }

    /// Closes the descriptor, when the calls that run have ended. Sleeps, for as long as the kernel does.
    pub(super) fn close(&self) {
        let Some(device) = self.device.replace(None).synchronize() else { return };
        // Nobody gets a share any more.
        self.idle.wait_until(|| Arc::strong_count(&device) == 1);
    }
}
