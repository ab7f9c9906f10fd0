//! Requests to the kernel that may take for ever: [`Children`] makes each in a process of its own, and gives up on time.
//!
//! A process that is given up is left behind: its request goes on, and it ends when the kernel has done it. It has none
//! of our descriptors, so nobody waits for it. [`hold_signals`] keeps signals away from a transaction.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigmaskHow, Signal, pthread_sigmask};
use uio_core::sys::sysfs::bind::Kernel;
use uio_core::{Errno, Error, Result};

/// This program, even if its file was replaced since.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The kernel, asked by child processes.
#[derive(Debug)]
pub(crate) struct Children {
    patience: Duration,
}

impl Children {
    /// Each request may take this long.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience }
    }

    fn access<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> io::Result<Vec<u8>> {
        let mut command = Command::new(OWN_PROGRAM);
        command.arg("attribute").args(args);
        let output = self.output(&mut command)?;
        match output.status.code() {
            Some(0) => Ok(output.stdout),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Err(io::Error::other(format!("it ended by {}", output.status))),
        }
    }

    fn output(&self, command: &mut Command) -> io::Result<Output> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn()?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // Nobody listens any more once the time is up.
            let _ = sender.send(child.wait_with_output());
        });
        receiver.recv_timeout(self.patience).unwrap_or_else(|_| {
            let text = format!("the kernel has not done it within {} s", self.patience.as_secs());
            Err(io::Error::new(ErrorKind::TimedOut, text))
        })
    }
}

impl Kernel for Children {
    fn read(&self, attribute: &Path) -> io::Result<String> {
        let bytes = self.access([OsStr::new("read"), attribute.as_os_str()])?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    fn write(&self, attribute: &Path, text: &str) -> io::Result<()> {
        self.access([OsStr::new("write"), attribute.as_os_str(), OsStr::new(text)]).map(drop)
    }

    fn load_module(&self, name: &str) -> Result<()> {
        let act = "cannot load the module";
        let output = self.output(Command::new("modprobe").arg("--").arg(name));
        let output = output.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(Errno::ENOENT, act, name)
                .with_cause("there is no program modprobe")
                .with_hint("install kmod, or load the module by hand"),
            ErrorKind::TimedOut => Error::new(Errno::ETIMEDOUT, act, name).with_cause(&error),
            _ => Error::from_io(&error, act, name),
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(Errno::ENOENT, act, name)
            .with_cause(format_args!("modprobe failed: {}", said.trim()))
            .with_hint(format_args!(
                "there is no driver {name} now: check its name, or install the kernel's package that has it"
            )))
    }
}

/// From here to the end of this process Ctrl-C and the like wait: a transaction is done, or taken back, and said to be.
/// All of it takes bounded time. Threads and processes that are started from here do the same.
pub(crate) fn hold_signals() {
    let held = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    // It fails for a wrong `how` alone.
    let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held), None);
}
