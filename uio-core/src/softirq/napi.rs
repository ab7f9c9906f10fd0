//! [`Napi`]: interrupts while there is little to do, polling while there is much. The kernel's NAPI.
//!
//! # Vocabulary
//!
//! - **poll**: the driver's function: does at most a budget of work, and says how much it did.
//! - **scheduled**: it is to be polled, the line is masked.
//! - **missed**: scheduled once more while it was scheduled: it is polled once more before it ends.
//! - **complete**: a poll did less than its budget. The line is unmasked, and the device looked at once more.
//! - **disabled**: it cannot be scheduled.
//!
//! # States
//!
//! ```text
//!         schedule (line masked)            poll = budget: to the end of the list
//!   idle ───────────────────────▶ scheduled ──────────────┐
//!    ▲ ▲                           ▲ │  ▲ ▲───────────────┘
//!    │ │       poll < budget,      │ │  └──── poll < budget, missed
//!    │ └────── not missed ─────────┼─┘
//!    │         (line unmasked)     │
//!    └── look once more: work ─────┘
//! ```
//!
//! # Why no wake-up is lost
//!
//! *Scheduled* and *missed* share one word. A `schedule` that finds *scheduled* sets *missed*; the end of a
//! poll clears *scheduled* only by a compare-and-swap that finds *missed* clear. So a `schedule` that comes
//! after the poll looked at the device either starts a poll of its own or makes this one go round again.
//! What the device did between the last look and the unmask either fires (the line keeps what comes while
//! it is masked) or, on a device that signals only what is new, is found by [`Poll::has_work`], which is asked
//! after the unmask. The loom model holds this.
//!
//! # Bounds
//!
//! 64 units of work a poll, 300 a round or 2 ms (`NAPI_POLL_WEIGHT`, `netdev_budget`, `netdev_budget_usecs`);
//! then the other vectors get their turn, and after 10 rounds `ksoftirqd` goes on. Nothing is polled that is
//! not scheduled: an idle device costs nothing.
//!
//! Mirrors `napi_schedule_prep`, `napi_complete_done`, `net_rx_action` (`net/core/dev.c`); see
//! `Documentation/networking/napi.rst`. It is a softirq, and so stands here and not in `irq`, which knows none.

mod state;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use nix::errno::Errno;

use super::attach::Softirqs;
use super::engine::MAX_TIME;
use super::stats::Counters;
use super::vector::Vector;
use crate::cycles::CycleBudget;
use crate::error::{Error, Result};
use crate::irq::{IrqLine, bump};
use crate::sync::WaitQueue;
use crate::sync::context::{Origin, might_sleep};
use state::{Completed, State};

/// Units of work that one poll may do: `NAPI_POLL_WEIGHT`.
pub const POLL_WEIGHT: usize = 64;
/// Units of work that all polls of a round may do together: `netdev_budget`.
pub const ROUND_BUDGET: usize = 300;
/// Polls of one dispatcher. Each is listed at most once, so the list never overflows.
const MAX_POLLS: usize = 256;

/// What a driver implements to be polled.
pub trait Poll: Send + Sync {
    /// Does at most `budget` units of work (packets, completions) and says how many. Less than `budget` means
    /// that there is no more. May not sleep. Never runs beside itself.
    fn poll(&self, budget: usize) -> usize;

    /// Whether the device has work. Asked after the line has been unmasked, so that a device that signals only
    /// new work loses none. One that signals as long as there is work need not implement it.
    fn has_work(&self) -> bool {
        false
    }
}

/// What a [`Napi`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NapiStats {
    /// Calls of [`Poll::poll`].
    pub polls: u64,
    /// Units of work that they did.
    pub work: u64,
    /// How often it went back to interrupts.
    pub completed: u64,
}

/// What is to be polled on one dispatcher.
pub(super) struct PollList {
    queue: ArrayQueue<Arc<Inner>>,
    count: AtomicUsize,
    used: AtomicBool,
}

impl PollList {
    pub(super) fn new() -> Self {
        let (count, used) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { queue: ArrayQueue::new(MAX_POLLS), count, used }
    }

    /// Whether `NET_RX` belongs to this list.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// One round: polls each of those that are listed now, within the bounds. Whether any is left.
    pub(super) fn run(&self, counters: &Counters) -> bool {
        let time = CycleBudget::start(MAX_TIME);
        let mut budget = ROUND_BUDGET;
        for _ in 0..self.queue.len() {
            if budget == 0 || time.is_over() {
                counters.squeezed();
                break;
            }
            let Some(napi) = self.queue.pop() else { break };
            budget = budget.saturating_sub(self.poll(napi));
        }
        !self.queue.is_empty()
    }

    fn poll(&self, napi: Arc<Inner>) -> usize {
        let work = napi.poll_once();
        if napi.stays_listed(work) {
            self.push(napi);
        }
        work.unwrap_or(0)
    }

    fn push(&self, napi: Arc<Inner>) {
        // PANIC: not reached; every poll has a reserved place, and is listed at most once.
        assert!(self.queue.push(napi).is_ok(), "more polls are listed than exist");
    }
}

struct Inner {
    name: String,
    line: IrqLine,
    softirqs: Arc<Softirqs>,
    poller: Box<dyn Poll>,
    origin: Origin,
    state: State,
    /// Woken when it ends.
    idle: WaitQueue,
    polls: AtomicU64,
    work: AtomicU64,
    completed: AtomicU64,
}

/// A device that is polled under load. Dropping the last clone disables it.
#[derive(Clone)]
pub struct Napi {
    handle: Arc<Handle>,
}

/// What all clones share; the last one ends it.
struct Handle(Arc<Inner>);

