//! [`Completion`]: one thread says that something is done, another waits for it, in either order.
//!
//! # Vocabulary
//!
//! - **done**: how many waits will not sleep. [`complete`](Completion::complete) adds one, and a wait takes
//!   one, so that a completion that comes before its wait is not lost.
//! - **done for all**: what [`complete_all`](Completion::complete_all) leaves behind: every wait, now and later,
//!   until [`reinit`](Completion::reinit).
//!
//! ```text
//!                 complete                      complete_all
//!   not done ───────────────▶ done: n + 1  ───────────────────▶ done for all
//!      ▲  ◀───────────────────   │                                  │
//!      │      wait: n - 1                                           │
//!      └────────────────────────────────────────────────────────────┘
//!                               reinit
//! ```
//!
//! Those who wait are exclusive waiters of a [`WaitQueue`], whose argument holds: no completion is lost, and
//! `complete` wakes them in order of arrival.
//!
//! Mirrors `include/linux/completion.h`, `kernel/sched/completion.c`
//! (`Documentation/scheduler/completion.rst`), `rust/kernel/sync/completion.rs`.

use std::fmt;
use std::time::Duration;

use super::context::might_sleep;
use super::facade::atomic::{AtomicU32, Ordering};
use super::facade::const_fn;
use super::park::{Deadline, Sleep};
use super::task::Interrupted;
use super::wait::{WaitQueue, WaitResult};

/// Done for all: `UINT_MAX` in the kernel too.
const ALL: u32 = u32::MAX;

/// Something that is going to be done, and those who wait for it.
#[doc(alias("init_completion", "DECLARE_COMPLETION"))]
pub struct Completion {
    done: AtomicU32,
    queue: WaitQueue,
}

impl Completion {
    const_fn! {
        /// Not done.
        pub fn new() -> Self {
            Self { done: AtomicU32::new(0), queue: WaitQueue::new() }
        }
    }

    /// Lets one wait end: the one that began first, or else the next one to come. Never sleeps; may be called
    /// anywhere.
    pub fn complete(&self) {
        // Release: pairs with `take`. The change is made before the wake-up: K1.
        let one_more = |done: u32| (done != ALL).then(|| (done + 1).min(ALL - 1));
        let _ = self.done.fetch_update(Ordering::Release, Ordering::Relaxed, one_more);
        self.queue.wake_one();
    }

    /// Lets every wait end, now and from now on, until [`reinit`](Self::reinit). Never sleeps.
    pub fn complete_all(&self) {
        self.done.store(ALL, Ordering::Release);
        self.queue.wake_all();
    }

    /// Sleeps until it is done.
    #[track_caller]
    #[doc(alias = "wait_for_completion")]
    pub fn wait(&self) {
        might_sleep();
        let _ready = self.sleep(Sleep::Uninterruptible, Deadline::NEVER);
    }

    /// Sleeps until it is done or `timeout` is over, and says how much of it was left.
    #[track_caller]
    #[doc(alias = "wait_for_completion_timeout")]
    pub fn wait_timeout(&self, timeout: Duration) -> WaitResult {
        might_sleep();
        self.sleep(Sleep::Uninterruptible, Deadline::after(timeout))
    }

    /// Sleeps until it is done, or the thread is [interrupted](super::Interrupt).
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the thread was interrupted first, or before; nothing was taken.
    #[track_caller]
    #[doc(alias = "wait_for_completion_interruptible")]
    pub fn wait_interruptible(&self) -> Result<(), Interrupted> {
        might_sleep();
        match self.sleep(Sleep::Interruptible, Deadline::NEVER) {
            WaitResult::Interrupted => Err(Interrupted),
            _ => Ok(()),
        }
    }

    /// As [`wait_timeout`](Self::wait_timeout); an interrupt ends it too.
    #[track_caller]
    #[doc(alias = "wait_for_completion_interruptible_timeout")]
    pub fn wait_interruptible_timeout(&self, timeout: Duration) -> WaitResult {
        might_sleep();
        self.sleep(Sleep::Interruptible, Deadline::after(timeout))
    }

    /// Waits as a task does. The future may be dropped at any time; what it did not take is there for others.
    pub async fn wait_async(&self) {
        self.queue.wait_until_exclusive_async(|| self.take()).await;
    }

    /// Takes one, if it is done. Never sleeps.
    #[doc(alias = "try_wait_for_completion")]
    pub fn try_wait(&self) -> bool {
        self.take()
    }

    /// Whether a wait would end at once. Takes nothing.
    #[doc(alias = "completion_done")]
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) != 0
    }

    /// Makes it not done, to be used once more. Nobody may be waiting, or about to complete it for the last
    /// time.
    #[doc(alias = "reinit_completion")]
    pub fn reinit(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    fn sleep(&self, sleep: Sleep, deadline: Deadline) -> WaitResult {
        self.queue.wait_for_turn(sleep, deadline, || self.take())
    }

    fn take(&self) -> bool {
        let one_less = |done: u32| match done {
            0 => None,
            ALL => Some(ALL),
            _ => Some(done - 1),
        };
        // Acquire: whoever waited sees what was written before `complete`.
        self.done.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less).is_ok()
    }
}

impl Default for Completion {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("done", &self.done.load(Ordering::Relaxed))
            .field("queue", &self.queue)
            .finish()
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
