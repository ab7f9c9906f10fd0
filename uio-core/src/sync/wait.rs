//! Wait queues: sleep until a condition holds; be woken by whoever makes it hold.
//!
//! # Vocabulary
//!
//! - **waiter**: a thread asleep in [`WaitQueue::wait_until`], or a task that awaits
//!   [`WaitQueue::wait_until_async`].
//! - **exclusive** waiter: one of several who want the same thing, of which one will get it. A wake-up takes
//!   all waiters that are not exclusive, and of the exclusive ones as many as it says, in order of arrival.
//! - **interruptible** waiter: a thread whose wait an [`Interrupt`](super::Interrupt) ends.
//! - **subscriber**: a [`Wake`] that is called on every wake-up (the kernel's entry with a wake function of its
//!   own, as `epoll` uses).
//!
//! ```text
//!           condition false                  wake-up
//!   test ───────────────────▶ queued ─────────────────────▶ woken ──▶ test
//!    │                          │  condition true, interrupted,
//!    ▼ condition true           ▼  out of time, or dropped
//!   done                      done: leaves the queue; if it was exclusive and a wake-up
//!                             had chosen it meanwhile, the next one is woken instead
//! ```
//!
//! # Why no wake-up is lost
//!
//! ```text
//!   waiter                                   waker
//!   W1  queue itself, waiting += 1           K1  make the condition true
//!   W2  fence(SeqCst)                        K2  fence(SeqCst)
//!   W3  test the condition; if true, leave   K3  load waiting; if 0, done
//!   W4  park until woken                     K4  take waiters off the queue, unpark them
//! ```
//!
//! The two fences are totally ordered. If W2 is first, K3 sees the waiter and wakes it, and the token of
//! `unpark` holds even if the waiter has not parked yet. If K2 is first, W3 sees the condition. One of the
//! two always happens; the loom models visit every interleaving. A task does W1 to W3 each time it is polled,
//! with its waker in the place of `unpark`.
//!
//! Mirrors `include/linux/wait.h` (`wait_event`, `wake_up`, `wq_has_sleeper`), `kernel/sched/wait.c` and the
//! `CondVar` of `rust/kernel/sync/condvar.rs`.
//!
//! # Lock order
//!
//! The list's mutex is a leaf: nothing is called while it is held. Subscribers and wakers are called without
//! any lock, so each of them may wake any queue, this one too.

mod future;
mod list;

use std::fmt;
use std::sync::Arc as StdArc;
use std::time::Duration;

use self::list::{Entry, Kind, List, Pass, Sleeper, Which};
use super::context::might_sleep;
use super::facade::atomic::{AtomicUsize, Ordering, fence};
use super::facade::{Arc, Mutex, Snapshot, const_fn, parking};
use super::park::{Deadline, Sleep};
use super::task::Interrupted;

pub use self::future::WaitUntil;

/// Called on every wake-up of the queues that it [subscribed](WaitQueue::subscribe) to.
///
/// Runs in the context of the waker, which may be a bottom half: it must not sleep.
pub trait Wake: Send + Sync {
    /// Something may have changed. Spurious calls are allowed; the callee tests its condition.
    fn wake(&self);
}

/// How a bounded wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum WaitResult {
    /// The condition holds; so much of the time was left. Zero if it came to hold as the time ended.
    Ready(Duration),
    /// The time was over first.
    TimedOut,
    /// The thread was interrupted first. Only interruptible waits end so.
    Interrupted,
}

impl WaitResult {
    /// Whether the condition holds.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

const SHARED: Kind = Kind { exclusive: false, sleep: Sleep::Uninterruptible };
const EXCLUSIVE: Kind = Kind { exclusive: true, ..SHARED };

/// Threads, tasks and subscribers that wait for a condition. See the [module](self) for the guarantees.
#[doc(alias("wait_queue_head_t", "init_waitqueue_head", "DECLARE_WAIT_QUEUE_HEAD"))]
pub struct WaitQueue {
    /// Entries in `list`; read by wakers to leave early.
    waiting: AtomicUsize,
    list: Mutex<List>,
    subscribers: Snapshot<StdArc<dyn Wake>>,
}

/// An entry's stay on the queue: left when this is dropped, if no wake-up ended it before.
struct Queued<'q> {
    queue: &'q WaitQueue,
    entry: Arc<Entry>,
    ticket: u64,
    exclusive: bool,
    consumed: bool,
}

impl WaitQueue {
    const_fn! {
        /// An empty queue.
        pub fn new() -> Self {
            Self {
                waiting: AtomicUsize::new(0),
                list: Mutex::new(List::new()),
                subscribers: Snapshot::new(),
            }
        }
    }

    /// Calls `subscriber` on every wake-up from now on, until [`unsubscribe`](Self::unsubscribe).
    #[doc(alias = "add_wait_queue")]
    pub fn subscribe(&self, subscriber: &StdArc<dyn Wake>) {
        self.subscribers.update(|list| list.push(StdArc::clone(subscriber)));
        // As W2: pairs with K2 in `wake`, for whoever subscribes and then tests the condition.
        fence(Ordering::SeqCst);
    }

