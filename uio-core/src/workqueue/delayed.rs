//! [`DelayedWork`]: an item that is queued when some time is over.
//!
//! It is pending from the request on, as in the kernel: a second request changes nothing, `modify_delayed`
//! moves the time, a cancel takes it off the timer or the queue, whichever it is on.
//!
//! # The timer
//!
//! An entry of the wheel of [`timer`], so that the delay is counted in [`Jiffies`]: never early, and late by at
//! most the granularity of the wheel's level, 1 ms below 63 ms and an eighth of the delay or so above.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::flags::Queued;
use super::queue::{Queue, Workqueue};
use super::state::Entry;
use super::work::{At, Inner, Work, WorkItem};
use super::{system, timer};
use crate::time::{Jiffies, now_jiffies};

/// The jiffy `expires` is over for `work`. Called by the timer's thread.
pub(super) fn expire(work: &Arc<Inner>, expires: Jiffies) {
    let due = |at: &At| matches!(at, At::Timer { expires: set, .. } if *set == expires);
    enqueue_if(work, due);
}

/// Queues an item that is on the timer, if `is_due`.
fn enqueue_if(work: &Arc<Inner>, is_due: impl Fn(&At) -> bool) {
    let target = match &work.place().at {
        at @ At::Timer { queue, cpu, .. } if is_due(at) => (Arc::clone(queue), *cpu),
        _ => return,
    };
    let (queue, cpu) = target;
    queue.enqueue_expired(work, cpu, is_due);
}

/// An item of work with a timer.
///
/// A handle, as [`Work`] is: clones are the same item, and what is pending when the last is dropped runs.
#[derive(Clone)]
#[doc(alias = "delayed_work")]
pub struct DelayedWork {
    work: Work,
}

impl DelayedWork {
    /// An item that is neither queued nor on a timer.
    #[doc(alias = "INIT_DELAYED_WORK")]
    pub fn new(name: impl Into<String>, item: Arc<impl WorkItem + 'static>) -> Self {
        system::prepare();
        Self { work: Work { inner: Inner::new(name.into(), item, Some(timer::insert())) } }
    }

    /// Takes the item off its timer or queue. `true` if it was pending and now will not run for it.
    ///
    /// Does not wait for a run that is under way. May be called anywhere.
    #[doc(alias = "cancel_delayed_work")]
    pub fn cancel(&self) -> bool {
        self.work.cancel()
    }

    /// As [`cancel`](Self::cancel), and waits for a run that is under way; as [`Work::cancel_sync`].
    #[doc(alias = "cancel_delayed_work_sync")]
    pub fn cancel_sync(&self) -> bool {
        self.work.cancel_sync()
    }

    /// If it is on its timer, queues it at once; then as [`Work::flush`].
    #[doc(alias = "flush_delayed_work")]
    pub fn flush(&self) -> bool {
        enqueue_if(&self.work.inner, |at| matches!(at, At::Timer { .. }));
        self.work.flush()
    }

    /// Whether it waits for its time or its turn.
    #[doc(alias = "delayed_work_pending")]
    pub fn is_pending(&self) -> bool {
        self.work.is_pending()
    }

    /// The item without its timer: to queue it at once, to disable it, to compare.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        self.work.name()
    }
}

impl Workqueue {
    /// Queues `work` when `delay` is over, not earlier, and later by at most the granularity of the timer wheel
    /// (1 ms below 63 ms, an eighth of the delay or so above); at once if it is zero. The CPU of the timer's
    /// thread runs it, unless the queue is unbound.
    ///
    /// May be called anywhere, and allocates nothing.
    #[doc(alias = "queue_delayed_work")]
    pub fn enqueue_delayed(&self, work: &DelayedWork, delay: Duration) -> Queued {
        enqueue(&self.queue, work, None, delay)
    }

    /// As [`enqueue_delayed`](Self::enqueue_delayed), for the CPU with that number.
    #[doc(alias = "queue_delayed_work_on")]
    pub fn enqueue_delayed_on(&self, cpu: usize, work: &DelayedWork, delay: Duration) -> Queued {
        enqueue(&self.queue, work, Some(cpu), delay)
    }

    /// Lets `delay` begin anew if the item is pending, be it on its timer or queued; otherwise as
    /// [`enqueue_delayed`](Self::enqueue_delayed). A delay of zero queues it at once, whatever its state.
    ///
    /// Returns [`Queued::AlreadyPending`] if it was pending and its time has been changed.
    #[doc(alias = "mod_delayed_work")]
    pub fn modify_delayed(&self, work: &DelayedWork, delay: Duration) -> Queued {
        let inner = &work.work.inner;
        if !delay.is_zero() && rearm(&self.queue, inner, delay) {
            return Queued::AlreadyPending;
        }
        let mut was_pending = false;
        loop {
            was_pending |= inner.cancel();
            match enqueue(&self.queue, work, None, delay) {
                // Somebody else queued it in between.
                Queued::AlreadyPending => {}
                Queued::New if was_pending => return Queued::AlreadyPending,
                other => return other,
            }
        }
    }
}

fn enqueue(queue: &Arc<Queue>, work: &DelayedWork, cpu: Option<usize>, delay: Duration) -> Queued {
    let work = &work.work.inner;
    if delay.is_zero() {
        return queue.enqueue(work, cpu);
    }
    if work.state.merge() {
        return Queued::AlreadyPending;
    }
    let expires = now_jiffies() + Jiffies::from(delay);
    let mut place = work.place();
    match work.enter(&mut place) {
        Entry::Won => {
            place.at = At::Timer { queue: Arc::clone(queue), cpu, expires };
            timer::arm(work.timer(), work, expires);
            Queued::New
        }
        Entry::Pending => Queued::AlreadyPending,
        Entry::Disabled => Queued::Refused,
    }
}

/// Moves the time of an item that is on its timer.
fn rearm(queue: &Arc<Queue>, work: &Arc<Inner>, delay: Duration) -> bool {
    let expires = now_jiffies() + Jiffies::from(delay);
    let mut place = work.place();
    if !matches!(place.at, At::Timer { .. }) {
        return false;
    }
    let now_at = At::Timer { queue: Arc::clone(queue), cpu: None, expires };
    let was_at = std::mem::replace(&mut place.at, now_at);
    timer::arm(work.timer(), work, expires);
    drop(place);
    // Freed where no lock is held: it may be the last handle on another queue.
    drop(was_at);
    true
}

impl fmt::Debug for DelayedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DelayedWork").field(&self.work).finish()
    }
}
