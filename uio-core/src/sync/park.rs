//! How a thread sleeps: parked, until it is granted what it waits for, interrupted, or out of time.
//!
//! [`Parked`] is what a semaphore keeps of a thread in its list, as the kernel keeps a `semaphore_waiter`:
//! whoever gives something away takes the entry off the list, under the list's lock, and *grants* it. So
//! whoever is granted has it, and nobody can come between. [`Deadline`] is the end of a bounded sleep.

use std::time::Duration;
#[cfg(not(loom))]
use std::time::Instant;

use super::facade::atomic::{AtomicBool, Ordering};
use super::facade::{Arc, parking};
use super::{sleep, task};

/// Whether an [interrupt](task::Interrupt) ends the sleep: `TASK_INTERRUPTIBLE`, `TASK_UNINTERRUPTIBLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sleep {
    Interruptible,
    Uninterruptible,
}

impl Sleep {
    /// Whether the calling thread's sleep is over because it was interrupted.
    pub(super) fn is_interrupted(self) -> bool {
        self == Self::Interruptible && task::signal_pending()
    }
}

/// Until when a sleep lasts at the most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    #[cfg(not(loom))]
    at: Option<Instant>,
}

impl Deadline {
    /// Sleeps as long as it takes.
    pub(super) const NEVER: Self = Self {
        #[cfg(not(loom))]
        at: None,
    };

    /// A time too far to be told is never.
    #[cfg(not(loom))]
    pub(super) fn after(timeout: Duration) -> Self {
        Self { at: Instant::now().checked_add(timeout) }
    }

    /// In a model no time passes.
    #[cfg(loom)]
    pub(super) fn after(_: Duration) -> Self {
        Self::NEVER
    }

    /// What is left of the time.
    pub(super) fn left(self) -> Duration {
        #[cfg(not(loom))]
        if let Some(at) = self.at {
            return at.saturating_duration_since(Instant::now());
        }
        Duration::MAX
    }

    /// Parks the calling thread; `false`, at once, if the time is over. May return early.
    pub(super) fn park(self) -> bool {
        let _asleep = sleep::sleeping();
        #[cfg(not(loom))]
        if self.at.is_some() {
            let left = self.left();
            if !left.is_zero() {
                parking::park_timeout(left);
            }
            return !left.is_zero();
        }
        parking::park();
        true
    }
}

/// How a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    Granted,
    Interrupted,
    TimedOut,
}

/// One thread's place in a list of those who wait for something to be given to them.
pub(super) struct Parked {
    thread: parking::Thread,
    granted: AtomicBool,
}

impl Parked {
    pub(super) fn current() -> Arc<Self> {
        Arc::new(Self { thread: parking::current(), granted: AtomicBool::new(false) })
    }

    /// Gives it what it waits for. The giver has taken it off the list.
    pub(super) fn grant(&self) {
        // Release: whoever is granted sees what the giver did before.
        self.granted.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Sleeps until one of the three; granted wins.
    pub(super) fn sleep(&self, sleep: Sleep, deadline: Deadline) -> Woken {
        loop {
            // Acquire: pairs with the store in `grant`.
            if self.granted.load(Ordering::Acquire) {
                return Woken::Granted;
            }
            if sleep.is_interrupted() {
                return Woken::Interrupted;
            }
            if !deadline.park() {
                return Woken::TimedOut;
            }
        }
    }
}
