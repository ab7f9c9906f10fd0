//! Clients of a node in processes of their own: what a user would type, and this test program itself in a role.

use std::env;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{wait, world};

/// Names the role that this program plays as a client of another.
const ROLE: &str = "UIOD_TEST_ROLE";

/// Names the node that a client uses, for scripts: `"$NODE"`.
const NODE: &str = "NODE";

/// A running client. It is killed on drop.
#[derive(Debug)]
pub struct Client {
    child: Child,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
}

/// How a client ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub out: Vec<u8>,
    /// What it wrote to standard error.
    pub err: String,
}

impl Ended {
    /// Its output as text, if it did well.
    ///
    /// # Panics
    ///
    /// If its exit code is not 0.
    pub fn text(&self) -> String {
        assert!(self.status.success(), "{}: {}", self.status, self.err);
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// A script for `sh`, in which `"$NODE"` is the node.
pub fn script(node: &Path, text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text]).env(NODE, node);
    command
}

/// The same as the ordinary user, as far as we can become one.
pub fn script_as_nobody(node: &Path, text: &str) -> Command {
    let mut command = script(node, text);
    if world::is_root() {
        let (user, group) = world::NOBODY;
        command.uid(user).gid(group);
    }
    command
}

/// Runs a script and waits for its end.
pub fn shell(node: &Path, text: &str) -> Ended {
    Client::start(script(node, text)).finish(text)
}

/// This test program as a client: it runs the story `story` again, which finds its role with [`role`].
///
/// # Panics
///
/// If this program cannot be found.
pub fn in_role(story: &str, node: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("we are a program"));
    command.args(["--exact", story, "--test-threads=1"]).env(ROLE, node);
    command
}

/// The node that this process is to be a client of, if it was started by [`in_role`].
pub fn role() -> Option<PathBuf> {
    env::var_os(ROLE).map(PathBuf::from)
}

impl Client {
    /// Starts a client.
    ///
    /// # Panics
    ///
    /// If there is no such program.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        let out = child.stdout.take().map(collect);
        let err = child.stderr.take().map(collect);
        Self { child, out, err }
    }

    /// Starts a script.
    pub fn shell(node: &Path, text: &str) -> Self {
        Self::start(script(node, text))
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// Never: process numbers are far smaller.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If it was waited for.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is our child");
    }

    /// Whether it has ended.
    ///
    /// # Panics
    ///
    /// Never: it is our child.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When the deadline passes.
    pub fn finish(self, what: &str) -> Ended {
        self.finish_within(what, wait::DEADLINE)
    }

    /// Waits for its end, so long.
    ///
    /// # Panics
    ///
    /// When the time is over.
    pub fn finish_within(mut self, what: &str, span: Duration) -> Ended {
        let ended = || self.child.try_wait().expect("our child");
        let status = wait::until_some_within(what, span, ended);
        let (out, err) = (gathered(self.out.take()), gathered(self.err.take()));
        Ended { status, out, err: String::from_utf8_lossy(&err).into_owned() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error counts.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

fn gathered(stream: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    let Some(stream) = stream else { return Vec::new() };
    // A grandchild may still hold the pipe open.
    wait::until("the end of a client's output", || stream.is_finished());
    stream.join().expect("reading does not panic")
}

/// Random bytes in a file of this size.
///
/// # Panics
///
/// If there is no room.
pub fn random_file(path: &Path, bytes: u64) {
    let source = File::open("/dev/urandom").expect("there is randomness");
    let mut file = File::create(path).expect("the directory is ours");
    let copied = std::io::copy(&mut source.take(bytes), &mut file).expect("there is room");
    assert_eq!(copied, bytes);
}
