//! What `bind` and `unbind` say: steps of a dry run, outcomes, rules, notes; or all of it as JSON.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use uio_core::Result;
use uio_core::sys::sysfs::bind::{Goal, Outcome, Plan};
use uio_core::sys::sysfs::rule::{Kept, Rule};
use uio_core::sys::sysfs::{BusDevice, Sysfs};

use crate::cli::Cli;
use crate::out::Out;
use crate::table::printable;

/// All that is said at the end.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    device: String,
    /// The driver that it is to have: none for the kernel's choice, or for none at all.
    driver: Option<String>,
    driverless: bool,
    dry_run: bool,
    /// Whether anything was changed, or would be.
    changed: bool,
    steps: Vec<StepReport>,
    functions: Vec<OutcomeReport>,
    rules: Vec<RuleReport>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StepReport {
    number: usize,
    device: Option<String>,
    what: String,
    /// What one would type in its place.
    command: String,
}

#[derive(Debug, Serialize)]
struct OutcomeReport {
    device: String,
    before: Option<String>,
    after: Option<String>,
}

/// A rule that binds at boot, and what became of it.
#[derive(Debug, Serialize)]
pub(super) struct RuleReport {
    device: String,
    path: PathBuf,
    state: RuleState,
    /// None for a rule that is removed.
    text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum RuleState {
    Written,
    Unchanged,
    Removed,
    NotThere,
    WouldBeWritten,
    WouldBeRemoved,
}

impl RuleState {
    fn says(self) -> &'static str {
        match self {
            Self::Written => "wrote",
            Self::Unchanged => "is there already:",
            Self::Removed => "removed",
            Self::NotThere => "there was no rule",
            Self::WouldBeWritten => "would write",
            Self::WouldBeRemoved => "would remove",
        }
    }
}

impl RuleReport {
    /// Writes the rule, unless it is a dry run.
    pub(super) fn keep(rule: &Rule, dir: &Path, dry_run: bool) -> Result<Self> {
        let kept = Rule::kept(dir, &rule.device).as_ref() == Some(rule);
        let state = match (dry_run, kept) {
            (true, true) => RuleState::Unchanged,
            (true, false) => RuleState::WouldBeWritten,
            (false, _) => match rule.keep(dir)? {
                Kept::Written => RuleState::Written,
                Kept::Unchanged => RuleState::Unchanged,
            },
        };
        let path = Rule::path(dir, &rule.device);
        Ok(Self { device: rule.device.to_string(), path, state, text: Some(rule.text()) })
    }

    /// Removes the rule, unless it is a dry run.
    pub(super) fn forget(device: &BusDevice, dir: &Path, dry_run: bool) -> Result<Self> {
        let path = Rule::path(dir, device);
        let state = match dry_run {
            true if path.exists() => RuleState::WouldBeRemoved,
            true => RuleState::NotThere,
            false if Rule::forget(dir, device)?.is_some() => RuleState::Removed,
            false => RuleState::NotThere,
        };
        Ok(Self { device: device.to_string(), path, state, text: None })
    }

    fn show(&self, out: &mut Out) -> io::Result<()> {
        writeln!(out, "{} {}", self.state.says(), self.path.display())?;
        let shown = matches!(self.state, RuleState::Written | RuleState::WouldBeWritten);
        for line in self.text.iter().filter(|_| shown).flat_map(|text| text.lines()) {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }
}

impl Report {
    pub(super) fn new(device: &BusDevice, goal: &Goal, dry_run: bool, notes: Vec<String>) -> Self {
        let driver = match goal {
            Goal::Driver(driver) => Some(driver.clone()),
            Goal::KernelsChoice | Goal::Driverless => None,
        };
        Self {
            device: device.to_string(),
            driver,
            driverless: *goal == Goal::Driverless,
            dry_run,
            changed: false,
            steps: Vec::new(),
            functions: Vec::new(),
            rules: Vec::new(),
            notes,
        }
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    pub(super) fn steps(&mut self, plan: &Plan, sysfs: &Sysfs) {
        self.changed = !plan.steps().is_empty();
        self.steps = plan
            .steps()
            .iter()
            .enumerate()
            .map(|(index, step)| StepReport {
                number: index + 1,
                device: step.device().map(ToString::to_string),
                what: step.to_string(),
                command: step.command(sysfs),
            })
            .collect();
    }

    pub(super) fn outcomes(&mut self, outcomes: Vec<Outcome>) {
        let report = |outcome: Outcome| OutcomeReport {
            device: outcome.device.name,
            before: outcome.before,
            after: outcome.after,
        };
        self.functions = outcomes.into_iter().map(report).collect();
    }

    pub(super) fn rule(&mut self, rule: RuleReport) {
        self.rules.push(rule);
    }

    pub(super) fn show(&self, cli: &Cli, out: &mut Out) -> io::Result<()> {
        if cli.json {
            return out.json(self);
        }
        if !self.changed {
            writeln!(out, "{}: nothing to do, {}", self.device, self.already())?;
        } else if self.dry_run {
            for step in &self.steps {
                writeln!(out, "{}. {}: {}", step.number, step.what, printable(&step.command))?;
            }
        }
        for outcome in &self.functions {
            writeln!(out, "{}", self.outcome(outcome))?;
        }
        for rule in &self.rules {
            rule.show(out)?;
        }
        for note in &self.notes {
            writeln!(out, "note: {}", printable(note))?;
        }
        if self.dry_run {
            writeln!(out, "dry run: nothing was changed")?;
        }
        Ok(())
    }

    fn already(&self) -> String {
        match &self.driver {
            Some(driver) => format!("it is bound to {driver} already"),
            None if self.driverless => "it has no driver already".to_owned(),
            None => "it is with the kernel's own driver already".to_owned(),
        }
    }

    fn outcome(&self, OutcomeReport { device, before, after }: &OutcomeReport) -> String {
        let was = match before {
            Some(driver) => format!("it was with {driver}"),
            None => "it had no driver".to_owned(),
        };
        match after {
            Some(after) => format!("{device} is bound to {after} ({was})"),
            // Left without one, or made way as a bridge.
            None if self.driverless || self.driver.is_some() => {
                format!("{device} has no driver ({was})")
            }
            None => {
                format!("{device} has no driver: the kernel has none that takes it ({was})")
            }
        }
    }
}

/// A rule was removed whose device is not there any more.
pub(super) fn forgotten(
    device: &BusDevice,
    path: &Path,
    cli: &Cli,
    out: &mut Out,
) -> io::Result<()> {
    let rule = RuleReport {
        device: device.to_string(),
        path: path.to_owned(),
        state: RuleState::Removed,
        text: None,
    };
    let mut report = Report::new(device, &Goal::KernelsChoice, false, Vec::new());
    report.rule(rule);
    if cli.json {
        return out.json(&report);
    }
    writeln!(out, "{device} is not there")?;
    report.rules[0].show(out)
}
