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
//! The softirqs of one dispatcher run it, on the dispatcher or in its `ksoftirqd`, never on both. Its turn clears
//! *scheduled* before the function starts; a `schedule` that comes later sets it again and queues it again.
//! Whoever turns *scheduled* on is the only
//! one to queue it, so it is queued at most once. *Disabled* and *set aside* share one word with it, so
//! `enable` and the turn decide in one step who queues it again. The loom models of `state` hold this.
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

mod state;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::attach::{Priority, Softirqs};
use crate::error::Result;
use crate::sync::WaitQueue;
use crate::sync::context::{Origin, might_sleep};
use state::{Enabled, State};

pub(super) struct Inner {
    name: String,
    origin: Origin,
    state: State,
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
    /// `ENOSPC` if the dispatcher has too many; one that is killed counts until it is dropped.
    #[doc(alias = "tasklet_setup")]
    #[track_caller]
    pub fn new(
        softirqs: &Arc<Softirqs>,
        name: impl Into<String>,
        function: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = name.into();
        softirqs.reserve(&name)?;
        let inner = Inner {
            name,
            origin: Origin::here(),
            state: State::new(),
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
        let inner = self.inner();
        inner.wait_until(|| !inner.state.is_running());
    }

    /// As [`disable`](Self::disable), without the wait.
    #[doc(alias = "tasklet_disable_nosync")]
    pub fn disable_nosync(&self) {
        self.inner().state.disable();
    }

    /// Undoes one [`disable`](Self::disable). If the tasklet was scheduled meanwhile, it runs.
    ///
    /// # Panics
    ///
    /// If it is not disabled, which is a bug of the driver.
    #[doc(alias = "tasklet_enable")]
    pub fn enable(&self) {
        let inner = self.inner();
        match inner.state.enable() {
            Enabled::Nothing => {}
            Enabled::Requeue => inner.softirqs.enqueue(Arc::clone(inner), inner.priority()),
            // PANIC: documented.
            Enabled::Unbalanced => panic!("tasklet {} enabled without a disable", inner.name),
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
        inner.state.kill();
        inner.wait_until(|| !inner.state.is_scheduled() && !inner.state.is_running());
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Inner {
    fn schedule(this: &Arc<Self>, priority: Priority) -> bool {
        let won = this.state.schedule(priority == Priority::High);
        if won {
            this.softirqs.enqueue(Arc::clone(this), priority);
        }
        won
    }

    fn priority(&self) -> Priority {
        if self.state.is_high() { Priority::High } else { Priority::Normal }
    }

    /// Its turn has come. Called by whoever runs softirqs.
    pub(super) fn run(&self) {
        if self.state.begin() {
            let _origin = self.origin.enter();
            if catch_unwind(AssertUnwindSafe(|| (self.function)())).is_err() {
                tracing::error!(tasklet = %self.name, "a tasklet panicked; it is not run again");
                self.state.kill();
            }
            self.state.end();
        }
        self.idle.wake_all();
    }

    /// Waits until `over`, if somebody is there to bring it about.
    #[track_caller]
    fn wait_until(&self, over: impl Fn() -> bool) {
        let engine = &self.softirqs.engine;
        if engine.is_own_thread() {
            return;
        }
        might_sleep();
        engine.wait_until(&self.idle, over);
    }
}

impl Drop for Inner {
    /// Not before it has left the queue, which may be after its last handle: its place is its own until then.
    fn drop(&mut self) {
        self.softirqs.unreserve();
    }
}

impl fmt::Debug for Tasklet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &self.inner().state;
        f.debug_struct("Tasklet")
            .field("name", &self.inner().name)
            .field("scheduled", &state.is_scheduled())
            .field("running", &state.is_running())
            .field("disabled", &state.depth())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
