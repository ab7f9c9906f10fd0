//! The one error of this program: a message for the user and the status to exit with.

use std::fmt;
use std::io;
use std::path::Path;

/// Exit status of a chore that could not be done.
pub(crate) const FAILED: u8 = 1;
/// Exit status of a command line that makes no sense.
pub(crate) const USAGE: u8 = 2;
/// Exit status when the bench itself broke, so that it cannot be taken for COMMAND's.
pub(crate) const BENCH: u8 = 125;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    message: String,
    /// QEMU itself died, whatever ran in it.
    pub(crate) emulator_died: bool,
}

impl Failure {
    /// The same failure with more to say.
    pub(crate) fn because(self, more: &str) -> Self {
        Self { message: format!("{}; {more}", self.message), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

pub(crate) fn failed(message: impl Into<String>) -> Failure {
    Failure { status: FAILED, message: message.into(), emulator_died: false }
}

pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure { status: USAGE, message: message.into(), emulator_died: false }
}

pub(crate) fn bench(message: impl Into<String>) -> Failure {
    Failure { status: BENCH, message: message.into(), emulator_died: false }
}

/// QEMU died of a signal.
pub(crate) fn emulator_died(signal: i32) -> Failure {
    let message = format!("qemu itself died of signal {signal}, whatever the guest did");
    Failure { status: BENCH, message, emulator_died: true }
}

/// Names the act and the file in an I/O error.
pub(crate) trait Context<T> {
    fn on(self, act: &str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn on(self, act: &str, path: &Path) -> Result<T> {
        self.map_err(|error| failed(format!("cannot {act} {}: {error}", path.display())))
    }
}
