//! Where a FUSE node comes into the file system, and goes out of it.
//!
//! ```text
//!   /run/uiod/
//!     uio_dummy0 -> .uio_dummy0.node/uio_dummy0     the link: what clients open
//!     .uio_dummy0.node/                             the mount point: a directory, and on it our file system
//!         uio_dummy0                                the file
//! ```
//!
//! # Vocabulary
//!
//! - **mount point**: an empty directory, locked while its node lives, so that two daemons cannot both take it.
//! - **live**, **stale**: a mount whose server answers, or is dead. The kernel keeps the mount of a dead server
//!   until somebody unmounts it; every access says `ENOTCONN`.
//! - **link**: made last and removed first, so that a node that can be seen can be opened.
//!
//! # States of the name of a node
//!
//! ```text
//!   free ──claim──▶ mount point, locked ──mount──▶ live ──publish──▶ live, with link ──drop──▶ free
//!    ▲                │ daemon dies                  │ daemon dies         │
//!    │ claim          ▼                              ▼                     ▼
//!    └──────── mount point, unlocked ◀──unmount─── stale ◀─────────────────┘
//!
//!   anything else there, or a lock or a server that lives: taken (EEXIST)
//! ```
//!
//! Root mounts by `mount(2)`. Others ask `fusermount3`, which is set-uid root, checks that the mount point is
//! theirs, opens `/dev/fuse`, and hands the descriptor back over a socket.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd;

use super::channel::Channel;
use super::fusermount;
use super::mountinfo::{self, MountEntry};
use crate::error::{Error, Result};

/// The file system type of our mounts, as the mount table shows it.
pub(super) const TYPE: &str = "fuse.uiod";

/// How long a server may take to say that it lives. Who gets no answer is told to kill it: a machine that is busy for
/// a few seconds must not look like that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// A mounted node. Dropping it takes it away.
// The order of the fields is the order in which they go.
#[derive(Debug)]
pub(crate) struct Mount {
    link: Link,
    _mounted: Mounted,
    _point: MountPoint,
}

impl Mount {
    /// Mounts a node called `name` in `dir`. `for_others`: not for the user of this process alone.
    ///
    /// Clients find it only after [`publish`](Self::publish).
    pub(crate) fn new(dir: &Path, name: &str, for_others: bool) -> Result<(Self, Channel)> {
        let dir = existing_dir(dir)?;
        let mut link = Link::new(&dir, name);
        link.refuse_foreign()?;
        let point = MountPoint::claim(dir.join(mount_point_name(name)), &link.path)?;
        link.held = true;
        let channel = if is_root() {
            mount_as_root(&point.path)?
        } else {
            fusermount::mount(&point.path, &source(), for_others)?
        };
        let mounted = Mounted { path: point.path.clone() };
        Ok((Self { link, _mounted: mounted, _point: point }, channel))
    }

    /// Lets clients find the node, which must be served by now or soon.
    pub(crate) fn publish(&self) -> Result<()> {
        self.link.make()
    }

    /// Where clients find it.
    pub(crate) fn path(&self) -> &Path {
        &self.link.path
    }
}

/// The name that clients open.
#[derive(Debug)]
struct Link {
    path: PathBuf,
    target: PathBuf,
    /// We have the mount point, and with it the right to make and remove the link.
    held: bool,
}

impl Link {
    fn new(dir: &Path, name: &str) -> Self {
        let target = Path::new(&mount_point_name(name)).join(name);
        Self { path: dir.join(name), target, held: false }
    }

    fn make(&self) -> Result<()> {
        match symlink(&self.target, &self.path) {
            Ok(()) => Ok(()),
            // Left over by a dead daemon.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.refuse_foreign(),
            Err(error) => Err(Error::from_io(&error, "cannot create", self.path.display())),
        }
    }

    fn refuse_foreign(&self) -> Result<()> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ if self.is_ours() => Ok(()),
            _ => Err(taken(&self.path).with_cause("there is a file of that name already")),
        }
    }

    fn is_ours(&self) -> bool {
        fs::read_link(&self.path).is_ok_and(|target| target == self.target)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.held && self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Our file system on its mount point.
#[derive(Debug)]
struct Mounted {
    path: PathBuf,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Somebody may have unmounted it already; then what is there now is not ours.
        let found = mounted_at(&self.path).ok().flatten();
        if found.is_none_or(|found| found.source != source()) {
            return;
        }
        if let Err(error) = unmount(&self.path) {
            tracing::warn!(%error, "node left mounted");
        }
    }
}

/// The directory under a node. Dropping it removes it.
#[derive(Debug)]
struct MountPoint {
    path: PathBuf,
    dir: Flock<File>,
}

