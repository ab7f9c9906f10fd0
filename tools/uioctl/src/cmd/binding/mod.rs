//! `uioctl status DEVICE`: who has a device. And, below the daemons, tables of those that are bound for userspace.
//!
//! [`Binding`] is what all devices have in common; `pci` and `platform` know what is special about theirs.

mod pci;
mod platform;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use uio_core::Error;
use uio_core::sys::sysfs::bind::{Kernel, parse_override};
use uio_core::sys::sysfs::rule::Rule;
use uio_core::sys::sysfs::usage::{Holder, Machine, Use};
use uio_core::sys::sysfs::{BusDevice, Sysfs};

use super::bind::{Found, addresses, target};
use super::daemons::Daemons;
use crate::cli::{Cli, StatusArgs};
use crate::failure::Failure;
use crate::kernel::Children;
use crate::out::Out;
use crate::table::{Align, Cell, Paint, Table, printable};
use pci::Function;
use platform::Block;

/// An attribute that is not there by then is behind somebody who unbinds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who has a device.
#[derive(Debug, Serialize)]
struct Binding {
    device: String,
    driver: Option<String>,
    driver_override: Option<String>,
    /// The kernel did not tell the override: it is busy with the device.
    busy: bool,
    #[serde(flatten)]
    kind: Kind,
    rule: Option<RuleOf>,
    holders: Vec<HolderOf>,
    /// What else it is in use for, in words.
    uses: Vec<String>,
    daemons: Vec<DaemonOf>,
}

/// What is special about it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Kind {
    Pci(Function),
    Platform(Block),
}

#[derive(Debug, Serialize)]
struct RuleOf {
    path: PathBuf,
    driver: String,
    /// Whether it is for this device; another card may be in the slot by now.
    matches: bool,
}

#[derive(Debug, Serialize)]
struct HolderOf {
    pid: u32,
    name: String,
    node: String,
}

#[derive(Debug, Serialize)]
struct DaemonOf {
    pid: u32,
    /// As the daemon calls the device.
    name: String,
    driver: String,
    state: String,
}

pub(super) fn one(
    address: &str,
    args: &StatusArgs,
    cli: &Cli,
    out: &mut Out,
) -> Result<(), Failure> {
    let found = target::find(&Sysfs::at(&cli.sysfs), address)?;
    let daemons = match Daemons::ask(&args.daemons.run_dir()) {
        Ok(daemons) => daemons,
        Err(error) => Daemons::unreachable(error),
    };
    let binding = Binding::of(&found, &machine(cli, args), args, &daemons)?;
    if cli.json {
        out.json(&binding)?;
    } else {
        binding.show(out)?;
    }
    daemons.finish(out)
}

fn machine(cli: &Cli, args: &StatusArgs) -> Machine {
    Machine {
        sysfs: Sysfs::at(&cli.sysfs),
        proc: cli.proc.clone(),
        udev: args.places.udev_data.clone(),
        addresses: addresses(cli),
    }
}

/// The devices that are bound for userspace, if there are any.
pub(super) fn all(cli: &Cli, args: &StatusArgs, out: &mut Out) -> Result<(), Failure> {
    let machine = machine(cli, args);
    pci::all(&machine, out)?;
    platform::all(&machine, out)
}

/// Who has it open: `uiod (77)`.
fn held_by(machine: &Machine, device: &BusDevice) -> Cell {
    let holders = machine.holders_of(device);
    let holders: Vec<String> =
        holders.iter().map(|holder| format!("{} ({})", holder.name, holder.pid)).collect();
    Cell::from(holders.join(", "))
}

impl Binding {
    fn of(
        found: &Found,
        machine: &Machine,
        args: &StatusArgs,
        daemons: &Daemons,
    ) -> Result<Self, Error> {
        let device = found.device();
        let (driver_override, busy) = override_of(&device, &machine.sysfs)?;
        let mut holders = Vec::new();
        let mut uses = Vec::new();
        for what in machine.uses_of(&device) {
            match what {
                Use::Open(holder) => holders.push(HolderOf::from(holder)),
                other => uses.push(other.to_string()),
            }
        }
        Ok(Self {
            device: device.to_string(),
            driver: found.driver().map(str::to_owned),
            driver_override,
            busy,
            kind: match found {
                Found::Pci(function) => Kind::Pci(Function::of(function, &machine.sysfs)),
                Found::Platform(info) => Kind::Platform(Block::of(info, &machine.sysfs)),
            },
            rule: rule_of(found, args),
            holders,
            uses,
            daemons: daemons_of(found, &machine.sysfs, daemons),
        })
    }