    /// Ends a subscription. A wake-up that is under way may still call the subscriber once.
    #[doc(alias = "remove_wait_queue")]
    pub fn unsubscribe(&self, subscriber: &StdArc<dyn Wake>) {
        self.subscribers.update(|list| list.retain(|s| !StdArc::ptr_eq(s, subscriber)));
    }

    /// Sleeps until `condition` holds.
    #[track_caller]
    #[doc(alias = "wait_event")]
    pub fn wait_until(&self, condition: impl FnMut() -> bool) {
        might_sleep();
        let _ready = self.wait(SHARED, Deadline::NEVER, condition);
    }

    /// As [`wait_until`](Self::wait_until), for waits that are part of entering a section in which nothing may
    /// sleep. They are short, and spins in the kernel; so they are legal anywhere, and nobody asks.
    pub(crate) fn wait_until_unchecked(&self, condition: impl FnMut() -> bool) {
        let _ready = self.wait(SHARED, Deadline::NEVER, condition);
    }

    /// Sleeps until `condition` holds, or the thread is [interrupted](super::Interrupt). If both, it is done.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the thread was interrupted first, or before.
    #[track_caller]
    #[doc(alias = "wait_event_interruptible")]
    pub fn wait_until_interruptible(
        &self,
        condition: impl FnMut() -> bool,
    ) -> Result<(), Interrupted> {
        might_sleep();
        self.wait(SHARED.interruptible(), Deadline::NEVER, condition).uninterrupted()
    }

    /// Sleeps until `condition` holds or `timeout` is over, and says how much of it was left.
    #[track_caller]
    #[doc(alias = "wait_event_timeout")]
    pub fn wait_until_timeout(
        &self,
        timeout: Duration,
        condition: impl FnMut() -> bool,
    ) -> WaitResult {
        might_sleep();
        self.wait(SHARED, Deadline::after(timeout), condition)
    }

    /// As [`wait_until_timeout`](Self::wait_until_timeout); an interrupt ends it too.
    #[track_caller]
    #[doc(alias = "wait_event_interruptible_timeout")]
    pub fn wait_until_interruptible_timeout(
        &self,
        timeout: Duration,
        condition: impl FnMut() -> bool,
    ) -> WaitResult {
        might_sleep();
        self.wait(SHARED.interruptible(), Deadline::after(timeout), condition)
    }

    /// Sleeps until `condition` holds, as one of several of which a [`wake_one`](Self::wake_one) wakes one.
    ///
    /// The condition takes what it waits for; a wake-up that finds the waiter leaving goes to the next.
    #[track_caller]
    #[doc(alias = "wait_event_exclusive_cmd")]
    pub fn wait_until_exclusive(&self, condition: impl FnMut() -> bool) {
        might_sleep();
        let _ready = self.wait(EXCLUSIVE, Deadline::NEVER, condition);
    }

    /// As [`wait_until_exclusive`](Self::wait_until_exclusive); an interrupt ends it too.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the thread was interrupted first, or before.
    #[track_caller]
    #[doc(alias = "wait_event_interruptible_exclusive")]
    pub fn wait_until_exclusive_interruptible(
        &self,
        condition: impl FnMut() -> bool,
    ) -> Result<(), Interrupted> {
        might_sleep();
        self.wait(EXCLUSIVE.interruptible(), Deadline::NEVER, condition).uninterrupted()
    }

