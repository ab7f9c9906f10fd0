//! What the tests of this module share.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::facade::parking;

struct Unpark(parking::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on the calling thread. A waker that is lost is a thread that hangs: in a model, a deadlock.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(parking::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => parking::park(),
        }
    }
}

/// Polls a future once, with a waker that does nothing.
pub(super) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits for a condition that another thread brings about without waking anybody.
#[cfg(not(loom))]
pub(super) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

/// Waits until a thread that has entered a queue sleeps. Before that it looks at its condition once more, and may
/// take what is meant for another.
#[cfg(not(loom))]
pub(super) fn falls_asleep(thread: nix::unistd::Pid) {
    eventually("its sleep", || crate::sys::sched::is_asleep(thread));
}

/// After this a test has hung.
#[cfg(not(loom))]
pub(super) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);
