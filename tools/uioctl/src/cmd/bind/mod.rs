//! `uioctl bind` and `uioctl unbind`: which kernel driver has a device, a PCI function or one of the platform bus.
//!
//! [`bind`] and [`unbind`] find out what is to change ([`target`], `pci`, `platform`); a [`Job`] checks that it may and does it (`job`);
//! `report` says so. What is done, and how it is taken back, is `uio_core::sys::sysfs::bind`.

mod args;
mod found;
mod job;
mod pci;
pub(crate) mod platform;
mod report;
pub(crate) mod target;

use uio_core::pci::Address;
use uio_core::sys::sysfs::Sysfs;
use uio_core::sys::sysfs::bind::Goal;
use uio_core::sys::sysfs::rule::{Identity, Rule};
use uio_core::{Error, Result};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::out::Out;

pub(crate) use args::{BindArgs, Places, UnbindArgs};
pub(crate) use found::Found;
pub(crate) use job::addresses;
use job::{Job, RuleWish};
use target::Taken;

/// A device with its driver, and who goes with it.
#[derive(Debug)]
struct Binding {
    driver: String,
    taken: Taken,
    notes: Vec<String>,
}

pub(crate) fn bind(args: &BindArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    args.driver.as_deref().map_or(Ok(()), check_driver).map_err(Failure::Usage)?;
    let sysfs = Sysfs::at(&cli.sysfs);
    let Binding { driver, taken, notes } = match target::find(&sysfs, &args.device)? {
        Found::Pci(function) => pci::binding(&function, args, &sysfs)?,
        Found::Platform(info) => platform::binding(&info, args, &sysfs)?,
    };
    let Taken { devices, bridges } = taken;
    let rules = match args.persist {
        true => RuleWish::Keep(devices.iter().map(|found| found.rule(&driver)).collect()),
        false => RuleWish::Nothing,
    };
    let goal = Goal::Driver(driver);
    let job = Job { act: "cannot bind", how: &args.how, cli, goal, devices, bridges, rules };
    job.run(notes, out)
}

pub(crate) fn unbind(args: &UnbindArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let sysfs = Sysfs::at(&cli.sysfs);
    let found = match target::find(&sysfs, &args.device) {
        Ok(found) => found,
        // The device may be gone for good, and its rule is not.
        Err(error) if args.forget && !args.how.dry_run => {
            return forget_only(args, error, cli, out);
        }
        Err(error) => return Err(error.into()),
    };
    let devices = match found {
        Found::Pci(function) => {
            target::refuse_bridge(&function, "cannot unbind")?;
            match args.how.group {
                true => target::of_group(&sysfs, &function)?,
                false => vec![Found::Pci(function)],
            }
        }
        Found::Platform(info) if args.how.group => {
            return Err(Failure::Usage(target::no_group(&info.name)));
        }
        platform => vec![platform],
    };
    let goal = if args.driverless { Goal::Driverless } else { Goal::KernelsChoice };
    let rules = if args.forget { RuleWish::Forget } else { RuleWish::Nothing };
    let bridges = Vec::new();
    let job = Job { act: "cannot unbind", how: &args.how, cli, goal, devices, bridges, rules };
    job.run(Vec::new(), out)
}

/// A driver is the name of a directory, and of a module, and stands in quotes in a rule.
fn check_driver(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte);
    if !name.is_empty() && name.bytes().all(plain) && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    Err(Error::invalid("cannot use driver", format_args!("`{name}`"), "no driver has such a name")
        .with_hint(
            "write vfio-pci, uio_pci_generic, uio_pdrv_genirq, or one of /sys/bus/BUS/drivers",
        ))
}

fn forget_only(args: &UnbindArgs, error: Error, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let dir = &args.how.places.rules_dir;
    let Some(rule) = Rule::all(dir).into_iter().find(|rule| is_named(rule, &args.device)) else {
        return Err(error.into());
    };
    match Rule::forget(dir, &rule.device)? {
        Some(path) => Ok(report::forgotten(&rule.device, &path, cli, out)?),
        None => Err(error.into()),
    }
}

/// Whether a user means the device of this rule: by its name, its address or its node.
fn is_named(rule: &Rule, text: &str) -> bool {
    let text = text.strip_prefix("pci:").unwrap_or(text);
    let address = text.parse::<Address>().ok().map(|address| address.to_string());
    let node = text.strip_prefix("of:").unwrap_or(text);
    rule.device.name == address.as_deref().unwrap_or(text)
        || rule.identity == Identity::Node(node.to_owned())
}
