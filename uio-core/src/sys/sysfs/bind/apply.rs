//! Doing what a [`Plan`] says, and taking it back.
//!
//! Each step is judged by what sysfs shows afterwards, never by the write alone: `drivers_probe` succeeds when
//! nothing was bound, and a module may come without the driver.

use std::io;

use super::super::{BusDevice, Sysfs};
use super::{Change, Goal, Kernel, Plan, Step};
use crate::error::{Errno, Error, Result};

/// What became of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The device.
    pub device: BusDevice,
    /// The driver that it had.
    pub before: Option<String>,
    /// The driver that it has now.
    pub after: Option<String>,
}

/// A plan that failed: why, and where everything is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// The device whose step failed; none if a module was the matter.
    pub device: Option<BusDevice>,
    /// What became of each device that had been touched, the last first. Empty: nothing was changed.
    pub returned: Vec<Returned>,
}

/// A device after the attempt to give it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The device.
    pub device: BusDevice,
    /// The driver that it had, and has again if `state` is fine.
    pub driver: Option<String>,
    /// Why it is not as it was: `ETIMEDOUT` while the kernel still works on it, so that it was left alone.
    pub state: Result<()>,
}

impl Plan {
    /// Does all steps. When one fails, all devices are brought back to what they were.
    ///
    /// # Errors
    ///
    /// Why a step failed, and what the way back came to.
    pub fn apply(&self, sysfs: &Sysfs, kernel: &dyn Kernel) -> Result<Vec<Outcome>, Box<Failed>> {
        let mut touched: Vec<&Change> = Vec::new();
        for step in &self.steps {
            if let Some(change) = self.change_by(step)
                && !touched.contains(&change)
            {
                // Before the step: one that fails may have done half of its work.
                touched.push(change);
            }
            if let Err(error) = step.run(sysfs, kernel) {
                return Err(Box::new(give_back(step, error, &touched, sysfs, kernel)));
            }
        }
        let outcome = |change: &Change| Outcome {
            device: change.device.clone(),
            before: change.driver.clone(),
            after: sysfs.driver_of(&change.device),
        };
        Ok(self.changes.iter().map(outcome).collect())
    }

    /// The change that a step is of; looking for a module changes nothing yet.
    fn change_by(&self, step: &Step) -> Option<&Change> {
        let device = step.device().filter(|_| !matches!(step, Step::LoadFor { .. }))?;
        self.changes.iter().find(|change| change.device == *device)
    }
}

impl Step {
    fn run(&self, sysfs: &Sysfs, kernel: &dyn Kernel) -> Result<()> {
        match self {
            Self::Load { module, bus } => {
                kernel.load_module(module)?;
                if sysfs.has_driver(*bus, module) {
                    return Ok(());
                }
                return Err(Error::new(Errno::ENODEV, self.act(), module)
                    .with_cause(format_args!(
                        "it was loaded, and brought no {} driver of this name",
                        bus.title()
                    ))
                    .with_hint("load the right module by hand, then bind again"));
            }
            Self::LoadFor { alias, .. } => {
                // Most devices that one drives from userspace have no module in the kernel.
                let _ = kernel.load_module(alias);
                return Ok(());
            }
            _ => {}
        }
        let Some((attribute, text)) = self.write(sysfs) else { return Ok(()) };
        kernel.write(&attribute, &text).map_err(|error| self.explain(&error))?;
        self.verify(sysfs)
    }

    /// Whether it really happened.
    fn verify(&self, sysfs: &Sysfs) -> Result<()> {
        let (device, wanted) = match self {
            Self::Unbind { device, .. } => (device, None),
            Self::Bind { device, driver } => (device, Some(driver)),
            _ => return Ok(()),
        };
        let now = sysfs.driver_of(device);
        if now.as_ref() == wanted {
            return Ok(());
        }
        let cause = match now {
            Some(driver) => format!("the kernel took the request, but {driver} has it now"),
            None => "the kernel took the request, but no driver has it now".to_owned(),
        };
        Err(Error::new(Errno::ENODEV, self.act(), self.thing()).with_cause(cause))
    }

