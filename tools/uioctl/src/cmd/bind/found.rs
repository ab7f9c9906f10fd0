//! [`Found`]: a device that a driver can be given, on whichever bus it is.

use uio_core::sys::sysfs::rule::Rule;
use uio_core::sys::sysfs::{BusDevice, PciInfo, PlatformInfo};

/// A device, as sysfs describes it.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Pci(PciInfo),
    Platform(PlatformInfo),
}

impl Found {
    pub(crate) fn device(&self) -> BusDevice {
        match self {
            Self::Pci(function) => BusDevice::pci(&function.bdf),
            Self::Platform(info) => info.device(),
        }
    }

    pub(crate) fn driver(&self) -> Option<&str> {
        match self {
            Self::Pci(function) => function.driver.as_deref(),
            Self::Platform(info) => info.driver.as_deref(),
        }
    }

    /// The rule that gives it to `driver` at every boot.
    pub(super) fn rule(&self, driver: &str) -> Rule {
        let identity = match self {
            Self::Pci(function) => function.into(),
            Self::Platform(info) => info.into(),
        };
        Rule { device: self.device(), identity, driver: driver.to_owned() }
    }

    /// Whether a rule that is kept for its place is for it, and not for another that was there.
    pub(crate) fn is_meant_by(&self, rule: &Rule) -> bool {
        self.rule(&rule.driver) == *rule
    }
}
