//! `uioctl status BDF`: who has a PCI function. And, below the daemons, a table of those that are bound for userspace.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use uio_core::Error;
use uio_core::sys::sysfs::bind::{Kernel, is_for_userspace, parse_override};
use uio_core::sys::sysfs::rule::Rule;
use uio_core::sys::sysfs::usage::{Holder, Machine, Use};
use uio_core::sys::sysfs::{GroupMember, PciInfo, Sysfs};

use super::bind::{addresses, target};
use super::daemons::Daemons;
use crate::cli::{Cli, StatusArgs};
use crate::failure::Failure;
use crate::kernel::Children;
use crate::out::Out;
use crate::table::{Align, Cell, Paint, Table};

/// An attribute that is not there by then is behind somebody who unbinds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who has a function.
#[derive(Debug, Serialize)]
struct Binding {
    device: String,
    vendor: u16,
    device_id: u16,
    driver: Option<String>,
    driver_override: Option<String>,
    /// The kernel did not tell the override: it is busy with the function.
    busy: bool,
    iommu_group: Option<u32>,
    /// Whether VFIO could open the group; none without one.
    viable: Option<bool>,
    siblings: Vec<Sibling>,
    rule: Option<RuleOf>,
    holders: Vec<HolderOf>,
    /// What else it is in use for, in words.
    uses: Vec<String>,
    daemons: Vec<DaemonOf>,
}

#[derive(Debug, Serialize)]
struct Sibling {
    device: String,
    driver: Option<String>,
    blocks_vfio: bool,
}

#[derive(Debug, Serialize)]
struct RuleOf {
    path: PathBuf,
    driver: String,
    /// Whether it is for this card; another one may be in the slot by now.
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
    let function = target::find(&Sysfs::at(&cli.sysfs), address)?;
    let daemons = match Daemons::ask(&args.daemons.run_dir()) {
        Ok(daemons) => daemons,
        Err(error) => Daemons::unreachable(error),
    };
    let binding = Binding::of(&function, &machine(cli, args), args, &daemons)?;
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

/// The functions that are bound for userspace, if there are any.
pub(super) fn all(cli: &Cli, args: &StatusArgs, out: &mut Out) -> Result<(), Failure> {
    let machine = machine(cli, args);
    let mut functions = machine.sysfs.pci_devices()?;
    functions.retain(|function| function.driver.as_deref().is_some_and(is_for_userspace));
    if functions.is_empty() {
        return Ok(());
    }
    let mut table =
        Table::new(["PCI", "ID", "DRIVER", "GROUP", "HELD BY"].map(|title| (title, Align::Left)));
    for function in &functions {
        let group = function.iommu_group.map_or("-".into(), |group| {
            let viable = is_viable(&machine.sysfs, function);
            format!("{group}, {}", if viable { "viable" } else { "not viable" })
        });
        let holders = machine.holders_of(&function.bdf);
        let holders: Vec<String> =
            holders.iter().map(|holder| format!("{} ({})", holder.name, holder.pid)).collect();
        table.row(vec![
            Cell::painted(&function.bdf, Paint::Bold),
            format!("{:04x}:{:04x}", function.vendor, function.device).into(),
            Cell::from(function.driver.as_deref().unwrap_or("-")),
            Cell::from(group),
            Cell::from(holders.join(", ")),
        ]);
    }
    writeln!(out)?;
    Ok(out.table(&table)?)
}

/// Whether nobody of its group is with a driver that is in VFIO's way.
fn is_viable(sysfs: &Sysfs, function: &PciInfo) -> bool {
    let own = GroupMember { bdf: function.bdf.clone(), driver: function.driver.clone() };
    let siblings = target::siblings(sysfs, function);
    !own.blocks_vfio() && !siblings.iter().any(GroupMember::blocks_vfio)
}

impl Binding {
    fn of(
        function: &PciInfo,
        machine: &Machine,
        args: &StatusArgs,
        daemons: &Daemons,
    ) -> Result<Self, Error> {
        let bdf = &function.bdf;
        let sibling = |member: &GroupMember| Sibling {
            device: member.bdf.clone(),
            driver: member.driver.clone(),
            blocks_vfio: member.blocks_vfio(),
        };
        let (driver_override, busy) = override_of(function, &machine.sysfs)?;
        let mut holders = Vec::new();
        let mut uses = Vec::new();
        for what in machine.uses_of(bdf) {
            match what {
                Use::Open(holder) => holders.push(HolderOf::from(holder)),
                other => uses.push(other.to_string()),
            }
        }
        Ok(Self {
            device: bdf.clone(),
            vendor: function.vendor,
            device_id: function.device,
            driver: function.driver.clone(),
            driver_override,
            busy,
            iommu_group: function.iommu_group,
            viable: function.iommu_group.map(|_| is_viable(&machine.sysfs, function)),
            siblings: target::siblings(&machine.sysfs, function).iter().map(sibling).collect(),
            rule: rule_of(function, args),
            holders,
            uses,
            daemons: daemons_of(function, &machine.sysfs, daemons),
        })
    }

