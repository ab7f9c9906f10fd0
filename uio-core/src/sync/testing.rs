//! What tests share.

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

/// What is reported on threads that listen, a line each: `message=... line=...`.
#[cfg(not(loom))]
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<std::sync::Mutex<Vec<String>>>);

#[cfg(not(loom))]
impl Reports {
    /// From now on and for ever, the calling thread reports here. For threads of the facility under test.
    pub(crate) fn listen(&self) {
        std::mem::forget(tracing::subscriber::set_default(self.clone()));
    }

    /// The reports in which all of `words` stand.
    pub(crate) fn naming(&self, words: &[&str]) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
    }
}

#[cfg(not(loom))]
impl tracing::Subscriber for Reports {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            line.push_str(&format!(" {field}={value:?}"));
        });
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