    /// Waits as a task does: the future is ready when `condition` holds. It may be dropped at any time.
    ///
    /// A task counts as interruptible: it is interrupted by being dropped.
    pub fn wait_until_async<F: FnMut() -> bool>(&self, condition: F) -> WaitUntil<'_, F> {
        WaitUntil::new(self, SHARED.interruptible(), condition)
    }

    /// As [`wait_until_async`](Self::wait_until_async), as one of several of which one is woken.
    pub fn wait_until_exclusive_async<F: FnMut() -> bool>(&self, condition: F) -> WaitUntil<'_, F> {
        WaitUntil::new(self, EXCLUSIVE.interruptible(), condition)
    }

    /// Wakes all waiters that are not exclusive and the one exclusive waiter that waits longest, and calls
    /// every subscriber.
    #[doc(alias = "wake_up")]
    pub fn wake_one(&self) {
        self.wake(1, Which::Any);
    }

    /// As [`wake_one`](Self::wake_one), with up to `most` exclusive waiters.
    #[doc(alias = "wake_up_nr")]
    pub fn wake_nr(&self, most: usize) {
        self.wake(most, Which::Any);
    }

    /// Wakes every waiter and calls every subscriber.
    ///
    /// Without waiters this is a fence, two loads and no system call.
    #[doc(alias = "wake_up_all")]
    pub fn wake_all(&self) {
        self.wake(usize::MAX, Which::Any);
    }

    /// As [`wake_one`](Self::wake_one), of those who wait interruptibly; the others sleep on.
    #[doc(alias = "wake_up_interruptible")]
    pub fn wake_interruptible(&self) {
        self.wake(1, Which::Interruptible);
    }

    /// As [`wake_all`](Self::wake_all), of those who wait interruptibly; the others sleep on.
    #[doc(alias = "wake_up_interruptible_all")]
    pub fn wake_interruptible_all(&self) {
        self.wake(usize::MAX, Which::Interruptible);
    }

    /// Whether anybody waits. A hint, unless the caller has put a full fence before it.
    #[doc(alias("waitqueue_active", "wq_has_sleeper"))]
    pub fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    fn wake(&self, exclusive: usize, which: Which) {
        // K2: pairs with W2 in `wait`.
        fence(Ordering::SeqCst);
        if self.has_waiters() {
            self.wake_entries(Pass::new(true, exclusive, which));
        }
        self.subscribers.read(|list| list.iter().for_each(|subscriber| subscriber.wake()));
    }

    /// What a lock does when it is released: wakes one exclusive waiter. Such a queue has no others.
    pub(super) fn wake_next(&self) {
        // K2: pairs with W2 in `wait`.
        fence(Ordering::SeqCst);
        if self.has_waiters() {
            self.wake_entries(Pass::new(false, 1, Which::Any));
        }
    }

    /// Takes off those whom the wake-up reaches, and wakes each without the lock.
    fn wake_entries(&self, mut pass: Pass) {
        while !pass.is_over() {
            let mut list = self.list.lock().unwrap();
            let entry = list.next(&mut pass);
            self.waiting.store(list.len(), Ordering::Relaxed);
            drop(list);
            let Some(entry) = entry else { return };
            entry.wake();
        }
    }

    /// Sleeps until one of the ends. The callers have said that they might sleep.
    fn wait(
        &self,
        kind: Kind,
        deadline: Deadline,
        mut condition: impl FnMut() -> bool,
    ) -> WaitResult {
        if condition() {
            return WaitResult::Ready(deadline.left());
        }
        loop {
            let mut queued = self.enqueue(Sleeper::Thread(parking::current()), kind);
            // W2: pairs with K2 in `wake`.
            fence(Ordering::SeqCst);
            if let Some(result) = queued.sleep(kind.sleep, deadline, &mut condition) {
                return result;
            }
        }
    }

    /// What [`Mutex::lock_interruptible`](super::Mutex::lock_interruptible) sleeps in: exclusive, and without a
    /// word on sleeping, which the lock has said itself.
    pub(super) fn wait_for_turn(
        &self,
        sleep: Sleep,
        deadline: Deadline,
        condition: impl FnMut() -> bool,
    ) -> WaitResult {
        self.wait(Kind { exclusive: true, sleep }, deadline, condition)
    }

    fn enqueue(&self, sleeper: Sleeper, kind: Kind) -> Queued<'_> {
        let entry = Arc::new(Entry::new(sleeper, kind));
        let mut list = self.list.lock().unwrap();
        let ticket = list.push(&entry);
        // W1. Changed only under the lock; read without it at K3.
        self.waiting.store(list.len(), Ordering::Relaxed);
        drop(list);
        Queued { queue: self, entry, ticket, exclusive: kind.exclusive, consumed: false }
    }
}

impl Kind {
    const fn interruptible(self) -> Self {
        Self { sleep: Sleep::Interruptible, ..self }
    }
}

impl WaitResult {
    fn uninterrupted(self) -> Result<(), Interrupted> {
        if self == Self::Interrupted { Err(Interrupted) } else { Ok(()) }
    }
}

impl Queued<'_> {
    /// W3 and W4. `None` if a wake-up came and the condition does not hold: the entry is off the queue.
    fn sleep(
        &mut self,
        sleep: Sleep,
        deadline: Deadline,
        condition: &mut impl FnMut() -> bool,
    ) -> Option<WaitResult> {
        loop {
            let woken = self.entry.is_woken();
            let ready = condition();
            if woken {
                self.consume();
            }
            if ready {
                return Some(WaitResult::Ready(deadline.left()));
            }
            if woken {
                return None;
            }
            if sleep.is_interrupted() {
                return Some(WaitResult::Interrupted);
            }
            if !deadline.park() {
                let late = condition();
                return Some(if late {
                    WaitResult::Ready(Duration::ZERO)
                } else {
                    WaitResult::TimedOut
                });
            }
        }
    }

    /// The wake-up that chose this entry has had its effect: the condition was tested after it.
    fn consume(&mut self) {
        self.consumed = true;
    }
}

impl Drop for Queued<'_> {
    /// Leaves the queue. A wake-up that had chosen this waiter, but came too late to matter to it, is handed
    /// to the next exclusive one; all others were woken anyway.
    fn drop(&mut self) {
        if self.consumed {
            return;
        }
        let mut list = self.queue.list.lock().unwrap();
        let left = list.remove(self.exclusive, self.ticket);
        self.queue.waiting.store(list.len(), Ordering::Relaxed);
        drop(list);
        if !left && self.exclusive {
            self.queue.wake_entries(Pass::new(false, 1, Which::Any));
        }
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue")
            .field("waiting", &self.waiting.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