    fn show(&self, out: &mut Out) -> io::Result<()> {
        let title = Paint::Bold.apply(&self.device, out.colors());
        writeln!(out, "{title}, {:04x}:{:04x}", self.vendor, self.device_id)?;
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
            (_, true) => "unknown: the kernel is busy with the function".to_owned(),
            (reserved, false) => reserved.clone().unwrap_or_else(none),
        };
        let mut lines = vec![
            ("driver", driver),
            ("driver_override", Cell::from(reserved)),
            ("IOMMU group", self.group_cell()),
        ];
        lines.extend(self.siblings.iter().map(|sibling| {
            let driver = sibling.driver.as_deref().unwrap_or("no driver");
            let way = if sibling.blocks_vfio { ", in the way of VFIO" } else { "" };
            let paint = if sibling.blocks_vfio { Paint::Warn } else { Paint::Plain };
            ("  with", Cell::painted(format!("{}, {driver}{way}", sibling.device), paint))
        }));
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

    fn group_cell(&self) -> Cell {
        match (self.iommu_group, self.viable) {
            (Some(group), Some(true)) => format!("{group}, viable").into(),
            (Some(group), _) => Cell::painted(format!("{group}, not viable"), Paint::Warn),
            (None, _) => "none".into(),
        }
    }
}

impl From<Holder> for HolderOf {
    fn from(Holder { pid, name, node }: Holder) -> Self {
        Self { pid, name, node }
    }
}

impl RuleOf {
    fn says(&self) -> String {
        let other = if self.matches { "" } else { ", but for another card than this" };
        format!("to {}{other}, by {}", self.driver, self.path.display())
    }
}

/// The override, and whether the kernel was too busy to tell it.
fn override_of(function: &PciInfo, sysfs: &Sysfs) -> Result<(Option<String>, bool), Error> {
    match Children::new(PATIENCE).read(&sysfs.pci_override(&function.bdf)) {
        Ok(text) => Ok((parse_override(&text), false)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok((None, true)),
        // Gone, or a kernel of before 3.16.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, false)),
        Err(error) => {
            Err(Error::from_io(&error, "cannot read the driver_override of", &function.bdf))
        }
    }
}

fn rule_of(function: &PciInfo, args: &StatusArgs) -> Option<RuleOf> {
    let dir = &args.places.rules_dir;
    let rule = Rule::kept(dir, &function.bdf)?;
    Some(RuleOf {
        path: Rule::path(dir, &function.bdf),
        matches: (rule.vendor, rule.device) == (function.vendor, function.device),
        driver: rule.driver,
    })
}

/// The daemons that say that they run it, as `pci:BDF` or as the UIO device that the kernel made of it.
fn daemons_of(function: &PciInfo, sysfs: &Sysfs, daemons: &Daemons) -> Vec<DaemonOf> {
    let mut names = vec![format!("pci:{}", function.bdf)];
    if let Some(short) = function.bdf.strip_prefix("0000:") {
        names.push(format!("pci:{short}"));
    }
    let end = format!("/{}", function.bdf);
    let uio = sysfs.uio_devices().unwrap_or_default();
    for device in uio {
        let parent = device.device.as_deref().map(|path| path.to_string_lossy().into_owned());
        if parent.is_some_and(|path| path.ends_with(&end)) {
            names.push(format!("uio:uio{}", device.number));
        }
    }
    let mut found = Vec::new();
    for answer in daemons.told() {
        let own = answer.status.devices.iter().filter(|device| names.contains(&device.name));
        found.extend(own.map(|device| DaemonOf {
            pid: answer.pid,
            name: device.name.clone(),
            driver: device.driver.clone(),
            state: device.state.clone(),
        }));
    }
    found
}
