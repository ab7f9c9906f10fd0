//! Starting and ending `uiod`. A daemon has a run directory and a node directory of its own, which go with it.
//!
//! ```text
//!   Launch ──start──▶ Daemon ──end, or drop──▶ it has ended with exit code 0, and nothing is left
//!     │
//!     └──refused──▶ Refusal
//! ```

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{process, programs, wait, world};

/// The last line of the banner.
const READY: &str = "Ctrl-C ends it.";

/// The directories of a daemon. What is mounted there goes when this is dropped.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
    user: Option<(u32, u32)>,
}

impl Home {
    /// Directories of our own.
    pub fn new() -> Arc<Self> {
        Self::of(None)
    }

    /// Directories of the ordinary user.
    pub fn of_nobody() -> Arc<Self> {
        Self::of(world::is_root().then_some(world::NOBODY))
    }

    fn of(user: Option<(u32, u32)>) -> Arc<Self> {
        let dir = tempfile::Builder::new().prefix("uiod-story-").tempdir().expect("a directory");
        let home = Self { dir, user };
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        for dir in [home.run(), home.nodes()] {
            fs::create_dir(&dir).expect("it is new");
            if let Some((user, group)) = user {
                chown(&dir, Some(user), Some(group)).expect("root may give away");
            }
        }
        Arc::new(home)
    }

    /// The directory that holds the others.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// For `--run-dir`.
    pub fn run(&self) -> PathBuf {
        self.path().join("run")
    }

    /// For `--node-dir`.
    pub fn nodes(&self) -> PathBuf {
        self.path().join("nodes")
    }

    /// Writes a file into the home, and tells where.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("the directory is ours");
        path
    }

    /// The names in the run and node directories, and what is mounted below them.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = process::mounts_below(self.path());
        for dir in [self.run(), self.nodes()] {
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path().display().to_string()));
        }
        left
    }

    /// The daemon, at a place where the user of this home can reach it.
    fn program(&self) -> PathBuf {
        if self.user.is_none() {
            return programs::uiod().to_owned();
        }
        let copy = self.path().join("uiod");
        if !copy.exists() {
            // By a program of its own: a process that another story starts while we have the copy open for
            // writing would keep it open so for a moment, and what is open for writing cannot be run.
            let done = Command::new("cp").arg(programs::uiod()).arg(&copy).status();
            assert!(done.is_ok_and(|status| status.success()), "the daemon can be copied");
        }
        copy
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for mount in process::mounts_below(self.path()) {
            // A story that failed leaves its node; who is not root asks the helper.
            if umount2(mount.as_str(), MntFlags::MNT_DETACH).is_err() {
                let _ = Command::new("fusermount3").args(["-u", "-z", &mount]).status();
            }
        }
    }
}

/// A daemon to be started.
#[derive(Debug)]
pub struct Launch {
    args: Vec<OsString>,
    home: Arc<Home>,
    run_dir: Option<PathBuf>,
    node_dir: Option<PathBuf>,
}

impl Default for Launch {
    fn default() -> Self {
        Self::new()
    }
}

impl Launch {
    /// With the device and the kind of node that this world has.
    pub fn new() -> Self {
        Self::with(&["run", &world::device(), "--node-kind", world::node_kind().name()])
    }

    /// With these arguments, and directories of its own.
    pub fn with(args: &[&str]) -> Self {
        let args = args.iter().map(OsString::from).collect();
        Self { args, home: Home::new(), run_dir: None, node_dir: None }
    }

    /// Adds a flag and its value.
    #[must_use]
    pub fn flag(mut self, flag: &str, value: impl AsRef<OsStr>) -> Self {
        self.args.push(flag.into());
        self.args.push(value.as_ref().to_owned());
        self
    }

    /// In these directories, as their user.
    #[must_use]
    pub fn home(mut self, home: &Arc<Home>) -> Self {
        self.home = Arc::clone(home);
        self
    }

    /// With another run directory than the home's.
    #[must_use]
    pub fn run_dir(mut self, dir: &Path) -> Self {
        self.run_dir = Some(dir.to_owned());
        self
    }

    /// With another node directory than the home's.
    #[must_use]
    pub fn node_dir(mut self, dir: &Path) -> Self {
        self.node_dir = Some(dir.to_owned());
        self
    }

