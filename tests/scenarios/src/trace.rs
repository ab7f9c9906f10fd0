//! The system calls of one thread, as strace sees them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::Daemon;
use crate::{process, wait};

/// A thread that is traced until [`Trace::stop`].
#[derive(Debug)]
pub struct Trace {
    strace: Child,
    calls: PathBuf,
    _dir: tempfile::TempDir,
}

/// How often each call was made. A wait that was cut short by the tracer itself is left out.
pub type Calls = BTreeMap<String, u64>;

impl Trace {
    /// Traces the daemon's thread that is called `name`.
    ///
    /// # Panics
    ///
    /// If there is none, or strace may not trace it.
    pub fn of(daemon: &Daemon, name: &str) -> Self {
        Self::start(daemon.pid(), name)
    }

    /// Traces the thread of this process that is called `name`.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of).
    pub fn of_own(name: &str) -> Self {
        Self::start(i32::try_from(std::process::id()).expect("a process number"), name)
    }

    fn start(pid: i32, name: &str) -> Self {
        // A thread gives itself its name when it begins to run.
        let tid = wait::until_some(name, || {
            let threads = process::threads(pid);
            threads.iter().find(|thread| thread.name == name).map(|thread| thread.tid)
        });
        let dir = tempfile::tempdir().expect("the temporary directory takes files");
        let (calls, said) = (dir.path().join("calls"), dir.path().join("strace.err"));
        let mut command = Command::new("strace");
        command.args(["-p", &tid.to_string(), "-e", "signal=none", "-o"]).arg(&calls);
        let err = fs::File::create(&said).expect("the directory is ours");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err);
        let mut strace = command.spawn().expect("strace is installed: `cargo xtask setup --host`");
        wait::until("strace is attached", || {
            let said = fs::read_to_string(&said).unwrap_or_default();
            assert!(strace.try_wait().expect("our child").is_none(), "strace ended: {said}");
            said.contains("attached")
        });
        Self { strace, calls, _dir: dir }
    }

    /// Waits until the thread has made so many calls of that name. Asks nobody but the tracer, so that the waiting
    /// does not get into the thread's way.
    ///
    /// # Panics
    ///
    /// If it does not come about.
    pub fn await_calls(&self, name: &str, number: u64) {
        wait::until(name, || {
            let text = fs::read_to_string(&self.calls).unwrap_or_default();
            // The tracer may be within a line.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            count(whole).get(name).is_some_and(|made| *made >= number)
        });
    }

    /// Ends the tracing.
    ///
    /// # Panics
    ///
    /// If strace hangs.
    pub fn stop(mut self) -> Calls {
        let pid = i32::try_from(self.strace.id()).expect("a process number");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("strace runs");
        wait::until("strace ends", || self.strace.try_wait().expect("our child").is_some());
        count(&fs::read_to_string(&self.calls).expect("strace wrote what it saw"))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It has ended, unless the story failed.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

fn count(text: &str) -> Calls {
    let mut calls = Calls::new();
    for line in text.lines().filter(|line| !cut_short(line)) {
        if let Some((name, _)) = line.split_once('(') {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

/// The call in which the tracer found the thread, and the one in which it left it.
fn cut_short(line: &str) -> bool {
    ["EINTR", "<unfinished", "<detached", "strace: ", "resumed>"]
        .iter()
        .any(|mark| line.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name() {
        let calls = count(
            "epoll_wait(3, 0x5, 64, -1) = -1 EINTR (Interrupted system call)\n\
             epoll_wait(3, [{events=EPOLLIN}], 64, -1) = 1\nread(9, \"\\1\", 4) = 4\n\
             epoll_wait(3,  <detached ...>\n",
        );
        assert_eq!(calls, Calls::from([("epoll_wait".to_owned(), 1), ("read".to_owned(), 1)]));
    }
}
