//! What is to be done, step by step: [`Plan`], made of [`Change`]s.

use std::fmt;
use std::path::{Path, PathBuf};

use super::super::Sysfs;

/// Where a function is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// With this driver.
    Driver(String),
    /// With the driver that the kernel finds for it, if any; no override is left.
    KernelsChoice,
    /// With none; no override is left.
    Driverless,
}

/// A function, what it is now, and what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The function: `0000:00:03.0`.
    pub bdf: String,
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
    },
    /// Loads what the kernel has for the function; that there is nothing is no failure.
    LoadFor {
        /// The function.
        bdf: String,
        /// Its alias (`modalias`).
        alias: String,
    },
    /// Takes the function from its driver.
    Unbind {
        /// The function.
        bdf: String,
        /// Its driver.
        driver: String,
    },
    /// Sets or clears the override.
    Override {
        /// The function.
        bdf: String,
        /// The driver to name; none clears it.
        driver: Option<String>,
    },
    /// Gives the function to a driver.
    Bind {
        /// The function.
        bdf: String,
        /// The driver.
        driver: String,
    },
    /// Has the kernel look for a driver.
    Probe {
        /// The function.
        bdf: String,
    },
}

/// Steps in the order in which they are done, and the functions that they change.
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

    /// The functions that it changes, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

/// A module for each driver that is wanted and not there.
fn loads(sysfs: &Sysfs, changes: &[Change]) -> Vec<Step> {
    let mut steps = Vec::new();
    for change in changes {
        let Goal::Driver(driver) = &change.goal else { continue };
        let load = Step::Load { module: driver.clone() };
        if !sysfs.pci_driver(driver).exists() && !steps.contains(&load) {
            steps.push(load);
        }
    }
    steps
}

impl Change {
    fn add_steps(&self, sysfs: &Sysfs, steps: &mut Vec<Step>) {
        let bdf = || self.bdf.clone();
        if let Some(driver) = self.driver.clone() {
            steps.push(Step::Unbind { bdf: bdf(), driver });
        }
        match &self.goal {
            Goal::Driver(driver) => {
                if self.reserved_for.as_ref() != Some(driver) {
                    steps.push(Step::Override { bdf: bdf(), driver: Some(driver.clone()) });
                }
                steps.push(Step::Bind { bdf: bdf(), driver: driver.clone() });
            }
            Goal::KernelsChoice => {
                self.clear_override(steps);
                // This attribute is there from the start and takes no lock.
                let alias = super::super::text_or_empty(&sysfs.pci(&self.bdf).join("modalias"));
                if !alias.is_empty() {
                    steps.push(Step::LoadFor { bdf: bdf(), alias });
                }
                steps.push(Step::Probe { bdf: bdf() });
            }
            Goal::Driverless => self.clear_override(steps),
        }
    }

    fn clear_override(&self, steps: &mut Vec<Step>) {
        if self.reserved_for.is_some() {
            steps.push(Step::Override { bdf: self.bdf.clone(), driver: None });
        }
    }
}

impl Step {
    /// The function that it changes; modules belong to none.
    pub fn bdf(&self) -> Option<&str> {
        match self {
            Self::Load { .. } => None,
            Self::LoadFor { bdf, .. }
            | Self::Unbind { bdf, .. }
            | Self::Override { bdf, .. }
            | Self::Bind { bdf, .. }
            | Self::Probe { bdf } => Some(bdf),
        }
    }

    /// The attribute and the text that is written to it; a module is loaded in another way.
    pub fn write(&self, sysfs: &Sysfs) -> Option<(PathBuf, String)> {
        match self {
            Self::Load { .. } | Self::LoadFor { .. } => None,
            Self::Unbind { bdf, driver } => {
                Some((sysfs.pci_driver(driver).join("unbind"), bdf.clone()))
            }
            Self::Override { bdf, driver } => {
                let text = driver.clone().unwrap_or_else(|| "\n".to_owned());
                Some((sysfs.pci(bdf).join("driver_override"), text))
            }
            Self::Bind { bdf, driver } => {
                Some((sysfs.pci_driver(driver).join("bind"), bdf.clone()))
            }
            Self::Probe { bdf } => Some((sysfs.root().join("bus/pci/drivers_probe"), bdf.clone())),
        }
    }

    /// What one would type in its place.
    pub fn command(&self, sysfs: &Sysfs) -> String {
        match (self, self.write(sysfs)) {
            (Self::Load { module }, _) => format!("modprobe {module}"),
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
            Self::Load { module } => write!(f, "load the module {module}"),
            Self::LoadFor { bdf, .. } => write!(f, "load what the kernel has for {bdf}"),
            Self::Unbind { bdf, driver } => write!(f, "unbind {bdf} from {driver}"),
            Self::Override { bdf, driver: Some(driver) } => {
                write!(f, "reserve {bdf} for {driver}")
            }
            Self::Override { bdf, driver: None } => write!(f, "clear the override of {bdf}"),
            Self::Bind { bdf, driver } => write!(f, "bind {bdf} to {driver}"),
            Self::Probe { bdf } => write!(f, "have the kernel look for a driver for {bdf}"),
        }
    }
}

impl Sysfs {
    /// The directory of a PCI function.
    pub(in super::super) fn pci(&self, bdf: &str) -> PathBuf {
        self.root().join("bus/pci/devices").join(bdf)
    }

    /// The directory of a driver of PCI functions.
    fn pci_driver(&self, driver: &str) -> PathBuf {
        self.root().join("bus/pci/drivers").join(driver)
    }

    /// The driver that a PCI function is bound to now.
    pub fn pci_driver_of(&self, bdf: &str) -> Option<String> {
        super::super::link_name(&self.pci(bdf).join("driver"))
    }

    /// The attribute that reserves a PCI function for a driver. Reading it may block; see [`Kernel`](super::Kernel).
    pub fn pci_override(&self, bdf: &str) -> PathBuf {
        self.pci(bdf).join("driver_override")
    }

    /// Whether the kernel has a driver of PCI functions of this name now.
    pub fn has_pci_driver(&self, driver: &str) -> bool {
        let plain = Path::new(driver).components().count() == 1 && !driver.starts_with('.');
        plain && self.pci_driver(driver).exists()
    }
}
