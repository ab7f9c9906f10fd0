//! The server of the node, in a process of its own: one that serves a node must never be its client.
//!
//! The test binary runs itself with the name of the test [`serve`] and a request in the environment. They
//! talk in lines: commands on the child's standard input, answers marked `@` on its standard output.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use uio_core::Errno;
use uio_core::chardev::{NodeKind, Options, Registration};

use super::loopback::Loopback;
use super::{ALLOCATOR, DEADLINE, eventually};

const REQUEST: &str = "UIOD_TEST_SERVER";

/// How a node is to be made; what is not set is as in [`Options::new`].
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) kind: NodeKind,
    pub(crate) capacity: usize,
    pub(crate) threaded: bool,
    pub(crate) mode: u32,
    pub(crate) unrestricted: bool,
    pub(crate) user: Option<u32>,
}

/// The kind of node that this run tests: `UIOD_TEST_NODE_KIND`, else FUSE.
pub(crate) fn kind() -> NodeKind {
    env::var("UIOD_TEST_NODE_KIND").map_or(NodeKind::Fuse, |text| text.parse().unwrap())
}

pub(crate) fn is_cuse() -> bool {
    kind() == NodeKind::Cuse
}

impl Setup {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("uiod_test{}_{number}", std::process::id()),
            dir: env::temp_dir().join("uiod-test-nodes"),
            kind: kind(),
            capacity: 4096,
            threaded: false,
            mode: 0o600,
            unrestricted: false,
            user: None,
        }
    }

    pub(crate) fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Starts the server, and expects it to have the node.
    pub(crate) fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|error| panic!("no node: {error}"))
    }

    /// Starts the server; the error is the text of its `Error`.
    pub(crate) fn try_start(&self) -> Result<Server, String> {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "server::serve", "--nocapture"])
            .env(REQUEST, self.encode())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().unwrap();
        let commands = child.stdin.take();
        let (send, answers) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test runner puts the name of the test in front of the first line.
                if let Some((_, answer)) = line.split_once("@ ") {
                    let _ = send.send(answer.to_owned());
                }
            }
        });
        let mut server = Server { child, commands, answers, path: PathBuf::new(), kind: self.kind };
        let ready = server.answer();
        match ready.split_once(' ') {
            Some(("ready", rest)) => {
                let (kind, path) = rest.split_once(' ').unwrap();
                server.kind = kind.parse().unwrap();
                server.path = PathBuf::from(path);
                Ok(server)
            }
            Some(("error", text)) => Err(text.to_owned()),
            _ => panic!("{ready:?}"),
        }
    }

    fn encode(&self) -> String {
        let Self { name, dir, kind, capacity, threaded, mode, unrestricted, .. } = self;
        let dir = dir.display();
        format!(
            "name={name}\ndir={dir}\nkind={kind}\ncapacity={capacity}\nthreaded={threaded}\nmode={mode}\nunrestricted={unrestricted}"
        )
    }
}

/// A running server. Dropping it kills it and clears away what it left.
pub(crate) struct Server {
    child: Child,
    commands: Option<ChildStdin>,
    answers: mpsc::Receiver<String>,
    pub(crate) path: PathBuf,
    pub(crate) kind: NodeKind,
}