    fn explain(&self, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::TimedOut {
            return Error::new(Errno::ETIMEDOUT, self.act(), self.thing()).with_cause(error);
        }
        let explained = Error::from_io(error, self.act(), self.thing());
        match self {
            Self::Unbind { driver, .. } if error.kind() == io::ErrorKind::NotFound => explained
                .with_cause(format_args!("{driver} lets nothing go: it has no unbind"))
                .with_hint("only a kernel, or a device tree, without it for this device helps"),
            Self::Bind { driver, .. } => {
                let cause = format!("{driver} refuses it ({})", explained.errno());
                explained.with_cause(cause).with_hint("dmesg may say why")
            }
            _ => explained,
        }
    }

    /// What it acts on: `0000:00:03.0 from e1000e`.
    fn thing(&self) -> String {
        match self {
            Self::Load { module, .. } => module.clone(),
            Self::LoadFor { device, .. }
            | Self::Override { device, .. }
            | Self::Probe { device } => device.name.clone(),
            Self::Unbind { device, driver } => format!("{device} from {driver}"),
            Self::Bind { device, driver } => format!("{device} to {driver}"),
        }
    }
}

/// Takes everything back, the last change first. A device that the kernel is still busy with is let alone: whoever
/// touches its attributes waits as long as the kernel does.
fn give_back(
    step: &Step,
    error: Error,
    touched: &[&Change],
    sysfs: &Sysfs,
    kernel: &dyn Kernel,
) -> Failed {
    let busy = (error.errno() == Errno::ETIMEDOUT).then(|| step.device()).flatten();
    let returned = touched.iter().rev().map(|change| Returned {
        device: change.device.clone(),
        driver: change.driver.clone(),
        state: match busy == Some(&change.device) {
            true => Err(error.clone()),
            false => change.restore(sysfs, kernel),
        },
    });
    Failed { returned: returned.collect(), device: step.device().cloned(), error }
}

impl Change {
    /// Brings the device back to its driver and its override.
    fn restore(&self, sysfs: &Sysfs, kernel: &dyn Kernel) -> Result<()> {
        let device = || self.device.clone();
        let now = sysfs.driver_of(&self.device);
        let at_home = now == self.driver;
        if let Some(driver) = now.filter(|_| !at_home) {
            Step::Unbind { device: device(), driver }.run(sysfs, kernel)?;
        }
        let put = Step::Override { device: device(), driver: self.reserved_for.clone() };
        put.run(sysfs, kernel)?;
        let Some(driver) = self.driver.clone().filter(|_| !at_home) else { return Ok(()) };
        let bind = Step::Bind { device: device(), driver: driver.clone() };
        if bind.run(sysfs, kernel).is_ok() {
            return Ok(());
        }
        // It had been bound while the override named its driver, which was cleared since.
        Step::Override { device: device(), driver: Some(driver) }.run(sysfs, kernel)?;
        let bound = bind.run(sysfs, kernel);
        put.run(sysfs, kernel)?;
        bound
    }
}

impl Change {
    /// Whether the device is what it is to be already.
    pub fn is_made(&self) -> bool {
        match &self.goal {
            Goal::Driver(wanted) => self.driver.as_ref() == Some(wanted),
            Goal::Driverless => self.driver.is_none() && self.reserved_for.is_none(),
            // A driver that the kernel has chosen by itself needs no override.
            Goal::KernelsChoice => {
                let own = |driver: &String| !is_for_userspace(driver);
                self.reserved_for.is_none() && self.driver.as_ref().is_some_and(own)
            }
        }
    }
}

/// Whether a driver is there to hand devices to userspace, or to keep them from others.
pub fn is_for_userspace(driver: &str) -> bool {
    driver.contains("vfio") || ["uio_pci_generic", "uio_pdrv_genirq", "pci-stub"].contains(&driver)
}
