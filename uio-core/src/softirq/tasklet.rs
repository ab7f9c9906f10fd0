//! [`Tasklet`]: a bottom half that may not sleep.
//!
//! # Vocabulary
//!
//! - **scheduled**: asked to run and not started yet; a second `schedule` then changes nothing.
//! - **running**: its function runs. Scheduling it now makes it run once more afterwards.
//! - **disabled**: it stays scheduled but does not start; nests.
//! - **set aside**: it came up for its turn while disabled, and waits for `enable`.
//! - **killed**: `schedule` does nothing any more.
//!
//! # States
//!
//! ```text
//!          schedule                 its turn                    returns
//!   idle ───────────▶ scheduled ───────────────▶ running ───────────────────▶ idle
//!                      ▲   │ its turn, disabled     │ scheduled meanwhile
//!                      │   ▼                        ▼
//!                      └─ set aside             scheduled
//!                enable
//! ```
//!
//! # Why it never runs beside itself, and no schedule is lost
//!
//! The softirqs of one dispatcher run it, on the dispatcher or in its `ksoftirqd`, never on both. Its turn clears *scheduled* before the function starts; a
//! `schedule` that comes later sets it again and queues it again. Whoever turns *scheduled* on is the only
//! one to queue it, so it is queued at most once. *Disabled* and *set aside* share one word with it, so
//! `enable` and the turn decide in one step who queues it again.
//!
//! # Where it runs
//!
//! With the softirqs that it was made for, wherever it is scheduled from: another thread, a top half of another
//! dispatcher. (The kernel's runs on the processor that schedules it, and when that changes while it runs, it
//! is put off there.)
//!
//! # Waiting in the wrong place
//!
//! [`Tasklet::disable`], [`Tasklet::kill`] and the drop sleep. On the dispatcher, or in a bottom half of it,
//! they cannot wait, and return at once: a run may then be due or under way. In a top half or bottom half of
//! another dispatcher they are a bug of the driver, which debug builds catch.
//!
//! Mirrors `struct tasklet_struct` (`include/linux/interrupt.h`, `kernel/softirq.c`).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::attach::{Priority, Softirqs};
use crate::error::Result;
use crate::sync::WaitQueue;
use crate::sync::context::might_sleep;
use crate::sync::facade::atomic::{AtomicU32, Ordering};

const SCHEDULED: u32 = 1 << 31;
const RUNNING: u32 = 1 << 30;
const SET_ASIDE: u32 = 1 << 29;
const HIGH: u32 = 1 << 28;
const KILLED: u32 = 1 << 27;
const DISABLED: u32 = 0xFFFF;

pub(super) struct Inner {
    name: String,
    state: AtomicU32,
    softirqs: Arc<Softirqs>,
    /// Woken when a run ends.
    idle: WaitQueue,
    function: Box<dyn Fn() + Send + Sync>,
}

/// A function that runs on the dispatcher soon after it is scheduled.
///
/// It may not sleep. Dropping a tasklet kills it: when the drop returns, it neither runs nor will run.
#[derive(Clone)]
pub struct Tasklet {
    handle: Arc<Handle>,
}

/// What all clones of a tasklet share; the last one kills it.
struct Handle(Arc<Inner>);

impl Tasklet {
    /// A tasklet that is not scheduled. `function` must not own the tasklet, or neither is ever freed.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the dispatcher has too many.
    #[doc(alias = "tasklet_setup")]
    pub fn new(
        softirqs: &Arc<Softirqs>,
        name: impl Into<String>,
        function: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = name.into();
        softirqs.reserve(&name)?;
        let inner = Inner {
            name,
            state: AtomicU32::new(0),
            softirqs: Arc::clone(softirqs),
            idle: WaitQueue::new(),
            function: Box::new(function),
        };
        Ok(Self { handle: Arc::new(Handle(Arc::new(inner))) })
    }

    /// Makes the tasklet run soon. `false` if it is scheduled already (it will run once) or killed.
    ///
    /// May be called anywhere. From a top half it costs no system call and no allocation.
    #[doc(alias = "tasklet_schedule")]
    pub fn schedule(&self) -> bool {
        Inner::schedule(self.inner(), Priority::Normal)
    }

    /// As [`schedule`](Self::schedule), to run before all that were scheduled so.
    #[doc(alias = "tasklet_hi_schedule")]
    pub fn schedule_hi(&self) -> bool {
        Inner::schedule(self.inner(), Priority::High)
    }

    /// Keeps the tasklet from starting, until the matching [`enable`](Self::enable); waits for a run that is
    /// under way, unless called from it. Nests.
    #[doc(alias = "tasklet_disable")]
    #[track_caller]
    pub fn disable(&self) {
        self.disable_nosync();
        self.inner().wait_while(RUNNING);
    }