    /// The directories.
    pub fn home_ref(&self) -> &Arc<Home> {
        &self.home
    }

    /// The command line.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.home.program());
        command.args(&self.args);
        command.arg("--run-dir").arg(self.run_dir.clone().unwrap_or_else(|| self.home.run()));
        command.arg("--node-dir").arg(self.node_dir.clone().unwrap_or_else(|| self.home.nodes()));
        if let Some((user, group)) = self.home.user {
            command.uid(user).gid(group).env_remove("XDG_RUNTIME_DIR");
        }
        command.env_remove("UIOD_LOG").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        command
    }

    /// Starts it, and waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// If it ends before.
    pub fn start(self) -> Daemon {
        let mut child = self.command().spawn().expect("the daemon can be run");
        // PANIC: it was asked for.
        let log = Log::follow(child.stderr.take().expect("standard error is a pipe"));
        let mut daemon = Daemon { child, log, home: self.home, nodes: Vec::new(), ended: false };
        wait::until("the daemon's banner", || {
            let ended = daemon.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the daemon ended with {ended:?}:\n{}", daemon.log());
            daemon.log().contains(READY)
        });
        let log = daemon.log();
        let nodes = log.lines().filter_map(|line| line.trim().strip_prefix("node "));
        let paths = nodes.filter_map(|node| node.rsplit_once(" (")).map(|(path, _)| path.into());
        daemon.nodes = paths.collect();
        daemon
    }
}

/// What a daemon writes to standard error.
#[derive(Debug)]
struct Log {
    text: Arc<Mutex<String>>,
    follower: Option<JoinHandle<()>>,
}

impl Log {
    fn follow(stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&text);
        let follower = thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = Vec::new();
            while lines.by_ref().read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let mut text = written.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, follower: Some(follower) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it, once the daemon has ended.
    fn finish(&mut self) -> String {
        if let Some(follower) = self.follower.take() {
            wait::until("the end of standard error", || follower.is_finished());
        }
        self.text()
    }
}

/// How a daemon ended.
#[derive(Debug)]
pub struct End {
    /// Its status.
    pub status: ExitStatus,
    /// All that it wrote.
    pub log: String,
    /// From the signal to the end.
    pub took: Duration,
}

/// A running daemon. Unless it was ended before, it is ended on drop and has to do so cleanly.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: Log,
    home: Arc<Home>,
    nodes: Vec<PathBuf>,
    ended: bool,
}

impl Daemon {
    /// The device and the kind of node that this world has.
    pub fn start() -> Self {
        Launch::new().start()
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// Never: process numbers are far smaller.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    /// Its only node.
    pub fn node(&self) -> &Path {
        &self.nodes[0]
    }

    /// All its nodes, in the order of its devices.
    pub fn nodes(&self) -> &[PathBuf] {
        &self.nodes
    }

    /// Its directories.
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Ends it by a signal.
    pub fn end(mut self, signal: Signal) -> End {
        self.signal(signal);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait_for_end(mut self) -> End {
        self.wait()
    }

    fn wait(&mut self) -> End {
        let start = Instant::now();
        let status =
            wait::until_some("the daemon to end", || self.child.try_wait().expect("our child"));
        let took = start.elapsed();
        self.ended = true;
        let log = self.log.finish();
        assert!(!log.contains("panicked"), "the daemon panicked:\n{log}");
        End { status, log, took }
    }

    /// Fails if anything is there that was not there before it started.
    pub(crate) fn assert_gone(home: &Home, nodes: &[PathBuf]) {
        assert_eq!(home.leftovers(), Vec::<String>::new(), "left behind");
        let left: Vec<_> = nodes.iter().filter(|node| fs::symlink_metadata(node).is_ok()).collect();
        assert!(left.is_empty(), "nodes left behind: {left:?}");
    }
}

impl End {
    /// Fails unless it ended as asked.
    ///
    /// # Panics
    ///
    /// If the exit code is another one than 0.
    pub fn assert_clean(&self) {
        assert_eq!(self.status.code(), Some(0), "{}", self.log);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}---", self.log());
            // It may be what the story failed of.
            let _ = self.child.kill();
            let _ = self.child.wait();
            return;
        }
        self.signal(Signal::SIGTERM);
        self.wait().assert_clean();
        Self::assert_gone(&self.home, &self.nodes);
    }
}
