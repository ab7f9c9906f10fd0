//! The wall clock is set: real-time timers notice it, and monotonic ones are not hurt.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scenarios::wait;
use uio_core::irq::Dispatcher;
use uio_core::time::{HrTimer, HrTimerBase, HrTimerRestart, Instant, Monotonic, RealTime};

const HOUR: Duration = Duration::from_secs(3600);

/// Sets the clock of the guest, as an operator does.
fn set_clock(seconds: i64) {
    let date = Command::new("date").args(["-s", &format!("@{seconds}")]).output().unwrap();
    assert!(date.status.success(), "{date:?}");
}

#[test]
fn a_clock_that_is_set_is_noticed_by_real_time_timers_and_does_not_hurt_monotonic_ones() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let base = HrTimerBase::attach(&dispatcher).unwrap();
    let runs = || Arc::new(AtomicU64::new(0));
    let count = |runs: &Arc<AtomicU64>| {
        let runs = Arc::clone(runs);
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
            HrTimerRestart::NoRestart
        }
    };
    let (real_runs, monotonic_runs) = (runs(), runs());
    let (ring, tick) = (count(&real_runs), count(&monotonic_runs));
    let real = HrTimer::new(&base, RealTime, move |_| ring());
    let monotonic = HrTimer::new(&base, Monotonic, move |_| tick());
    let now = Instant::<RealTime>::now();
    let seconds = now.as_nanos() / 1_000_000_000;
    let _real = real.start(now + HOUR);
    let _monotonic = monotonic.start(HOUR);

    set_clock(seconds + 1800);
    wait::until("the news", || base.stats().clock_sets >= 1);
    // The clock is set to whole seconds: up to one of them is left over.
    let half = HOUR / 2 + Duration::from_secs(1);
    assert!(real.is_queued() && real.remaining() <= half, "{:?} left", real.remaining());
    set_clock(seconds + 3601);
    wait::until("the hour", || real_runs.load(Ordering::SeqCst) == 1);
    assert!(monotonic.is_queued() && monotonic.remaining() > HOUR / 2);
    assert_eq!(monotonic_runs.load(Ordering::SeqCst), 0);
    set_clock(seconds);
}
