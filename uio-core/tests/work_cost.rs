//! What queueing work may cost: no allocation on the way from a top half to the worker and back to sleep.

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use uio_core::workqueue::{DelayedWork, Work, Workqueue};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ITEMS: u64 = 2_000;
const DEADLINE: Duration = Duration::from_secs(60);

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

/// Queues one after the other, each when the one before has run.
fn one_by_one(count: &AtomicU64, queue: impl Fn()) {
    for _ in 0..ITEMS {
        let before = count.load(Ordering::SeqCst);
        queue();
        wait_for("the run", || count.load(Ordering::SeqCst) > before);
    }
}

/// The threads of this process that are workers of the unbound pool.
fn workers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("kworker/u")).count()
}

#[test]
fn queueing_running_and_cancelling_items_allocates_nothing() {
    let count = Arc::new(AtomicU64::new(0));
    let item = || {
        let count = Arc::clone(&count);
        Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
    };
    let queue = Workqueue::ordered("cost").unwrap();
    let work = Work::new("cost", item());
    let delayed: Vec<_> = (0..100).map(|_| DelayedWork::new("delayed", item())).collect();
    // The worker is made now, and the one in reserve behind it.
    one_by_one(&count, || assert!(queue.enqueue(&work).is_new()));
    wait_for("the reserve", || workers() == 2);
    one_by_one(&count, || assert!(queue.enqueue(&work).is_new()));

    let delay_all = || {
        for work in &delayed {
            queue.enqueue_delayed(work, Duration::from_secs(3600));
            queue.modify_delayed(work, Duration::from_secs(1800));
        }
        delayed.iter().for_each(|work| assert!(work.cancel()));
    };
    // The first wake-up of a thread makes what it reads lists of subscribers with.
    delay_all();

    // The test harness allocates beside the test, when it has started it and once a minute; it does not do so in
    // each of three rounds.
    let allocated = [(); 3].map(|()| {
        let region = Region::new(ALLOCATOR);
        one_by_one(&count, || assert!(queue.enqueue(&work).is_new()));
        (0..100).for_each(|_| delay_all());
        let change = region.change();
        change.allocations + change.reallocations
    });
    assert!(allocated.contains(&0), "{allocated:?}");
}
