//! Waiting as a future: a queue entry that is a task instead of a thread.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::list::{Kind, Sleeper};
use super::{Queued, WaitQueue};
use crate::sync::facade::Mutex;
use crate::sync::facade::atomic::{Ordering, fence};

/// The future of [`WaitQueue::wait_until_async`] and [`WaitQueue::wait_until_exclusive_async`].
///
/// Dropping it leaves the queue; a wake-up that had chosen it goes to the next exclusive waiter.
#[must_use = "a future does nothing until it is awaited"]
pub struct WaitUntil<'q, F> {
    queue: &'q WaitQueue,
    kind: Kind,
    condition: F,
    queued: Option<Queued<'q>>,
}

impl<'q, F: FnMut() -> bool> WaitUntil<'q, F> {
    pub(super) fn new(queue: &'q WaitQueue, kind: Kind, condition: F) -> Self {
        Self { queue, kind, condition, queued: None }
    }
}

/// The condition is called through `&mut`, and never pinned.
impl<F> Unpin for WaitUntil<'_, F> {}

impl<F: FnMut() -> bool> Future for WaitUntil<'_, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.queued.is_none() && (this.condition)() {
            return Poll::Ready(());
        }
        loop {
            let queued = this.queued.get_or_insert_with(|| {
                this.queue.enqueue(Sleeper::Task(Mutex::new(None)), this.kind)
            });
            queued.entry.set_waker(context.waker());
            // W2: pairs with K2 in `wake`.
            fence(Ordering::SeqCst);
            let woken = queued.entry.is_woken();
            let ready = (this.condition)();
            if !woken && !ready {
                return Poll::Pending;
            }
            if woken {
                queued.consume();
            }
            this.queued = None;
            if ready {
                return Poll::Ready(());
            }
        }
    }
}

impl<F> fmt::Debug for WaitUntil<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitUntil").field("queued", &self.queued.is_some()).finish_non_exhaustive()
    }
}
