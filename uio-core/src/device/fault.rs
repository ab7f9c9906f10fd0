//! What follows when an access to a device finds no memory.
//!
//! The access itself was dealt with where it was made: it read ones, and the device's flag is set
//! ([`sigbus`](crate::sys::sigbus)). The flag's descriptor has the dispatcher run the rest, for the lines of a
//! device that does not answer may never say anything again.

use std::sync::Arc;

use nix::errno::Errno;

use super::Device;
use crate::error::{Error, Result};
use crate::irq::{Dispatcher, Watch};

impl Device {
    /// Has the dispatcher end the device when its mark is set, if the backend has one.
    pub(super) fn watch_faults(self: &Arc<Self>, dispatcher: &Dispatcher) -> Result<()> {
        let Some(mark) = self.backend.fault_mark() else { return Ok(()) };
        let failed = |error| Error::from_io(&error, "cannot watch for the loss of", self.name());
        let event = mark.event().try_clone_to_owned().map_err(failed)?;
        let weak = Arc::downgrade(self);
        let watch = Watch::start(self.name(), event, dispatcher, move || {
            if let Some(device) = weak.upgrade() {
                device.faulted();
            }
        })?;
        // The device is being built, so there is none yet.
        let _ = self.faults.set(watch);
        Ok(())
    }

    /// On the dispatcher: the lines first, as when one of them brings the news.
    fn faulted(&self) {
        tracing::warn!(device = %self.name, "an access to its registers found nothing there");
        let vectors = self.vectors().clone().unwrap_or_default();
        self.own_lines().iter().chain(&vectors).for_each(|line| line.end(Errno::ENODEV));
        self.mark_gone(Errno::ENODEV);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