impl Napi {
    /// Polls by `poller`, in place of interrupts of `line`, with the softirqs of `softirqs`. `poller` must not
    /// own the `Napi`, or neither is ever freed.
    ///
    /// # Errors
    ///
    /// `EBUSY` if `NET_RX` was opened for something else; `ENOSPC` if the dispatcher has too many.
    #[doc(alias = "netif_napi_add")]
    #[track_caller]
    pub fn new(
        softirqs: &Arc<Softirqs>,
        line: &IrqLine,
        name: impl Into<String>,
        poller: impl Poll + 'static,
    ) -> Result<Self> {
        let name = name.into();
        let failed = |errno| Error::new(errno, "cannot set up polling", &name);
        let engine = &softirqs.engine;
        if engine.is_open(Vector::NetRx) {
            return Err(failed(Errno::EBUSY).with_cause("NET_RX is open for something else"));
        }
        if engine.polls.count.fetch_add(1, Ordering::Relaxed) >= MAX_POLLS {
            engine.polls.count.fetch_sub(1, Ordering::Relaxed);
            return Err(failed(Errno::ENOSPC)
                .with_cause(format!("this dispatcher has {MAX_POLLS} already")));
        }
        engine.polls.used.store(true, Ordering::Release);
        let inner = Inner {
            name,
            line: line.clone(),
            softirqs: Arc::clone(softirqs),
            poller: Box::new(poller),
            origin: Origin::here(),
            state: State::new(),
            idle: WaitQueue::new(),
            polls: AtomicU64::new(0),
            work: AtomicU64::new(0),
            completed: AtomicU64::new(0),
        };
        Ok(Self { handle: Arc::new(Handle(Arc::new(inner))) })
    }

    /// Masks the line and starts polling; called by the top half. If it is polled already, it is polled once
    /// more before it ends. `false` then, and while it is disabled.
    #[doc(alias = "napi_schedule")]
    pub fn schedule(&self) -> bool {
        Inner::schedule(self.inner())
    }

    /// Ends polling: waits until it is idle, and keeps it from being scheduled until the matching
    /// [`enable`](Self::enable). Does not nest. Work that a poll has left stays with the device. Nothing masks
    /// the line meanwhile: a driver disables it as well.
    ///
    /// On the dispatcher, or in a softirq of it, it cannot wait, and only asks for the end.
    ///
    /// # Panics
    ///
    /// In debug builds, if the caller may not sleep.
    #[doc(alias = "napi_disable")]
    #[track_caller]
    pub fn disable(&self) {
        self.handle.disable();
    }

    /// Undoes [`disable`](Self::disable). What was scheduled meanwhile starts now.
    #[doc(alias = "napi_enable")]
    pub fn enable(&self) {
        let inner = self.inner();
        if inner.state.enable() || inner.poller.has_work() {
            Inner::schedule(inner);
        }
    }

    /// Whether it is to be polled.
    pub fn is_scheduled(&self) -> bool {
        self.inner().state.is_scheduled()
    }

    /// What it has done so far.
    pub fn stats(&self) -> NapiStats {
        let inner = self.inner();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NapiStats {
            polls: get(&inner.polls),
            work: get(&inner.work),
            completed: get(&inner.completed),
        }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.0
    }
}

impl Inner {
    fn schedule(this: &Arc<Self>) -> bool {
        if !this.state.schedule() {
            return false;
        }
        this.line.mask();
        let engine = &this.softirqs.engine;
        engine.polls.push(Arc::clone(this));
        engine.raise(Vector::NetRx);
        true
    }

    /// Polls. `None` if it panicked: then it is disabled, and its line stays masked.
    fn poll_once(&self) -> Option<usize> {
        let _origin = self.origin.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| self.poller.poll(POLL_WEIGHT)));
        let Ok(work) = polled else {
            tracing::error!(poll = %self.name, "a poll panicked; it is not polled again");
            self.state.disable();
            return None;
        };
        if work > POLL_WEIGHT {
            tracing::warn!(poll = %self.name, work, "a poll exceeds its budget: a bug of the driver");
        }
        bump(&self.polls, 1);
        bump(&self.work, work as u64);
        Some(work)
    }

    /// The end of a poll; whether it is to be polled again.
    fn stays_listed(self: &Arc<Self>, work: Option<usize>) -> bool {
        if work.is_some_and(|work| work >= POLL_WEIGHT) {
            if !self.state.is_disabled() {
                return true;
            }
            // What it leaves is remembered for `enable`.
            self.state.schedule();
        }
        if self.state.complete() == Completed::Again {
            return true;
        }
        bump(&self.completed, 1);
        if work.is_some() {
            self.line.unmask();
            self.look_once_more();
        }
        self.state.looked();
        self.idle.wake_all();
        false
    }

    /// After the unmask: what came before it and made no interrupt is found here.
    fn look_once_more(self: &Arc<Self>) {
        if !self.state.is_disabled() && self.poller.has_work() {
            Self::schedule(self);
        }
    }
}

impl Handle {
    #[track_caller]
    fn disable(&self) {
        let inner = &self.0;
        inner.state.disable();
        let engine = &inner.softirqs.engine;
        if engine.is_own_thread() {
            return;
        }
        might_sleep();
        engine.wait_until(&inner.idle, || !inner.state.is_busy());
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.disable();
    }
}

impl Drop for Inner {
    /// Not before it has left the list, which may be after its last handle: its place is its own until then.
    fn drop(&mut self) {
        self.softirqs.engine.polls.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Napi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Napi")
            .field("name", &self.inner().name)
            .field("state", &self.inner().state)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
