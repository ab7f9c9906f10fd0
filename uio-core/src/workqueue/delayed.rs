//! [`DelayedWork`]: an item that is queued when some time is over.
//!
//! It is pending from the request on, as in the kernel: a second request changes nothing, `modify_delayed`
//! moves the time, a cancel takes it off the timer or the queue, whichever it is on.
//!
//! # The timer
//!
//! Expiry comes from a [`DelayTimer`]. The one there is ([`timer`](super::timer)) is a small thread of its own,
//! until the timer wheel of [`time`](crate::time) takes over; nothing but [`timer`] below knows which it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flags::Queued;
use super::queue::{Queue, Workqueue};
use super::state::Entry;
use super::system;
use super::work::{At, Inner, Work, WorkItem};

/// What queues items when their time has come.
///
/// It is called with an item's place locked, so its own lock is a leaf, and it calls [`expire`] without any.
pub(super) trait DelayTimer {
    /// Makes room for one more item. May allocate, so that `arm` need not.
    fn reserve(&self);
    /// Undoes one `reserve`.
    fn release(&self);
    /// Calls [`expire`] at `expires`, not earlier, and at no other time that was set before.
    fn arm(&self, work: &Arc<Inner>, expires: Instant);
    /// Does not call for `work`. A call that is under way finds that the item has gone.
    fn disarm(&self, work: &Arc<Inner>);
}

/// The timer of delayed work.
pub(super) fn timer() -> &'static impl DelayTimer {
    &super::timer::THREAD
}

/// `expires` has come for `work`. Called by the timer.
pub(super) fn expire(work: &Arc<Inner>, expires: Instant) {
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
        timer().reserve();
        system::prepare();
        Self { work: Work { inner: Inner::new(name.into(), item, true) } }
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
    /// Queues `work` when `delay` is over, not earlier; at once if it is zero. The CPU of the timer's thread
    /// runs it, unless the queue is unbound.
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
        if !delay.is_zero() && rearm(&self.queue, inner, Instant::now() + delay) {
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
    let expires = Instant::now() + delay;
    let mut place = work.place();
    match work.enter(&mut place) {
        Entry::Won => {
            place.at = At::Timer { queue: Arc::clone(queue), cpu, expires };
            timer().arm(work, expires);
            Queued::New
        }
        Entry::Pending => Queued::AlreadyPending,
        Entry::Disabled => Queued::Refused,
    }
}

/// Moves the time of an item that is on its timer.
fn rearm(queue: &Arc<Queue>, work: &Arc<Inner>, expires: Instant) -> bool {
    let mut place = work.place();
    if !matches!(place.at, At::Timer { .. }) {
        return false;
    }
    let now_at = At::Timer { queue: Arc::clone(queue), cpu: None, expires };
    let was_at = std::mem::replace(&mut place.at, now_at);
    timer().arm(work, expires);
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
