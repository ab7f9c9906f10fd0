//! Doing what a [`Plan`] says, and taking it back.
//!
//! Each step is judged by what sysfs shows afterwards, never by the write alone: `drivers_probe` succeeds when
//! nothing was bound, and a module may come without the driver.

use std::io;

use super::super::Sysfs;
use super::{Change, Goal, Kernel, Plan, Step};
use crate::error::{Errno, Error, Result};

/// What became of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The function.
    pub bdf: String,
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
    /// The function whose step failed; none if a module was the matter.
    pub bdf: Option<String>,
    /// What became of each function that had been touched, the last first. Empty: nothing was changed.
    pub returned: Vec<Returned>,
}

/// A function after the attempt to give it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The function.
    pub bdf: String,
    /// The driver that it had, and has again if `state` is fine.
    pub driver: Option<String>,
    /// Why it is not as it was: `ETIMEDOUT` while the kernel still works on it, so that it was left alone.
    pub state: Result<()>,
}

impl Plan {
    /// Does all steps. When one fails, all functions are brought back to what they were.
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
            bdf: change.bdf.clone(),
            before: change.driver.clone(),
            after: sysfs.pci_driver_of(&change.bdf),
        };
        Ok(self.changes.iter().map(outcome).collect())
    }

    /// The change that a step is of; looking for a module changes nothing yet.
    fn change_by(&self, step: &Step) -> Option<&Change> {
        let bdf = step.bdf().filter(|_| !matches!(step, Step::LoadFor { .. }))?;
        self.changes.iter().find(|change| change.bdf == bdf)
    }
}

impl Step {
    fn run(&self, sysfs: &Sysfs, kernel: &dyn Kernel) -> Result<()> {
        match self {
            Self::Load { module } => {
                kernel.load_module(module)?;
                if sysfs.has_pci_driver(module) {
                    return Ok(());
                }
                return Err(Error::new(Errno::ENODEV, self.act(), module)
                    .with_cause("it was loaded, and brought no PCI driver of this name")
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
        let (bdf, wanted) = match self {
            Self::Unbind { bdf, .. } => (bdf, None),
            Self::Bind { bdf, driver } => (bdf, Some(driver)),
            _ => return Ok(()),
        };
        let now = sysfs.pci_driver_of(bdf);
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
            Self::Load { module } => module.clone(),
            Self::LoadFor { bdf, .. } | Self::Override { bdf, .. } | Self::Probe { bdf } => {
                bdf.clone()
            }
            Self::Unbind { bdf, driver } => format!("{bdf} from {driver}"),
            Self::Bind { bdf, driver } => format!("{bdf} to {driver}"),
        }
    }
}

/// Takes everything back, the last change first. A function that the kernel is still busy with is let alone: whoever
/// touches its attributes waits as long as the kernel does.
fn give_back(
    step: &Step,
    error: Error,
    touched: &[&Change],
    sysfs: &Sysfs,
    kernel: &dyn Kernel,
) -> Failed {
    let busy = (error.errno() == Errno::ETIMEDOUT).then(|| step.bdf()).flatten();
    let returned = touched.iter().rev().map(|change| Returned {
        bdf: change.bdf.clone(),
        driver: change.driver.clone(),
        state: match busy == Some(&*change.bdf) {
            true => Err(error.clone()),
            false => change.restore(sysfs, kernel),
        },
    });
    Failed { returned: returned.collect(), bdf: step.bdf().map(str::to_owned), error }
}

impl Change {
    /// Brings the function back to its driver and its override.
    fn restore(&self, sysfs: &Sysfs, kernel: &dyn Kernel) -> Result<()> {
        let bdf = || self.bdf.clone();
        let now = sysfs.pci_driver_of(&self.bdf);
        let at_home = now == self.driver;
        if let Some(driver) = now.filter(|_| !at_home) {
            Step::Unbind { bdf: bdf(), driver }.run(sysfs, kernel)?;
        }
        let put = Step::Override { bdf: bdf(), driver: self.reserved_for.clone() };
        put.run(sysfs, kernel)?;
        let Some(driver) = self.driver.clone().filter(|_| !at_home) else { return Ok(()) };
        let bind = Step::Bind { bdf: bdf(), driver: driver.clone() };
        if bind.run(sysfs, kernel).is_ok() {
            return Ok(());
        }
        // It had been bound while the override named its driver, which was cleared since.
        Step::Override { bdf: bdf(), driver: Some(driver) }.run(sysfs, kernel)?;
        let bound = bind.run(sysfs, kernel);
        put.run(sysfs, kernel)?;
        bound
    }
}

impl Change {
    /// Whether the function is what it is to be already.
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

/// Whether a driver is there to hand functions to userspace, or to keep them from others.
pub fn is_for_userspace(driver: &str) -> bool {
    driver.contains("vfio") || driver.starts_with("uio_pci") || driver == "pci-stub"
}
