//! How a command ends before its end: [`Failure`], and the line on standard error that says why.

use std::fmt::Display;
use std::io::{self, Write};

use uio_core::Error;

use crate::table::printable;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of standard output went away: it has had what it wanted.
    ClosedPipe,
    /// The arguments make no sense together, or one of them none at all.
    Usage(Error),
    /// Something failed that [`complain`] was already called for.
    Reported,
    /// Something failed, for this reason.
    Because(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Because(error)
    }
}

/// Of writing the output: every read gives its error a name of its own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Because(Error::from_io(&error, "cannot write to", "standard output")),
        }
    }
}

/// Says one line on standard error.
pub(crate) fn complain(what: impl Display) {
    let text = what.to_string();
    let line = printable(&text);
    // Nothing to be done where standard error itself is gone.
    let _ = writeln!(io::stderr(), "uioctl: {line}");
}
