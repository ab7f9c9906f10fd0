//! A [`Job`]: checks first, then the steps, then the rule; with `--dry-run`, a look at them.

use std::path::Path;

use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat, geteuid};
use uio_core::sys::sysfs::bind::{
    Change, Failed, Goal, Kernel, Outcome, Plan, Returned, is_for_userspace, parse_override,
};
use uio_core::sys::sysfs::rule::Rule;
use uio_core::sys::sysfs::usage::Machine;
use uio_core::sys::sysfs::{BusDevice, Sysfs};
use uio_core::{Errno, Error, Result};

use super::args::How;
use super::found::Found;
use super::report::{Report, RuleReport};
use crate::cli::Cli;
use crate::failure::Failure;
use crate::kernel::{Children, hold_signals};
use crate::out::Out;

/// What is to become of the rules that bind at boot.
#[derive(Debug)]
pub(super) enum RuleWish {
    Nothing,
    Keep(Vec<Rule>),
    Forget,
}

/// Devices that all go the same way.
#[derive(Debug)]
pub(super) struct Job<'a> {
    /// The start of each complaint: `cannot bind`.
    pub(super) act: &'static str,
    pub(super) how: &'a How,
    pub(super) cli: &'a Cli,
    pub(super) goal: Goal,
    /// The one that was named is the first.
    pub(super) devices: Vec<Found>,
    /// Bridges that lose their driver for that.
    pub(super) bridges: Vec<Found>,
    pub(super) rules: RuleWish,
}

impl Job<'_> {
    pub(super) fn run(&self, notes: Vec<String>, out: &mut Out) -> Result<(), Failure> {
        let sysfs = Sysfs::at(&self.cli.sysfs);
        let kernel = Children::new(self.how.patience());
        let machine = Machine {
            sysfs: sysfs.clone(),
            proc: self.cli.proc.clone(),
            udev: self.how.places.udev_data.clone(),
            addresses: addresses(self.cli),
        };
        let mut report =
            Report::new(&self.devices[0].device(), &self.goal, self.how.dry_run, notes);
        let mut changes = self.changes(&kernel, &machine)?;
        changes.retain(|change| !change.is_made());
        if !self.how.dry_run {
            self.check_rights(&sysfs, &changes)?;
        } else if !geteuid().is_root() {
            report.note("only root sees what the processes of others have open".to_owned());
        }
        self.check_uses(&machine, &changes, &mut report)?;
        let plan = Plan::new(&sysfs, changes);
        report.steps(&plan, &sysfs);
        if !self.how.dry_run {
            hold_signals();
            let done = plan.apply(&sysfs, &kernel);
            let outcomes: Vec<Outcome> = done.map_err(|failed| explain(&failed, &machine))?;
            self.note_return(&outcomes, &mut report);
            report.outcomes(outcomes);
        }
        self.settle_rules(&mut report)?;
        Ok(report.show(self.cli, out)?)
    }

    /// A device that the kernel gives to userspace by itself comes back at once.
    fn note_return(&self, outcomes: &[Outcome], report: &mut Report) {
        for Outcome { device, before, after } in outcomes {
            let Some(driver) = after.as_ref().filter(|_| before == after) else { continue };
            if self.goal == Goal::KernelsChoice && is_for_userspace(driver) {
                report.note(format!(
                    "the kernel chooses {driver} for {device} by itself: uioctl unbind {device} --driverless leaves it \
                     without"
                ));
            }
        }
    }

    /// What each device is, and is to be.
    fn changes(&self, kernel: &Children, machine: &Machine) -> Result<Vec<Change>> {
        let change = |(found, goal): (&Found, &Goal)| {
            let device = found.device();
            let text = kernel.read(&machine.sysfs.override_of(&device)).map_err(|error| {
                busy(Error::from_io(&error, self.act, &device), &error, machine, &device)
            })?;
            Ok(Change {
                device,
                driver: found.driver().map(str::to_owned),
                reserved_for: parse_override(&text),
                goal: goal.clone(),
            })
        };
        let bridges = self.bridges.iter().map(|bridge| (bridge, &Goal::Driverless));
        bridges.chain(self.devices.iter().map(|device| (device, &self.goal))).map(change).collect()
    }

    /// Before anything is touched.
    fn check_rights(&self, sysfs: &Sysfs, changes: &[Change]) -> Result<()> {
        for change in changes {
            let attribute = sysfs.override_of(&change.device);
            may_write(&attribute).map_err(|errno| {
                let error = Error::new(errno, self.act, &change.device).with_cause(format_args!(
                    "we may not write to {}: {}",
                    attribute.display(),
                    errno.desc().to_lowercase()
                ));
                error.with_hint(match errno {
                    Errno::EROFS => "run it outside of the container, or mount /sys writable",
                    _ => "run it as root: sudo uioctl ...",
                })
            })?;
        }
        let dir = &self.how.places.rules_dir;
        if matches!(self.rules, RuleWish::Keep(_)) && !dir.is_dir() {
            return Err(Error::new(Errno::ENOENT, "cannot write a rule to", dir.display())
                .with_cause("there is no such directory")
                .with_hint("install udev, or leave --persist out and bind at every boot"));
        }
        Ok(())
    }

    fn check_uses(&self, machine: &Machine, changes: &[Change], report: &mut Report) -> Result<()> {
        for change in changes {
            let uses: Vec<String> =
                machine.uses_of(&change.device).iter().map(ToString::to_string).collect();
            if uses.is_empty() {
                continue;
            }
            let uses = uses.join("; ");
            if self.how.force {
                report.note(format!(
                    "{} is in use, and is taken all the same: {uses}",
                    change.device
                ));
                continue;
            }
            return Err(Error::new(Errno::EBUSY, self.act, &change.device)
                .with_cause(format_args!("it is in use: {uses}"))
                .with_hint("put an end to that first, or take it all the same with --force"));
        }
        Ok(())
    }

    fn settle_rules(&self, report: &mut Report) -> Result<()> {
        let dir = &self.how.places.rules_dir;
        match &self.rules {
            RuleWish::Keep(rules) => {
                for rule in rules {
                    report.rule(RuleReport::keep(rule, dir, self.how.dry_run)?);
                }
            }
            RuleWish::Forget => {
                for found in &self.devices {
                    report.rule(RuleReport::forget(&found.device(), dir, self.how.dry_run)?);
                }
            }
            RuleWish::Nothing => {
                self.devices.iter().for_each(|found| self.remember(&found.device(), report));
            }
        }
        Ok(())
    }

    /// A rule that says otherwise will win at the next boot.
    fn remember(&self, device: &BusDevice, report: &mut Report) {
        let Some(rule) = Rule::kept(&self.how.places.rules_dir, device) else { return };
        if self.goal != Goal::Driver(rule.driver.clone()) {
            report.note(format!(
                "at the next boot a rule binds {device} to {driver}: uioctl unbind {device} --forget removes it",
                driver = rule.driver,
            ));
        }
    }
}