/// What `stats` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) openers: usize,
    pub(crate) waiting_readers: usize,
    pub(crate) waiting_writers: usize,
    pub(crate) waiting_ioctls: usize,
    pub(crate) pollers: usize,
    pub(crate) interrupted: usize,
    pub(crate) opened: usize,
    pub(crate) released: usize,
    pub(crate) threads: usize,
    pub(crate) fds: usize,
    /// Bytes in the device.
    pub(crate) held: usize,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command and returns the answer.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        self.answers.recv_timeout(DEADLINE).expect("the server answers in time")
    }

    pub(crate) fn stats(&mut self) -> Stats {
        let text = self.ask("stats");
        let numbers: Vec<usize> = text.split(' ').map(|n| n.parse().unwrap()).collect();
        let &[
            openers,
            waiting_readers,
            waiting_writers,
            waiting_ioctls,
            pollers,
            interrupted,
            opened,
            released,
            threads,
            fds,
            held,
        ] = numbers.as_slice()
        else {
            panic!("{text}");
        };
        Stats {
            openers,
            waiting_readers,
            waiting_writers,
            waiting_ioctls,
            pollers,
            interrupted,
            opened,
            released,
            threads,
            fds,
            held,
        }
    }

    /// Waits until the counts are as wanted.
    pub(crate) fn until(&mut self, what: &str, mut wanted: impl FnMut(&Stats) -> bool) -> Stats {
        let mut last = self.stats();
        let done = eventually(|| {
            last = self.stats();
            wanted(&last)
        });
        assert!(done, "{what}: {last:?}");
        last
    }

    pub(crate) fn until_readers(&mut self, count: usize) {
        self.until("blocked readers", |s| s.waiting_readers == count);
    }

    pub(crate) fn until_writers(&mut self, count: usize) {
        self.until("blocked writers", |s| s.waiting_writers == count);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without commands the server drops the node and ends; a server that is stuck is killed.
        self.commands = None;
        if !eventually(|| matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        clear(&self.path);
    }
}

/// Where a FUSE node is mounted.
pub(crate) fn mount_point(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.with_file_name(format!(".{name}.node"))
}

/// Takes away a node that a killed server left.
pub(crate) fn clear(path: &Path) {
    if kind() == NodeKind::Fuse && !path.as_os_str().is_empty() {
        let point = mount_point(path);
        let _ = nix::mount::umount2(&point, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&point);
        let _ = fs::remove_file(path);
    }
}

/// The other side: what [`Setup::try_start`] runs. By itself it has nothing to do.
#[test]
fn serve() {
    let Ok(request) = env::var(REQUEST) else { return };
    let request: HashMap<_, _> = request.lines().filter_map(|line| line.split_once('=')).collect();
    let device = Loopback::new(get(&request, "capacity"), get(&request, "threaded"));
    let mut options = Options::new(request["name"]);
    options.dir = PathBuf::from(request["dir"]);
    options.kind = get(&request, "kind");
    options.mode = get(&request, "mode");
    options.unrestricted_ioctl = get(&request, "unrestricted");
    let before = counts();
    let node = match Registration::register(&options, device.clone()) {
        Ok(node) => node,
        Err(error) => {
            // A thread that has ended leaves the list of threads a moment later.
            let clean = eventually(|| counts() == before);
            return println!("@ error {error} [{}]", if clean { "nothing left" } else { "leak" });
        }
    };
    println!("@ ready {} {}", node.kind(), node.path().display());
    answer_commands(node, &device);
}

fn answer_commands(node: Registration, device: &Arc<Loopback>) {
    let mut node = Some(node);
    for command in std::io::stdin().lines().map_while(Result::ok) {
        match command.as_str() {
            "stats" => {
                let s = node.as_ref().map(Registration::stats).unwrap_or_default();
                let (threads, fds) = counts();
                let (opened, released) = (
                    device.opened.load(Ordering::Relaxed),
                    device.released.load(Ordering::Relaxed),
                );
                println!(
                    "@ {} {} {} {} {} {} {opened} {released} {threads} {fds} {}",
                    s.openers,
                    s.waiting_readers,
                    s.waiting_writers,
                    s.waiting_ioctls,
                    s.pollers,
                    s.interrupted,
                    device.held()
                );
            }
            "given_up" => println!("@ {:?}", device.given_up.lock().unwrap()),
            "hang_up" => {
                node.as_ref().unwrap().hang_up(Errno::ENODEV);
                println!("@ done");
            }
            "allocations" => println!("@ {}", ALLOCATOR.stats().allocations),
            "hold_release" | "let_go" => {
                device.hold_release.store(command == "hold_release", Ordering::Relaxed);
                println!("@ done");
            }
            "drop" => {
                let begin = Instant::now();
                node = None;
                println!("@ {}", begin.elapsed().as_millis());
            }
            other => panic!("{other}"),
        }
    }
}

fn get<T: FromStr<Err: std::fmt::Debug>>(request: &HashMap<&str, &str>, key: &str) -> T {
    request[key].parse().unwrap()
}

/// Threads and descriptors of this process.
fn counts() -> (usize, usize) {
    let count = |dir| fs::read_dir(dir).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}
