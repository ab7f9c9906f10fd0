//! What the dispatcher's loop shares with everybody else.

use std::any::Any;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, ThreadId};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, Waker};

use super::super::flow::Line;
use super::super::hold::Hold;
use super::AfterHook;
use super::kick::Kick;
use crate::error::{Error, Result};
use crate::sync::facade::Snapshot;

/// The token of the waker; lines have others.
pub(super) const WAKER: Token = Token(usize::MAX);

pub(crate) struct Shared {
    pub(crate) number: usize,
    pub(in crate::irq) hold: Hold,
    pub(super) thread: OnceLock<ThreadId>,
    pub(super) lines: Snapshot<(Token, Arc<Line>)>,
    pub(super) hooks: Snapshot<Arc<dyn AfterHook>>,
    pub(super) kicked: Kick,
    pub(super) resend: AtomicBool,
    /// Lines are shut off, and to be polled. Written by the loop alone.
    pub(super) some_shut_off: AtomicBool,
    pub(super) stop: AtomicBool,
    /// What a higher layer keeps with the dispatcher: its bottom halves. A hook owns them, and so they end with the
    /// dispatcher, not with this.
    pub(crate) attached: OnceLock<Weak<dyn Any + Send + Sync>>,
    registry: Registry,
    waker: Waker,
    next_token: AtomicUsize,
}

impl Shared {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        static NEXT_NUMBER: AtomicUsize = AtomicUsize::new(0);
        Ok(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            hold: Hold::new(),
            thread: OnceLock::new(),
            lines: Snapshot::new(),
            hooks: Snapshot::new(),
            kicked: Kick::new(),
            resend: AtomicBool::new(false),
            some_shut_off: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            attached: OnceLock::new(),
            registry: registry.try_clone()?,
            waker: Waker::new(registry, WAKER)?,
            next_token: AtomicUsize::new(0),
        })
    }

    /// Makes the loop run its after-hooks soon. On the loop's own thread it costs no system call.
    pub(crate) fn kick(&self) {
        if self.kicked.ask() && !self.is_current_thread() {
            // An eventfd write fails only if the counter is full, and then the loop is awake.
            let _ = self.waker.wake();
        }
    }

    /// Makes the loop run the rounds that became due by an unmask.
    pub(in crate::irq) fn resend(&self) {
        self.resend.store(true, Ordering::Release);
        self.kick();
    }

    /// Whether the caller is the dispatcher.
    pub(crate) fn is_current_thread(&self) -> bool {
        self.thread.get() == Some(&thread::current().id())
    }

    /// Begins to watch a line.
    pub(in crate::irq) fn watch(&self, line: &Arc<Line>) -> Result<()> {
        // Relaxed: the number only has to be another one each time, so that an event of a line that was
        // forgotten is never taken for one of its successor.
        let token = Token(self.next_token.fetch_add(1, Ordering::Relaxed));
        // The line first: an event may come before `register` returns.
        self.lines.update(|lines| lines.push((token, Arc::clone(line))));
        line.source.forget_past();
        let fd = line.source.fd().as_raw_fd();
        self.registry.register(&mut SourceFd(&fd), token, Interest::READABLE).map_err(|error| {
            self.lines.update(|lines| lines.retain(|(_, watched)| !Arc::ptr_eq(watched, line)));
            Error::from_io(&error, "cannot watch interrupt line", &line.name)
        })
    }

    /// Ends watching a line; it is no error if it is not watched.
    pub(in crate::irq) fn forget(&self, line: &Line) {
        let fd = line.source.fd().as_raw_fd();
        let _ = self.registry.deregister(&mut SourceFd(&fd));
        self.lines.update(|lines| lines.retain(|(_, watched)| !std::ptr::eq(&**watched, line)));
    }

    /// Begins to poll lines that are shut off. Called by the loop, from a round.
    pub(in crate::irq) fn poll_lines(&self) {
        self.some_shut_off.store(true, Ordering::Relaxed);
    }
}
