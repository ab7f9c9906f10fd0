//! Making a node and unmaking it: [`Registration`].
//!
//! # States
//!
//! ```text
//!   register ──▶ served ──hang_up──▶ hung up ──drop──▶ gone
//!                  │                                    ▲
//!                  └────────────── drop ────────────────┘
//! ```
//!
//! - *served*: requests go to the device.
//! - *hung up*: the device is gone, the node is there: every request is answered with an error, at once.
//! - *gone*: no file, no thread, no descriptor, no subscription.
//!
//! # What drop does, in order, and why it ends
//!
//! 1. hang up with `ENODEV`: answers what is parked, so that clients see a clean error and not an abort;
//! 2. leave the device's wait queues;
//! 3. unmount (FUSE), while the session still answers, for unmounting may ask it;
//! 4. stop the session: its thread leaves after the request at hand;
//! 5. let go of the channel; the kernel takes the CUSE node away, and ends whatever client is left.
//!
//! Nothing here waits for a client. What could hold it up is a driver that blocks in an operation of its
//! node, against its contract: after [`END_DEADLINE`] the thread is left to itself, and a warning says so.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd;

use super::channel::Channel;
use super::device::CharDevice;
use super::fuse;
use super::mount::Mount;
use super::options::{NodeKind, Options};
use super::pump::{DUE_READS, DUE_WRITES, Pump, Retry};
use super::session::{Flavour, Session, Stop};
use super::table::NodeStats;
use super::tree::Tree;
use super::{cuse, name};
use crate::error::{Error, Result};
use crate::sync::Wake;

/// How long dropping a registration waits for a driver that blocks.
const END_DEADLINE: Duration = Duration::from_secs(2);

/// A node that is served. Dropping it ends the node; see the [module](self).
pub struct Registration {
    path: PathBuf,
    kind: NodeKind,
    fallback: Option<Error>,
    pump: Arc<Pump<Channel>>,
    wakes: [Arc<dyn Wake>; 2],
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
    mount: Option<Mount>,
}

/// A node that exists and is not served yet.
struct Made {
    channel: Channel,
    path: PathBuf,
    kind: NodeKind,
    flavour: Flavour,
    mount: Option<Mount>,
}

impl Registration {
    /// Makes the node and begins to serve it. When this returns, clients can open it.
    ///
    /// # Errors
    ///
    /// A name that cannot be (`EINVAL`, `ENAMETOOLONG`) or is taken (`EEXIST`); a kind of node that this
    /// system does not have, or not for this user. Nothing is left behind.
    pub fn register(options: &Options, device: Arc<dyn CharDevice>) -> Result<Self> {
        name::check(&options.name)?;
        check_mode(options.mode)?;
        let (made, fallback) = make(options)?;
        Self::serve(made, fallback, &options.name, device)
    }

    /// Where clients find the node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it became: [`NodeKind::Cuse`] or [`NodeKind::Fuse`].
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Why [`NodeKind::Auto`] took FUSE, if it did.
    pub fn fallback(&self) -> Option<&Error> {
        self.fallback.as_ref()
    }

    /// Counts: open files, blocked requests, pollers.
    pub fn stats(&self) -> NodeStats {
        self.pump.stats()
    }