/// As the effective user; the real one may be another.
fn may_write(path: &Path) -> std::result::Result<(), Errno> {
    faccessat(nix::fcntl::AT_FDCWD, path, AccessFlags::W_OK, AtFlags::AT_EACCESS)
}

/// The interfaces of this machine with their addresses; none where sysfs is a copy of another one's.
pub(crate) fn addresses(cli: &Cli) -> Vec<(String, String)> {
    if cli.sysfs != Path::new("/sys") {
        return Vec::new();
    }
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    all.filter_map(|interface| {
        let address = interface.address?;
        let text = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => v4.ip().to_string(),
            (_, Some(v6)) => v6.ip().to_string(),
            _ => return None,
        };
        Some((interface.interface_name, text))
    })
    .collect()
}

/// Names those who keep the kernel from answering.
fn busy(error: Error, cause: &std::io::Error, machine: &Machine, device: &BusDevice) -> Error {
    if cause.kind() != std::io::ErrorKind::TimedOut {
        return error;
    }
    error
        .with_cause(
            "the kernel is busy with it: somebody unbinds it already and waits for its user",
        )
        .with_hint(let_go(machine, device))
}

/// Who has the device open, and what to do about it.
fn let_go(machine: &Machine, device: &BusDevice) -> String {
    let holders: Vec<String> = machine.holders_of(device).iter().map(ToString::to_string).collect();
    match &holders[..] {
        [] => "whoever uses it has to close it; try again then".to_owned(),
        holders => format!("{}: end it, and try again", holders.join("; ")),
    }
}

/// Why a plan failed, and where everything is now, on one line.
fn explain(failed: &Failed, machine: &Machine) -> Failure {
    let mut hints: Vec<String> = failed.error.hint().map(str::to_owned).into_iter().collect();
    if failed.error.errno() == Errno::ETIMEDOUT
        && let Some(device) = &failed.device
    {
        hints.push(let_go(machine, device));
        hints.push("the kernel goes on with it by itself as soon as it can".to_owned());
    }
    hints.extend(failed.returned.iter().filter_map(returned));
    if failed.returned.is_empty() {
        hints.push("nothing was changed".to_owned());
    }
    Failure::Because(failed.error.clone().with_hint(hints.join("; ")))
}

fn returned(Returned { device, driver, state }: &Returned) -> Option<String> {
    match (state, driver) {
        (Ok(()), Some(driver)) => Some(format!("rolled back: {device} is with {driver} as before")),
        (Ok(()), None) => Some(format!("rolled back: {device} has no driver, as before")),
        // It is what the message is about.
        (Err(error), _) if error.errno() == Errno::ETIMEDOUT => None,
        (Err(error), _) => Some(format!("{device} could not be given back: {error}")),
    }
}
