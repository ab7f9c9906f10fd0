//! The channel to the kernel: the one place where `/dev/cuse` and `/dev/fuse` are opened.
//!
//! A [`Channel`] is an owned descriptor, close-on-exec (a child that inherits it would keep a dead node
//! alive) and nonblocking, from which requests are read and to which answers are written. Everything above
//! is built *from* it, so it could as well come from a broker or a predecessor. Replies may be written by
//! any thread, in any order: the kernel matches them by number, and each is one system call.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::sys::uio::writev;
use nix::unistd;

use super::pump::Answer;
use super::table::Owed;
use super::wire::abi::NotifyPollWakeupOut;
use super::wire::reply::Reply;
use crate::error::{Error, Result};

/// The kernel's smallest buffer for a request (`FUSE_MIN_READ_BUFFER`).
const SMALLEST_BUFFER: usize = 8192;

/// How long the kernel may take to begin: it sends the first request by itself, at once.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Channel {
    fd: OwnedFd,
}

/// What came first in [`Channel::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// A request, or the news that the channel is dead.
    Request,
    /// The other descriptor became readable.
    Stop,
}

impl Channel {
    /// Opens `/dev/cuse`: a channel for a character device that does not exist yet.
    pub(crate) fn open_cuse() -> Result<Self> {
        Self::open(Path::new("/dev/cuse"))
            .map_err(|errno| explain(errno, "/dev/cuse", "load the module: modprobe cuse"))
    }

    /// Opens `/dev/fuse`: a channel for a file system that is not mounted yet.
    pub(crate) fn open_fuse() -> Result<Self> {
        Self::open(Path::new("/dev/fuse"))
            .map_err(|errno| explain(errno, "/dev/fuse", "load the module: modprobe fuse"))
    }

    /// Takes over a descriptor that somebody else opened, as `fusermount3` does.
    pub(crate) fn from_fd(fd: OwnedFd) -> Result<Self, Errno> {
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { fd })
    }

    fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let fd = open(path, flags, Mode::empty())?;
        Ok(Self { fd })
    }

    /// Reads one request; `EAGAIN` if none is there, `ENODEV` once the channel is dead.
    pub(crate) fn receive(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        unistd::read(&self.fd, buf)
    }

    /// Reads the first request, which the kernel sends by itself.
    pub(crate) fn receive_first(&self) -> Result<Vec<u8>, Errno> {
        let deadline = Instant::now() + START_DEADLINE;
        let mut buf = vec![0; SMALLEST_BUFFER];
        loop {
            match self.receive(&mut buf) {
                Ok(len) => {
                    buf.truncate(len);
                    return Ok(buf);
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::ETIMEDOUT);
            }
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Sleeps until there is a request or `stop` is readable.
    pub(crate) fn wait(&self, stop: BorrowedFd<'_>) -> Result<Waited, Errno> {
        let mut fds =
            [PollFd::new(stop, PollFlags::POLLIN), PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let stopped = fds[0].revents().is_some_and(|events| !events.is_empty());
        Ok(if stopped { Waited::Stop } else { Waited::Request })
    }

    /// Whether the kernel has given up this channel: what it says instead of refusing a bad first answer.
    pub(crate) fn is_dead(&self) -> bool {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok()
            && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
    }

    /// Writes the answer to request `unique`.
    pub(crate) fn send(&self, unique: u64, reply: &Reply<'_>) -> Result<(), Errno> {
        reply.with_pieces(unique, |pieces| writev(&self.fd, pieces).map(drop))
    }
}

impl Channel {
    /// The descriptor, to name it in the options of a mount.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Answer for Channel {
    fn answer(&self, owed: Owed, reply: &Reply<'_>) -> Result<(), Errno> {
        let sent = self.send(owed.unique(), reply);
        match sent {
            // ENOENT: the client was killed before we read its request in full. ENODEV: the node is gone.
            Ok(()) | Err(Errno::ENOENT | Errno::ENODEV) => {}
            Err(errno) => {
                tracing::error!(%errno, ?reply, "the kernel refused an answer; answered EIO instead");
                let _ = self.send(owed.unique(), &Reply::Error(Errno::EIO));
            }
        }
        sent
    }

    fn wake_poller(&self, kernel_handle: u64) {
        let wakeup = NotifyPollWakeupOut { kh: kernel_handle };
        // An error says that the file or the node is gone: nobody polls any more.
        let _ = self.send(0, &Reply::PollWakeup(wakeup));
    }
}

fn explain(errno: Errno, path: &str, missing: &str) -> Error {
    let error = Error::from_io(&io::Error::from(errno), "cannot open", path);
    match errno {
        Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => error.with_hint(missing),
        Errno::EACCES | Errno::EPERM => error.with_hint("run as root"),
        _ => error,
    }
}
