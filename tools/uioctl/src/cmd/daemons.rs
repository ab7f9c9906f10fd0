//! Asking all daemons of a run directory for their status: what `status` and `softirqs` have in common.
//!
//! [`Daemons::ask`] asks, [`Daemons::told`] has those that answered, [`Daemons::finish`] complains of those that
//! refused and says how the command ends.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::value::RawValue;
use uio_core::{Error, Result};

use crate::control::{self, Status};
use crate::failure::{Failure, complain};
use crate::out::Out;

const REQUEST: &str = r#"{"request":"status"}"#;

/// What the daemons of a run directory said.
#[derive(Debug, Default)]
pub(super) struct Daemons {
    pub(super) answers: Vec<Answer>,
    /// Whether one is there that did not answer; that was complained of.
    failed: bool,
}

/// What one daemon said, in its own words and as far as they are understood.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) pid: u32,
    pub(super) raw: Box<RawValue>,
    pub(super) status: Status,
}

impl Daemons {
    /// Asks everybody, and complains of those that do not answer.
    pub(super) fn ask(run_dir: &Path) -> Result<Self> {
        let sockets = control::sockets(run_dir).map_err(|error| {
            Error::from_io(&error, "cannot look for daemons in", run_dir.display())
        })?;
        let mut all = Self::default();
        for (pid, answer) in ask_all(sockets) {
            match answer.and_then(|text| Answer::parse(pid, &text)) {
                Ok(answer) => all.answers.push(answer),
                // A daemon that was killed leaves its socket behind.
                Err(error) if nobody_listens(&error) => (),
                Err(error) => {
                    all.failed = true;
                    complain(not_asked(pid, &error));
                }
            }
        }
        Ok(all)
    }

    /// Nobody could be asked, for this reason.
    pub(super) fn unreachable(error: Error) -> Self {
        complain(error);
        Self { answers: Vec::new(), failed: true }
    }

    /// Whether there was nobody to ask.
    pub(super) fn is_nobody(&self) -> bool {
        self.answers.is_empty() && !self.failed
    }

    /// Those that told their status.
    pub(super) fn told(&self) -> impl Iterator<Item = &Answer> {
        self.answers.iter().filter(|answer| answer.status.error.is_none())
    }

    /// Complains of those that refused. A failure if anybody did, or did not answer.
    pub(super) fn finish(&self, out: &mut Out) -> Result<(), Failure> {
        let mut failed = self.failed;
        for Answer { pid, status, .. } in &self.answers {
            if let Some(text) = &status.error {
                failed = true;
                complain(format_args!("daemon {pid} refused: {text}"));
            }
        }
        if failed {
            out.flush()?;
            return Err(Failure::Reported);
        }
        Ok(())
    }
}

/// All at once, so that several which hang cost the time of one.
fn ask_all(sockets: Vec<(u32, PathBuf)>) -> Vec<(u32, io::Result<String>)> {
    let asked: Vec<_> = sockets
        .into_iter()
        .map(|(pid, path)| (pid, thread::spawn(move || control::ask(&path, REQUEST))))
        .collect();
    asked
        .into_iter()
        .map(|(pid, thread)| {
            (pid, thread.join().unwrap_or_else(|_| Err(io::Error::other("asking it panicked"))))
        })
        .collect()
}

fn not_asked(pid: u32, error: &io::Error) -> Error {
    let explained =
        Error::from_io(error, "cannot ask for the status of", format_args!("daemon {pid}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            explained.with_hint("ask as the user that runs it, or as root")
        }
        _ => explained,
    }
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

impl Answer {
    fn parse(pid: u32, text: &str) -> io::Result<Self> {
        let unreadable = |error: serde_json::Error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("its answer makes no sense: {error}"),
            )
        };
        let raw: Box<RawValue> = serde_json::from_str(text).map_err(unreadable)?;
        let status = serde_json::from_str(text).map_err(unreadable)?;
        Ok(Self { pid, raw, status })
    }
}