impl MountPoint {
    /// Takes the directory, clearing away what a dead daemon left there. `node` is for messages.
    fn claim(path: PathBuf, node: &Path) -> Result<Self> {
        while let Some(mount) = mounted_at(&path)? {
            refuse_live(&path, &mount, node)?;
            tracing::info!(path = %node.display(), "unmounting the node of a dead daemon");
            unmount(&path)?;
        }
        match DirBuilder::new().mode(0o755).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::from_io(&error, "cannot create", path.display()));
            }
            _ => {}
        }
        let failed = |error| Error::from_io(&error, "cannot use the directory", path.display());
        let dir = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(&path)
            .map_err(failed)?;
        let dir = Flock::lock(dir, FlockArg::LockExclusiveNonblock)
            .map_err(|_| taken(node).with_cause("another daemon is just taking it"))?;
        let point = Self { path, dir };
        if !point.is_in_place() {
            return Err(taken(node).with_cause("another daemon was there a moment ago"));
        }
        if !point.is_empty() {
            let full = format!("{} is not empty", point.path.display());
            return Err(taken(node).with_cause(full));
        }
        Ok(point)
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// Whether the path still leads to our directory, and not to what another mounted on it.
    fn is_in_place(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (fs::symlink_metadata(&self.path), self.dir.metadata()) {
            (Ok(there), Ok(ours)) => identity(there) == identity(ours),
            _ => false,
        }
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if self.is_in_place() {
            // Fails if somebody put something into it; then it is his.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Hidden, and not a name that a driver would choose.
fn mount_point_name(name: &str) -> String {
    format!(".{name}.node")
}

/// The directory, made if it is missing, as the mount table spells it.
fn existing_dir(dir: &Path) -> Result<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
    made.map_err(|error| Error::from_io(&error, "cannot make the directory", dir.display()))?;
    dir.canonicalize()
        .map_err(|error| Error::from_io(&error, "cannot use the directory", dir.display()))
}

/// Goes through if the mount is one of ours and its server is dead.
fn refuse_live(path: &Path, mount: &MountEntry, node: &Path) -> Result<()> {
    if mount.kind != TYPE {
        return Err(
            taken(node).with_cause(format_args!("a {} file system is mounted there", mount.kind))
        );
    }
    let process = mount.source.rsplit(':').next().unwrap_or("?");
    match server_state(path) {
        ServerState::Dead => Ok(()),
        ServerState::Alive => {
            Err(taken(node).with_cause(format_args!("process {process} serves a node there")))
        }
        ServerState::Silent => Err(taken(node)
            .with_cause(format_args!("process {process} has a node there and does not answer"))
            .with_hint(format_args!("end it: kill -9 {process}"))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerState {
    Alive,
    Dead,
    Silent,
}

/// Asks the server for the file's attributes, on a thread that may hang with it.
fn server_state(path: &Path) -> ServerState {
    let (tell, told) = mpsc::channel();
    let path = path.to_owned();
    let ask = move || {
        let dead = match fs::symlink_metadata(&path) {
            Ok(_) => false,
            // Aborted: it died while we asked.
            Err(error) => matches!(
                error.raw_os_error().map(Errno::from_raw),
                Some(Errno::ENOTCONN | Errno::ECONNABORTED)
            ),
        };
        let _ = tell.send(dead);
    };
    let Ok(probe) = thread::Builder::new().name("node-probe".into()).spawn(ask) else {
        return ServerState::Silent;
    };
    let Ok(dead) = told.recv_timeout(ANSWER_DEADLINE) else { return ServerState::Silent };
    // It has answered, so it is about to end.
    let _ = probe.join();
    if dead { ServerState::Dead } else { ServerState::Alive }
}

fn mount_as_root(path: &Path) -> Result<Channel> {
    let channel = Channel::open_fuse()?;
    // Others are let in by the node's mode alone, which the kernel checks.
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
        channel.as_fd().as_raw_fd()
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(source().as_str()), path, Some(TYPE), flags, Some(options.as_str())).map_err(
        |errno| {
            let error = Error::new(errno, "cannot mount a FUSE node at", path.display());
            match errno {
                Errno::EPERM => {
                    error.with_hint("mounting needs CAP_SYS_ADMIN; run outside the container")
                }
                _ => error,
            }
        },
    )?;
    Ok(channel)
}

/// Takes a mount away even if it is in use or its server is dead.
fn unmount(path: &Path) -> Result<()> {
    if !is_root() {
        return fusermount::unmount(path);
    }
    umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
        .map_err(|errno| Error::new(errno, "cannot unmount", path.display()))
}

fn mounted_at(path: &Path) -> Result<Option<MountEntry>> {
    let text = fs::read("/proc/self/mountinfo")
        .map_err(|error| Error::from_io(&error, "cannot read", "/proc/self/mountinfo"))?;
    Ok(mountinfo::find(&text, path))
}

/// What the mount table shows as the device: who serves it.
fn source() -> String {
    format!("uiod:{}", std::process::id())
}

fn is_root() -> bool {
    unistd::geteuid().is_root()
}

fn taken(path: &Path) -> Error {
    Error::new(Errno::EEXIST, "cannot make the node", path.display())
        .with_hint("choose another name or directory")
}