    /// As [`disable`](Self::disable), without the wait.
    #[doc(alias = "tasklet_disable_nosync")]
    pub fn disable_nosync(&self) {
        self.inner().state.fetch_add(1, Ordering::AcqRel);
    }

    /// Undoes one [`disable`](Self::disable). If the tasklet was scheduled meanwhile, it runs.
    ///
    /// # Panics
    ///
    /// If it is not disabled, which is a bug of the driver.
    #[doc(alias = "tasklet_enable")]
    pub fn enable(&self) {
        let inner = self.inner();
        let requeue = inner.change(|old| {
            assert!(old & DISABLED != 0, "tasklet {} enabled without a disable", inner.name);
            let new = old - 1;
            if new & DISABLED == 0 {
                (new & !SET_ASIDE, new & SET_ASIDE != 0)
            } else {
                (new, false)
            }
        });
        if requeue {
            inner.softirqs.enqueue(Arc::clone(inner), inner.priority());
        }
    }

    /// Ends the tasklet: waits until it neither runs nor is scheduled; it cannot be scheduled again, by
    /// itself either. On the dispatcher's thread it cannot wait, and a run that is due still happens.
    ///
    /// One that reschedules itself ends too: after the call begins, it runs at most twice (the run under way,
    /// and the one that was scheduled). The kernel's `tasklet_kill` leaves it to the driver to stop that
    /// first, and may wait for ever.
    #[doc(alias = "tasklet_kill")]
    #[track_caller]
    pub fn kill(&self) {
        self.handle.kill();
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.inner().name
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.0
    }
}

impl Handle {
    #[track_caller]
    fn kill(&self) {
        let inner = &self.0;
        let was = inner.state.fetch_or(KILLED, Ordering::AcqRel);
        if was & KILLED == 0 {
            inner.softirqs.unreserve();
        }
        // What is set aside will not come up any more: nobody is left to enable it in time.
        inner.change(|old| {
            if old & SET_ASIDE != 0 { (old & !(SET_ASIDE | SCHEDULED), ()) } else { (old, ()) }
        });
        inner.wait_while(SCHEDULED | RUNNING);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Inner {
    fn change<R>(&self, step: impl Fn(u32) -> (u32, R)) -> R {
        let mut old = self.state.load(Ordering::Relaxed);
        loop {
            let (new, result) = step(old);
            match self.state.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }

    fn schedule(this: &Arc<Self>, priority: Priority) -> bool {
        let high = if priority == Priority::High { HIGH } else { 0 };
        let won = this.change(|old| {
            if old & (SCHEDULED | KILLED) != 0 {
                (old, false)
            } else {
                (old & !HIGH | SCHEDULED | high, true)
            }
        });
        if won {
            this.softirqs.enqueue(Arc::clone(this), priority);
        }
        won
    }

    fn priority(&self) -> Priority {
        if self.state.load(Ordering::Relaxed) & HIGH != 0 {
            Priority::High
        } else {
            Priority::Normal
        }
    }

    /// Its turn has come. Called by whoever runs softirqs.
    pub(super) fn run(&self) {
        let start = self.change(|old| match old {
            _ if old & DISABLED == 0 => (old & !SCHEDULED | RUNNING, true),
            // Nobody is going to enable what is killed: it is dropped here.
            _ if old & KILLED != 0 => (old & !SCHEDULED, false),
            _ => (old | SET_ASIDE, false),
        });
        if start {
            if catch_unwind(AssertUnwindSafe(|| (self.function)())).is_err() {
                tracing::error!(tasklet = %self.name, "a tasklet panicked; it is not run again");
                self.state.fetch_or(KILLED, Ordering::AcqRel);
            }
            self.state.fetch_and(!RUNNING, Ordering::AcqRel);
        }
        self.idle.wake_all();
    }

    /// Waits while any of `bits` is set and somebody is there to clear it.
    #[track_caller]
    fn wait_while(&self, bits: u32) {
        let engine = &self.softirqs.engine;
        if engine.is_own_thread() {
            return;
        }
        might_sleep();
        engine.wait_until(&self.idle, || self.state.load(Ordering::Acquire) & bits == 0);
    }
}

impl fmt::Debug for Tasklet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner().state.load(Ordering::Relaxed);
        f.debug_struct("Tasklet")
            .field("name", &self.inner().name)
            .field("scheduled", &(state & SCHEDULED != 0))
            .field("running", &(state & RUNNING != 0))
            .field("disabled", &(state & DISABLED))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