    fn show(&self, out: &mut Out) -> io::Result<()> {
        let title = Paint::Bold.apply(&self.device, out.colors());
        let what = match &self.kind {
            Kind::Pci(function) => function.title(),
            Kind::Platform(block) => block.title(),
        };
        writeln!(out, "{title}, {}", printable(&what))?;
        let mut table = Table::new([("", Align::Left), ("", Align::Left)]).indented(2);
        for (name, value) in self.lines() {
            table.row(vec![name.into(), value]);
        }
        // The header is empty: the first line.
        for line in table.render(out.colors(), None).iter().skip(1) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let none = || "none".to_owned();
        let driver = match &self.driver {
            Some(driver) => Cell::painted(driver, Paint::Good),
            None => Cell::from(none()),
        };
        let reserved = match (&self.driver_override, self.busy) {
            (_, true) => "unknown: the kernel is busy with the device".to_owned(),
            (reserved, false) => reserved.clone().unwrap_or_else(none),
        };
        let mut lines = vec![("driver", driver), ("driver_override", Cell::from(reserved))];
        lines.extend(match &self.kind {
            Kind::Pci(function) => function.lines(),
            Kind::Platform(block) => block.lines(),
        });
        let rule = self.rule.as_ref().map_or_else(none, RuleOf::says);
        lines.push(("bound at boot", Cell::from(rule)));
        lines.extend(self.uses.iter().map(|what| ("in use", Cell::painted(what, Paint::Warn))));
        lines.extend(self.holders.iter().map(|holder| {
            let text = format!("{} (process {}) has {}", holder.name, holder.pid, holder.node);
            ("open", Cell::from(text))
        }));
        lines.extend(self.daemons.iter().map(|daemon| {
            let DaemonOf { pid, name, driver, state } = daemon;
            ("daemon", Cell::from(format!("uiod {pid} has it as {name}, driver {driver}, {state}")))
        }));
        lines
    }
}

impl From<Holder> for HolderOf {
    fn from(Holder { pid, name, node }: Holder) -> Self {
        Self { pid, name, node }
    }
}

impl RuleOf {
    fn says(&self) -> String {
        let other = if self.matches { "" } else { ", but for another device than this" };
        format!("to {}{other}, by {}", self.driver, self.path.display())
    }
}

/// The override, and whether the kernel was too busy to tell it.
fn override_of(device: &BusDevice, sysfs: &Sysfs) -> Result<(Option<String>, bool), Error> {
    match Children::new(PATIENCE).read(&sysfs.override_of(device)) {
        Ok(text) => Ok((parse_override(&text), false)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok((None, true)),
        // Gone, or a kernel of before 3.16.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, false)),
        Err(error) => Err(Error::from_io(&error, "cannot read the driver_override of", device)),
    }
}

fn rule_of(found: &Found, args: &StatusArgs) -> Option<RuleOf> {
    let (dir, device) = (&args.places.rules_dir, found.device());
    let rule = Rule::kept(dir, &device)?;
    Some(RuleOf {
        path: Rule::path(dir, &device),
        matches: found.is_meant_by(&rule),
        driver: rule.driver,
    })
}

/// The daemons that say that they run it, by any of the names that they may know it by.
fn daemons_of(found: &Found, sysfs: &Sysfs, daemons: &Daemons) -> Vec<DaemonOf> {
    let names = names_of(found, sysfs);
    let mut all = Vec::new();
    for answer in daemons.told() {
        let own = answer.status.devices.iter().filter(|device| names.contains(&device.name));
        all.extend(own.map(|device| DaemonOf {
            pid: answer.pid,
            name: device.name.clone(),
            driver: device.driver.clone(),
            state: device.state.clone(),
        }));
    }
    all
}

/// `pci:BDF`, `of:NODE`, `of:COMPATIBLE`, and the UIO device that the kernel made of it.
fn names_of(found: &Found, sysfs: &Sysfs) -> Vec<String> {
    let mut names = match found {
        Found::Pci(function) => {
            let short = function.bdf.strip_prefix("0000:").unwrap_or(&function.bdf);
            vec![format!("pci:{}", function.bdf), format!("pci:{short}")]
        }
        Found::Platform(info) => {
            let words = info.node.iter().chain(&info.compatible);
            words.map(|word| format!("of:{word}")).collect()
        }
    };
    let end = format!("/{}", found.device());
    for uio in sysfs.uio_devices().unwrap_or_default() {
        let parent = uio.device.as_deref().map(|path| path.to_string_lossy().into_owned());
        if parent.is_some_and(|path| path.ends_with(&end)) {
            let (number, name) = (uio.number, uio.name);
            names.extend([format!("uio{number} ({name})"), format!("uio:uio{number}")]);
        }
    }
    names
}

/// A table below what was shown before, unless it has no rows.
fn show_table(table: &Table, is_empty: bool, out: &mut Out) -> Result<(), Failure> {
    if is_empty {
        return Ok(());
    }
    writeln!(out)?;
    Ok(out.table(table)?)
}
