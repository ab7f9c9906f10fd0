//! A node as its clients see it: every test is a real client of a real node.
//!
//! On the host the node is FUSE's. `UIOD_TEST_NODE_KIND=cuse` runs the same tests on a CUSE node, where the
//! kernel has it. Every wait has a deadline; nothing is timed by sleeping.

mod control;
mod cost;
mod crowd;
mod io;
mod life;
mod loopback;
mod polling;
mod rights;
mod server;
mod signals;

use std::alloc::System;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How long anything may take that is to happen at once.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Looks again and again until `condition` holds; false if it does not in time.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() > DEADLINE {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Something that runs on a thread of its own, and ends in time or fails the test.
pub(crate) struct Task<T> {
    thread: thread::JoinHandle<T>,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn start(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self { thread: thread::spawn(work) }
    }

    pub(crate) fn finish(self) -> T {
        assert!(eventually(|| !self.is_running()), "ends in time");
        self.thread.join().unwrap()
    }

    /// As [`finish`](Self::finish), for long work: the deadline is for each sign of progress.
    pub(crate) fn finish_as_it_goes_on(self, progress: &AtomicUsize) -> T {
        let mut last = 0;
        let moved_on = |last: &mut usize| {
            let before = std::mem::replace(last, progress.load(Ordering::Relaxed));
            *last != before
        };
        while self.is_running() {
            let alive = eventually(|| !self.is_running() || moved_on(&mut last));
            assert!(alive, "stuck at {last}");
        }
        self.finish()
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// Does something that must not block for ever.
pub(crate) fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    Task::start(work).finish()
}
