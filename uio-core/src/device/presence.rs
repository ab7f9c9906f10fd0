//! [`Presence`]: whether a device still answers, for a driver that has read nothing but ones.
//!
//! All ones are what a bus says where nothing answers; they may also be a register's value. A driver that reads them
//! from a register where they make no sense asks here. The vendor's number is never all ones, so the configuration
//! space knows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

use super::Device;
use crate::pci::ConfigSpace;
use crate::sys::sigbus::FaultMark;

/// Where the vendor's number is.
const VENDOR: usize = 0;

/// Asks whether a device is there. Cheap to clone; it does not own the device.
#[derive(Clone)]
pub struct Presence {
    gone: Arc<AtomicBool>,
    config: Option<ConfigSpace>,
    mark: Option<Arc<FaultMark>>,
}

impl Device {
    /// Who tells whether the device still answers.
    pub fn presence(&self) -> Presence {
        Presence {
            gone: Arc::clone(&self.gone),
            config: self.backend.config().cloned(),
            mark: self.backend.fault_mark().cloned(),
        }
    }
}

impl Presence {
    /// Whether the device answers. One that does not is gone from then on: the dispatcher ends it, as it does one of
    /// which an access found no memory. A device that is not on PCI cannot be asked: it is there until it is gone.
    ///
    /// At most one access to the configuration space; may be called in a top half.
    #[doc(alias = "pci_device_is_present")]
    pub fn check(&self) -> bool {
        // Acquire: whoever finds the device gone looks at what was done before.
        if self.gone.load(Ordering::Acquire) {
            return false;
        }
        let Some(config) = &self.config else { return true };
        let answers = !matches!(config.read16(VENDOR), Ok(u16::MAX) | Err(Errno::ENODEV));
        if let Some(mark) = self.mark.as_ref().filter(|_| !answers) {
            mark.raise();
        }
        answers
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("config", &self.config).finish_non_exhaustive()
    }
}