    /// Whether requests are still read. Not so after somebody else unmounted or aborted the node.
    pub fn is_served(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// The device is gone. Blocked requests are answered with `errno` now, every later one when it comes;
    /// pollers see an error and a hang-up. The node stays until the registration is dropped.
    pub fn hang_up(&self, errno: Errno) {
        self.pump.hang_up(errno);
    }

    fn serve(
        made: Made,
        fallback: Option<Error>,
        name: &str,
        device: Arc<dyn CharDevice>,
    ) -> Result<Self> {
        let failed = |errno| Error::new(errno, "cannot serve the node", made.path.display());
        let stop = Arc::new(Stop::new().map_err(failed)?);
        let pump = Arc::new(Pump::new(device, made.channel));
        let session = Session::new(Arc::clone(&pump), made.flavour, Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name(format!("node/{name}"))
            .spawn(move || session.run())
            .map_err(|error| {
                Error::from_io(&error, "cannot start a thread for", made.path.display())
            })?;
        let wakes = [DUE_READS, DUE_WRITES]
            .map(|due| -> Arc<dyn Wake> { Arc::new(Retry { pump: Arc::clone(&pump), due }) });
        pump.device().read_wait().subscribe(&wakes[0]);
        pump.device().write_wait().subscribe(&wakes[1]);
        // A request may have been parked, and a wake-up missed, before the subscriptions.
        pump.retry(DUE_READS | DUE_WRITES);
        Ok(Self {
            path: made.path,
            kind: made.kind,
            fallback,
            pump,
            wakes,
            stop,
            thread: Some(thread),
            mount: made.mount,
        })
    }

    /// Waits until the session's thread has ended. Whether it did.
    fn end_session(&mut self, deadline: Instant) -> bool {
        self.stop.ask();
        let Some(thread) = self.thread.take() else { return true };
        // The thread itself may drop the registration, from inside the device: it must not wait for itself.
        if thread.thread().id() == thread::current().id() {
            return false;
        }
        if !until(deadline, || thread.is_finished()) {
            return false;
        }
        // A panic of the session was reported when it happened.
        let _ = thread.join();
        true
    }

    /// Waits for wake-ups that are under way on other threads: each holds the pump for one pass.
    fn wait_for_wakers(&self, deadline: Instant) -> bool {
        let ours = 1 + self.wakes.len();
        until(deadline, || Arc::strong_count(&self.pump) <= ours)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_DEADLINE;
        self.pump.hang_up(Errno::ENODEV);
        self.pump.device().read_wait().unsubscribe(&self.wakes[0]);
        self.pump.device().write_wait().unsubscribe(&self.wakes[1]);
        self.stop.announce();
        drop(self.mount.take());
        if !(self.end_session(deadline) && self.wait_for_wakers(deadline)) {
            tracing::warn!(
                node = %self.path.display(),
                "the driver still runs in an operation of its node; it is left to itself"
            );
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("path", &self.path)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Waits for something that is about to happen and wakes nobody. Whether it happened in time.
fn until(deadline: Instant, mut condition: impl FnMut() -> bool) -> bool {
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
    true
}

/// Makes the node, of the wanted kind or of the one that can be had; with the reason for the latter.
fn make(options: &Options) -> Result<(Made, Option<Error>)> {
    match options.kind {
        NodeKind::Fuse => Ok((make_fuse(options)?, None)),
        NodeKind::Cuse => Ok((make_cuse(options, Channel::open_cuse()?)?, None)),
        NodeKind::Auto => match Channel::open_cuse() {
            Ok(channel) => Ok((make_cuse(options, channel)?, None)),
            Err(reason) if is_absence(reason.errno()) => Ok((make_fuse(options)?, Some(reason))),
            Err(error) => Err(error),
        },
    }
}

/// CUSE is not there, or not for this user.
fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV | Errno::ENXIO | Errno::EACCES | Errno::EPERM)
}

fn make_cuse(options: &Options, channel: Channel) -> Result<Made> {
    let path = cuse::make_node(&channel, options)?;
    Ok(Made { channel, path, kind: NodeKind::Cuse, flavour: Flavour::Cuse, mount: None })
}

fn make_fuse(options: &Options) -> Result<Made> {
    let for_others = options.mode & 0o077 != 0;
    let (mount, channel) = Mount::new(&options.dir, &options.name, for_others)?;
    fuse::handshake(&channel, &options.name)?;
    mount.publish()?;
    let owner = options.owner.unwrap_or_else(|| unistd::geteuid().as_raw());
    let group = options.group.unwrap_or_else(|| unistd::getegid().as_raw());
    Ok(Made {
        path: mount.path().to_owned(),
        channel,
        kind: NodeKind::Fuse,
        flavour: Flavour::Fuse(Tree::new(&options.name, options.mode, owner, group)),
        mount: Some(mount),
    })
}

fn check_mode(mode: u32) -> Result<()> {
    if mode & !0o777 == 0 {
        return Ok(());
    }
    Err(Error::invalid(
        "cannot use node mode",
        format_args!("{mode:04o}"),
        "it has more than the permission bits",
    )
    .with_hint("use a mode from 0000 to 0777"))
}

// Drivers keep it in what interrupt handlers share.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Registration>();
};
