//! `uioctl bind` and `uioctl unbind`: which kernel driver has a PCI function.
//!
//! [`bind`] and [`unbind`] find out what is to change ([`target`]); a [`Job`] checks that it may and does it (`job`);
//! `report` says so. What is done, and how it is taken back, is `uio_core::sys::sysfs::bind`.

mod args;
mod job;
mod report;
pub(crate) mod target;

use uio_core::sys::sysfs::bind::Goal;
use uio_core::sys::sysfs::rule::Rule;
use uio_core::sys::sysfs::{PciInfo, Sysfs};
use uio_core::{Error, Result};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::out::Out;

pub(crate) use args::{BindArgs, Places, UnbindArgs};
pub(crate) use job::addresses;
use job::{Job, RuleWish};
use target::Taken;

const UIO_PCI_GENERIC: &str = "uio_pci_generic";

pub(crate) fn bind(args: &BindArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    check_driver(&args.driver).map_err(Failure::Usage)?;
    let for_vfio = args.driver.contains("vfio");
    if args.how.group && !for_vfio {
        let error = Error::invalid("cannot use", "--group", "groups matter to vfio-pci alone")
            .with_hint("name each function by itself");
        return Err(Failure::Usage(error));
    }
    let sysfs = Sysfs::at(&cli.sysfs);
    let function = target::find(&sysfs, &args.device)?;
    target::refuse_bridge(&function, "cannot bind")?;
    let bound = function.driver.as_ref() == Some(&args.driver);
    let Taken { functions, bridges } = match for_vfio && (!bound || args.how.group) {
        true => target::for_vfio(&sysfs, &function, &args.driver, args.how.group)?,
        false => Taken::alone(&function),
    };
    let goal = Goal::Driver(args.driver.clone());
    let rules = match args.persist {
        true => RuleWish::Keep(
            functions.iter().map(|function| Rule::new(function, &args.driver)).collect(),
        ),
        false => RuleWish::Nothing,
    };
    let mut notes = notes(&sysfs, &function, &args.driver);
    if args.persist && !bridges.is_empty() {
        notes.push(
            "no rule keeps the driver from a bridge: bind with --group again after a boot".into(),
        );
    }
    let job = Job { act: "cannot bind", how: &args.how, cli, goal, functions, bridges, rules };
    job.run(notes, out)
}

pub(crate) fn unbind(args: &UnbindArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let sysfs = Sysfs::at(&cli.sysfs);
    let function = match target::find(&sysfs, &args.device) {
        Ok(function) => function,
        // The card may be gone for good, and its rule is not.
        Err(error) if args.forget && !args.how.dry_run => {
            return forget_only(args, error, cli, out);
        }
        Err(error) => return Err(error.into()),
    };
    target::refuse_bridge(&function, "cannot unbind")?;
    let functions = match args.how.group {
        true => target::of_group(&sysfs, &function)?,
        false => vec![function],
    };
    let goal = if args.driverless { Goal::Driverless } else { Goal::KernelsChoice };
    let rules = if args.forget { RuleWish::Forget } else { RuleWish::Nothing };
    let bridges = Vec::new();
    let job = Job { act: "cannot unbind", how: &args.how, cli, goal, functions, bridges, rules };
    job.run(Vec::new(), out)
}

/// A driver is the name of a directory, and of a module, and stands in quotes in a rule.
fn check_driver(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte);
    if !name.is_empty() && name.bytes().all(plain) && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    Err(Error::invalid("cannot use driver", format_args!("`{name}`"), "no driver has such a name")
        .with_hint("write vfio-pci, uio_pci_generic, or one of /sys/bus/pci/drivers"))
}

/// What a user should know of a driver for this function.
fn notes(sysfs: &Sysfs, function: &PciInfo, driver: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if driver == UIO_PCI_GENERIC {
        if function.irq.is_none() {
            notes.push(format!(
                "{} has no INTx line, and {driver} knows no other interrupt: it will raise none",
                function.bdf
            ));
        }
        notes.push(format!(
            "{driver} puts no IOMMU between the device and the memory: one that masters the bus can write anywhere"
        ));
    }
    let siblings = target::siblings(sysfs, function);
    if driver.contains("vfio") && !siblings.is_empty() {
        let named: Vec<String> = siblings
            .iter()
            .map(|member| {
                format!("{} ({})", member.bdf, member.driver.as_deref().unwrap_or("no driver"))
            })
            .collect();
        notes.push(format!("in its IOMMU group there are also {}", named.join(", ")));
    }
    notes
}

fn forget_only(args: &UnbindArgs, error: Error, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let Ok(address) = args.device.parse::<uio_core::pci::Address>() else {
        return Err(error.into());
    };
    match Rule::forget(&args.how.places.rules_dir, &address.to_string())? {
        Some(path) => Ok(report::forgotten(&address.to_string(), &path, cli, out)?),
        None => Err(error.into()),
    }
}
