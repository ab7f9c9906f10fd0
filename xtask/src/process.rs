//! Running other programs: nothing of theirs reaches our standard output, and a failure names them.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::iter;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::failure::{Failure, Result, failed};
use crate::paths;

/// A command in the C locale that also finds the programs of `/usr/sbin`.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(Stdio::null());
    command
}

/// The cargo that runs us, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root()).stdin(Stdio::null());
    cargo
}

/// Prints to standard output; that nobody reads it is no error.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// A writer that several may have, one after the other.
#[derive(Clone)]
pub(crate) struct SharedWriter(Arc<Mutex<Box<dyn Write + Send>>>);

impl SharedWriter {
    pub(crate) fn new(writer: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for SharedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

/// Runs with its output on our own, and so shows its progress.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| cannot_run(command, &error))?;
    check(command, status)
}

/// Runs with its output on our standard error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command.stdout(Stdio::from(io::stderr())))
}

/// Runs in silence; what it wrote is shown only if it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    check(command, output.status)
}

/// Runs two, the first one's output the other's input.
pub(crate) fn pipe(from: &mut Command, to: &mut Command) -> Result<()> {
    let mut writer =
        from.stdout(Stdio::piped()).spawn().map_err(|error| cannot_run(from, &error))?;
    let input = writer.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let read = to.stdin(input).status().map_err(|error| cannot_run(to, &error));
    // The reader's copy of the pipe would keep the writer from ending.
    to.stdin(Stdio::null());
    let written = writer.wait().map_err(|error| cannot_run(from, &error))?;
    check(to, read?)?;
    check(from, written)
}

/// Runs and returns its standard output.
pub(crate) fn capture_bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = output(command.stderr(Stdio::inherit()))?;
    check(command, output.status)?;
    Ok(output.stdout)
}

/// Runs and returns its standard output as text.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&capture_bytes(command)?).into_owned())
}

/// Runs, whatever its status.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().map_err(|error| cannot_run(command, &error))
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(failed(format!("'{}' ended with {status}", line(command))))
}

fn cannot_run(command: &Command, error: &io::Error) -> Failure {
    failed(format!("cannot run '{}': {error}", line(command)))
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
