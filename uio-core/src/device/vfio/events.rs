//! [`Keeper`]: the device's own thread, which hears what the kernel has to say and closes the device.
//!
//! Two eventfds are always subscribed. REQ: the kernel wants the device back, since somebody unbinds or removes it;
//! it holds the device's lock and waits for the close, and asks again every ten seconds. Nothing touches the
//! device's sysfs meanwhile, or it would wait for that lock. ERR: the bus noticed an error (AER).
//!
//! The close may take the kernel two minutes, so it is done here and never on the dispatcher.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::handle::Handle;
use super::iommu::Space;
use super::regions::Regions;
use crate::device::backend::BusEvents;
use crate::error::{Error, Result};
use crate::irq::hold::belongs;
use crate::sync::context;
use crate::sys::vfio::{Group, Index};

/// What is open, and is to be closed.
pub(super) struct Open {
    pub(super) handle: Arc<Handle>,
    pub(super) regions: Arc<Regions>,
    pub(super) group: Mutex<Option<Group>>,
    pub(super) space: Arc<Space>,
}

impl Open {
    /// The descriptor first, so that nobody maps anything any more; then what is mapped, with which the last
    /// reference goes and the kernel ends the device; then its group, and with it all that is mapped for DMA.
    fn close(&self) {
        self.handle.close();
        self.regions.revoke();
        drop(self.group.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.space.close();
    }
}

/// What the thread and the backend share.
struct Shared {
    open: Open,
    /// Signalled when the device is to be closed.
    close: EventFd,
    request: EventFd,
    error: EventFd,
}

/// Starts the thread, and tells it to close.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// A keeper whose thread is not there yet.
    pub(super) fn new(open: Open) -> Result<Self> {
        let eventfd = || {
            EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .map_err(|errno| Error::new(errno, "cannot create", "an eventfd for a device"))
        };
        let (close, request, error) = (eventfd()?, eventfd()?, eventfd()?);
        let shared = Shared { open, close, request, error };
        Ok(Self { shared: Arc::new(shared), thread: Mutex::new(None) })
    }

    /// Subscribes to what the kernel says of the device called `name`, and starts the thread.
    pub(super) fn listen(&self, name: &str, events: Arc<dyn BusEvents>) -> Result<()> {
        let subscribe = |index, fd: &EventFd| {
            let fds = [Some(fd.as_fd())];
            self.shared.open.handle.slowly(|device| match device.irq_info(index) {
                Ok(info) if info.count > 0 => device.set_triggers(index, 0, &fds).map(drop),
                // A function that is not on PCI Express reports no errors.
                _ => Ok(()),
            })
        };
        let failed = |errno| Error::new(errno, "cannot watch", format_args!("pci:{name}"));
        subscribe(Index::Req, &self.shared.request).map_err(failed)?;
        subscribe(Index::Err, &self.shared.error).map_err(failed)?;
        let shared = Arc::clone(&self.shared);
        let spawned = thread::Builder::new()
            .name(format!("pci/{}", name.strip_prefix("0000:").unwrap_or(name)))
            .spawn(move || shared.keep(&*events))
            .map_err(|error| Error::from_io(&error, "cannot start a thread for", name))?;
        *self.thread() = Some(spawned);
        Ok(())
    }

    /// Has the device closed. Waits for nothing.
    pub(super) fn close(&self) {
        // Fails only when the count is full, and then it was signalled.
        let _ = self.shared.close.write(1);
    }

    /// Waits for the close, unless on the thread that does it, or on a dispatcher, which may not wait.
    pub(super) fn wait(&self) {
        let Some(thread) = self.thread().take() else {
            // Nobody listened: there is no thread.
            return self.shared.open.close();
        };
        let may_wait = !context::in_interrupt() && !belongs();
        if may_wait && thread.thread().id() != thread::current().id() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn keep(&self, events: &dyn BusEvents) {
        loop {
            let [close, request, error] = match self.wait() {
                Ok(up) => up,
                Err(errno) => {
                    tracing::error!(%errno, "cannot wait for what a device has to say");
                    [true, false, false]
                }
            };
            if request {
                // Again and again until the close: once is enough.
                let _ = self.request.read();
                if !close {
                    events.remove_requested();
                }
            }
            if close {
                return self.open.close();
            }
            if error {
                let _ = self.error.read();
                events.error_detected();
            }
        }
    }

    /// Which of close, request and error have come up.
    fn wait(&self) -> Result<[bool; 3], Errno> {
        let watched = [&self.close, &self.request, &self.error];
        let mut fds = watched.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        while let Err(errno) = poll(&mut fds, PollTimeout::NONE) {
            if errno != Errno::EINTR {
                return Err(errno);
            }
        }
        Ok(fds.map(|fd| fd.any().unwrap_or(false)))
    }
}
