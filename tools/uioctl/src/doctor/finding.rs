//! [`Finding`]: what one check looked at, what it found there, and what mends it.

use std::fmt::Display;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Works, with a risk or less well.
    Warning,
    /// Stands in the way.
    Fault,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was checked, in a word.
    pub(crate) check: &'static str,
    pub(crate) severity: Severity,
    /// The path, or the thing.
    pub(crate) looked_at: String,
    /// What is there.
    pub(crate) found: String,
    /// What is wrong with it, in a sentence without a full stop.
    pub(crate) problem: Option<String>,
    /// The command that mends it, for `sh`.
    pub(crate) command: Option<String>,
    /// Whether only root can run the command.
    pub(crate) as_root: bool,
    /// What no command does, or what makes the mend last.
    pub(crate) advice: Option<String>,
}

impl Finding {
    /// Nothing is wrong: `found` at `looked_at` is as it should be.
    pub(crate) fn ok(check: &'static str, looked_at: impl Display, found: impl Display) -> Self {
        Self {
            check,
            severity: Severity::Ok,
            looked_at: looked_at.to_string(),
            found: found.to_string(),
            problem: None,
            command: None,
            as_root: false,
            advice: None,
        }
    }

    fn wrong(mut self, severity: Severity, problem: impl Display) -> Self {
        self.severity = severity;
        self.problem = Some(problem.to_string());
        self
    }

    pub(crate) fn note(self, what: impl Display) -> Self {
        self.wrong(Severity::Note, what)
    }

    pub(crate) fn warning(self, problem: impl Display) -> Self {
        self.wrong(Severity::Warning, problem)
    }

    pub(crate) fn fault(self, problem: impl Display) -> Self {
        self.wrong(Severity::Fault, problem)
    }

    /// The mend is a command that anybody can run.
    pub(crate) fn command(mut self, command: impl Display) -> Self {
        self.command = Some(command.to_string());
        self
    }

    /// The mend is a command for root.
    pub(crate) fn root_command(self, command: impl Display) -> Self {
        Self { as_root: true, ..self.command(command) }
    }

    pub(crate) fn advice(mut self, advice: impl Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }

    /// Whether it keeps the device from being ready.
    pub(crate) fn is_fault(&self) -> bool {
        self.severity == Severity::Fault
    }
}
