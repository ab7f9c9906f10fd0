//! [`Door`]: what those need of the softirqs who keep them from running, and no more.
//!
//! A thread that belongs to no dispatcher disables the softirqs of all, and has a share in each of them for as
//! long. Were that a share in the [`Engine`](super::engine::Engine), it could be the last one, of softirqs that
//! are being dropped elsewhere; and the functions of drivers, and all that they own, would end in a thread and
//! a context that have nothing to do with them. So these have a share in the door alone, which owns nothing
//! of anybody's.

use std::cell::Cell;
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;

use super::gate::{Gate, Next};
use crate::irq::{Shared, hold};
use crate::sync::WaitQueue;

thread_local! {
    /// The door behind which this thread runs softirqs now.
    static RUNS: Cell<*const Door> = const { Cell::new(std::ptr::null()) };
}

/// See the [module](self).
pub(super) struct Door {
    pub(super) gate: Gate,
    pub(super) dispatcher: Weak<Shared>,
    /// Woken when softirqs end running and somebody disables them.
    pub(super) idle: WaitQueue,
    pub(super) daemon: OnceLock<Thread>,
}

/// Says on this thread that softirqs run; puts back what was said before.
pub(super) struct Inside {
    before: *const Door,
}

impl Drop for Inside {
    fn drop(&mut self) {
        RUNS.set(self.before);
    }
}

impl Door {
    pub(super) fn new(dispatcher: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(),
            dispatcher: Arc::downgrade(dispatcher),
            idle: WaitQueue::new(),
            daemon: OnceLock::new(),
        })
    }

    /// This thread runs these softirqs until the guard is dropped.
    pub(super) fn enter(&self) -> Inside {
        Inside { before: RUNS.replace(self) }
    }

    /// Whether this thread runs these softirqs now.
    pub(super) fn runs_here(&self) -> bool {
        std::ptr::eq(RUNS.get(), self)
    }

    /// Whether this thread runs softirqs now, whosoever.
    pub(super) fn any_runs_here() -> bool {
        !RUNS.get().is_null()
    }

    /// Whether the calling thread belongs to the dispatcher whose softirqs these are.
    pub(super) fn is_local(&self) -> bool {
        hold::belongs_to(&self.dispatcher)
    }

    /// Does what a transition of the gate asks for.
    pub(super) fn follow(&self, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Kick => {
                if let Some(dispatcher) = self.dispatcher.upgrade() {
                    dispatcher.kick();
                }
            }
            Next::WakeDaemon => self.wake_daemon(),
        }
    }

    pub(super) fn wake_daemon(&self) {
        if let Some(daemon) = self.daemon.get() {
            daemon.unpark();
        }
    }
}
