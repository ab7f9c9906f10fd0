//! Buses and what sits on them: [`Bus`], and [`BusDevice`], a device by its name on its bus.
//!
//! The kernel has one way with the drivers of all buses (`drivers/base/bus.c`): below `/sys/bus/BUS` there are
//! `devices/NAME/driver`, `drivers/DRIVER/{bind,unbind}` and `drivers_probe`. Those that are here also know
//! `driver_override`.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Sysfs, link_name};

/// A bus whose devices can be reserved for a driver (`driver_override`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bus {
    /// PCI functions, by address: `0000:00:03.0`.
    Pci,
    /// What the device tree or the firmware describes: `9010000.pl031`.
    Platform,
    /// Arm's PrimeCells, which say by themselves what they are: nodes with `"arm,primecell"`.
    Amba,
}

impl Bus {
    /// Its directory in `/sys/bus`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pci => "pci",
            Self::Platform => "platform",
            Self::Amba => "amba",
        }
    }

    /// Its name in a sentence: `a PCI driver`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Pci => "PCI",
            Self::Platform => "platform",
            Self::Amba => "AMBA",
        }
    }
}

/// A device by its name on its bus. Displayed as the name alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BusDevice {
    /// The bus.
    pub bus: Bus,
    /// The name, one of those in `/sys/bus/BUS/devices`.
    pub name: String,
}

impl BusDevice {
    /// The device called `name` on `bus`, which need not be there.
    pub fn new(bus: Bus, name: impl Into<String>) -> Self {
        Self { bus, name: name.into() }
    }

    /// The PCI function at an address in full, such as `0000:00:03.0`.
    pub fn pci(bdf: impl Into<String>) -> Self {
        Self::new(Bus::Pci, bdf)
    }
}

impl fmt::Display for BusDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Sysfs {
    /// The directory of a bus.
    pub(super) fn bus_dir(&self, bus: Bus) -> PathBuf {
        self.root.join("bus").join(bus.name())
    }

    /// The directory of a device, as its bus has it.
    pub fn device_dir(&self, device: &BusDevice) -> PathBuf {
        self.bus_dir(device.bus).join("devices").join(&device.name)
    }

    /// The directory of a driver.
    pub(super) fn driver_dir(&self, bus: Bus, driver: &str) -> PathBuf {
        self.bus_dir(bus).join("drivers").join(driver)
    }

    /// The driver that a device is bound to now.
    pub fn driver_of(&self, device: &BusDevice) -> Option<String> {
        link_name(&self.device_dir(device).join("driver"))
    }

    /// The attribute that reserves a device for a driver. Reading it may block; see [`Kernel`](super::bind::Kernel).
    pub fn override_of(&self, device: &BusDevice) -> PathBuf {
        self.device_dir(device).join("driver_override")
    }

    /// Whether the bus has a driver of this name now.
    pub fn has_driver(&self, bus: Bus, driver: &str) -> bool {
        let plain = Path::new(driver).components().count() == 1 && !driver.starts_with('.');
        plain && self.driver_dir(bus, driver).exists()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_driver_is_one_of_its_bus_and_no_path() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("bus/platform/drivers/uio_pdrv_genirq")).unwrap();
        let sysfs = Sysfs::at(root.path());
        assert!(sysfs.has_driver(Bus::Platform, "uio_pdrv_genirq"));
        assert!(!sysfs.has_driver(Bus::Pci, "uio_pdrv_genirq"));
        for name in ["..", ".", "../drivers/uio_pdrv_genirq"] {
            assert!(!sysfs.has_driver(Bus::Platform, name), "{name}");
        }
    }
}
