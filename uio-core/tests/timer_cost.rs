//! What timers cost, exactly: after their making they allocate nothing, and arming is counted.

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use uio_core::irq::Dispatcher;
use uio_core::time::{
    HrTimer, HrTimerBase, HrTimerRestart, Jiffies, Monotonic, Timer, TimerBase, now_jiffies,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TIMERS: u64 = 500;

#[test]
fn starting_cancelling_and_expiring_allocates_nothing() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let (wheel, exact) =
        (TimerBase::attach(&dispatcher).unwrap(), HrTimerBase::attach(&dispatcher).unwrap());
    let runs = Arc::new(AtomicU64::new(0));
    let count = || {
        let runs = Arc::clone(&runs);
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
        }
    };
    let timers: Vec<Timer> = (0..TIMERS)
        .map(|_| {
            let count = count();
            Timer::new(&wheel, "test", move |_| count())
        })
        .collect();
    let hrtimers: Vec<HrTimer<Monotonic>> = (0..TIMERS)
        .map(|_| {
            let count = count();
            HrTimer::new(&exact, Monotonic, move |_| {
                count();
                HrTimerRestart::NoRestart
            })
        })
        .collect();
    let mut handles = Vec::with_capacity(TIMERS as usize);
    let mut round = || {
        let before = runs.load(Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(60);
        for (number, (timer, hrtimer)) in timers.iter().zip(&hrtimers).enumerate() {
            timer.modify(now_jiffies() + Jiffies::new(number as u64 * 1000));
            timer.delete();
            timer.modify(now_jiffies());
            drop(hrtimer.start(Duration::from_secs(number as u64)));
            handles.push(hrtimer.start(Duration::from_micros(number as u64)));
        }
        while runs.load(Ordering::SeqCst) < before + 2 * TIMERS {
            assert!(Instant::now() < deadline, "not all expired");
            std::thread::yield_now();
        }
        handles.clear();
    };
    // What a thread makes once, it makes now.
    round();
    // The test harness allocates beside the test, when it has started it and once a minute; it does not do so in
    // each of three rounds.
    let changes = [(); 3].map(|()| {
        let region = Region::new(ALLOCATOR);
        round();
        let change = region.change();
        (change.allocations, change.reallocations, change.deallocations)
    });
    assert!(changes.contains(&(0, 0, 0)), "{changes:?}");
}
