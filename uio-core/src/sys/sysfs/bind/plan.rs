//! What is to be done, step by step: [`Plan`], made of [`Change`]s.

use std::fmt;
use std::path::PathBuf;

use super::super::{Bus, BusDevice, Sysfs, text_or_empty};

/// Where a device is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// With this driver.
    Driver(String),
    /// With the driver that the kernel finds for it, if any; no override is left.
    KernelsChoice,
    /// With none; no override is left.
    Driverless,
}

/// A device, what it is now, and what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The device.
    pub device: BusDevice,
    /// The driver that it is bound to now.
    pub driver: Option<String>,
    /// The driver that its override names now.
    pub reserved_for: Option<String>,
    /// What it is to be.
    pub goal: Goal,
}

/// One thing to do. Displayed in words, without its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Loads the module of a driver that is not there yet.
    Load {
        /// The module, which is to bring a driver of this name.
        module: String,
        /// The bus that the driver is for.
        bus: Bus,
    },
    /// Loads what the kernel has for the device; that there is nothing is no failure.
    LoadFor {
        /// The device.
        device: BusDevice,
        /// Its alias (`modalias`).
        alias: String,
    },
    /// Takes the device from its driver.
    Unbind {
        /// The device.
        device: BusDevice,
        /// Its driver.
        driver: String,
    },
    /// Sets or clears the override.
    Override {
        /// The device.
        device: BusDevice,
        /// The driver to name; none clears it.
        driver: Option<String>,
    },
    /// Gives the device to a driver.
    Bind {
        /// The device.
        device: BusDevice,
        /// The driver.
        driver: String,
    },
    /// Has the kernel look for a driver.
    Probe {
        /// The device.
        device: BusDevice,
    },
}

/// Steps in the order in which they are done, and the devices that they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) steps: Vec<Step>,
}

impl Plan {
    /// The steps that make these changes.
    pub fn new(sysfs: &Sysfs, changes: Vec<Change>) -> Self {
        let mut steps = loads(sysfs, &changes);
        for change in &changes {
            change.add_steps(sysfs, &mut steps);
        }
        Self { changes, steps }
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The devices that it changes, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

/// A module for each driver that is wanted and not there.
fn loads(sysfs: &Sysfs, changes: &[Change]) -> Vec<Step> {
    let mut steps = Vec::new();
    for change in changes {
        let Goal::Driver(driver) = &change.goal else { continue };
        let bus = change.device.bus;
        let load = Step::Load { module: driver.clone(), bus };
        if !sysfs.driver_dir(bus, driver).exists() && !steps.contains(&load) {
            steps.push(load);
        }
    }
    steps
}

impl Change {
    fn add_steps(&self, sysfs: &Sysfs, steps: &mut Vec<Step>) {
        let device = || self.device.clone();
        if let Some(driver) = self.driver.clone() {
            steps.push(Step::Unbind { device: device(), driver });
        }
        match &self.goal {
            Goal::Driver(driver) => {
                if self.reserved_for.as_ref() != Some(driver) {
                    steps.push(Step::Override { device: device(), driver: Some(driver.clone()) });
                }
                steps.push(Step::Bind { device: device(), driver: driver.clone() });
            }
            Goal::KernelsChoice => {
                self.clear_override(steps);
                // This attribute is there from the start and takes no lock.
                let alias = text_or_empty(&sysfs.device_dir(&self.device).join("modalias"));
                if !alias.is_empty() {
                    steps.push(Step::LoadFor { device: device(), alias });
                }
                steps.push(Step::Probe { device: device() });
            }
            Goal::Driverless => self.clear_override(steps),
        }
    }

    fn clear_override(&self, steps: &mut Vec<Step>) {
        if self.reserved_for.is_some() {
            steps.push(Step::Override { device: self.device.clone(), driver: None });
        }
    }
}

impl Step {
    /// The device that it changes; modules belong to none.
    pub fn device(&self) -> Option<&BusDevice> {
        match self {
            Self::Load { .. } => None,
            Self::LoadFor { device, .. }
            | Self::Unbind { device, .. }
            | Self::Override { device, .. }
            | Self::Bind { device, .. }
            | Self::Probe { device } => Some(device),
        }
    }

    /// The attribute and the text that is written to it; a module is loaded in another way.
    pub fn write(&self, sysfs: &Sysfs) -> Option<(PathBuf, String)> {
        match self {
            Self::Load { .. } | Self::LoadFor { .. } => None,
            Self::Unbind { device, driver } => {
                Some((sysfs.driver_dir(device.bus, driver).join("unbind"), device.name.clone()))
            }
            Self::Override { device, driver } => {
                let text = driver.clone().unwrap_or_else(|| "\n".to_owned());
                Some((sysfs.override_of(device), text))
            }
            Self::Bind { device, driver } => {
                Some((sysfs.driver_dir(device.bus, driver).join("bind"), device.name.clone()))
            }
            Self::Probe { device } => {
                Some((sysfs.bus_dir(device.bus).join("drivers_probe"), device.name.clone()))
            }
        }
    }

    /// What one would type in its place.
    pub fn command(&self, sysfs: &Sysfs) -> String {
        match (self, self.write(sysfs)) {
            (Self::Load { module, .. }, _) => format!("modprobe {module}"),
            (Self::LoadFor { alias, .. }, _) => format!("modprobe -q {alias}"),
            (_, Some((path, text))) => format!("echo {} > {}", text.trim_end(), path.display()),
            (_, None) => String::new(),
        }
    }

    /// What it does, as the start of a message that it failed: `cannot unbind`.
    pub(super) fn act(&self) -> &'static str {
        match self {
            Self::Load { .. } | Self::LoadFor { .. } => "cannot load the module of",
            Self::Unbind { .. } => "cannot unbind",
            Self::Override { .. } => "cannot set the driver_override of",
            Self::Bind { .. } => "cannot bind",
            Self::Probe { .. } => "cannot find a driver for",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { module, .. } => write!(f, "load the module {module}"),
            Self::LoadFor { device, .. } => write!(f, "load what the kernel has for {device}"),
            Self::Unbind { device, driver } => write!(f, "unbind {device} from {driver}"),
            Self::Override { device, driver: Some(driver) } => {
                write!(f, "reserve {device} for {driver}")
            }
            Self::Override { device, driver: None } => write!(f, "clear the override of {device}"),
            Self::Bind { device, driver } => write!(f, "bind {device} to {driver}"),
            Self::Probe { device } => write!(f, "have the kernel look for a driver for {device}"),
        }
    }
}
