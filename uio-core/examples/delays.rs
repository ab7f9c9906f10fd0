//! Waiting for time to pass, and reading clocks: `cargo run -p uio-core --example delays`

use std::time::{Duration, SystemTime};

use uio_core::time::{
    Cycles, Instant, Monotonic, RealTime, fsleep, get_cycles, ktime_get, ktime_get_boottime,
    ktime_get_real, ndelay, sleep, sleep_interruptible, udelay,
};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What `wait` is called, and whether it kept its promise.
fn shown(pr_info: &Print, name: &str, span: Duration, wait: impl FnOnce(Duration)) {
    let start = ktime_get();
    wait(span);
    let (enough, nanos) = (start.elapsed() >= span, span.as_nanos());
    pr_info(&format!("{name}: waited {nanos} ns at least: {enough}"));
}

/// What the module's init does.
pub(crate) fn run(pr_info: &Print) {
    shown(pr_info, "ndelay", Duration::from_nanos(500), |_| ndelay(500));
    shown(pr_info, "udelay", Duration::from_micros(5), |_| udelay(5));
    shown(pr_info, "fsleep", Duration::from_micros(8), fsleep);
    shown(pr_info, "fsleep", Duration::from_micros(900), fsleep);
    shown(pr_info, "fsleep", Duration::from_millis(5), fsleep);
    shown(pr_info, "msleep", Duration::from_millis(20), sleep);

    // Nobody sends a signal here, so that nothing is left of the span.
    let left = sleep_interruptible(Duration::from_millis(10));
    pr_info(&format!("msleep_interruptible: {} ns left", left.as_nanos()));

    let before = get_cycles();
    udelay(100);
    let passed = Cycles(get_cycles().wrapping_sub(before));
    pr_info(&format!("get_cycles: counts: {}", passed.to_duration() > Duration::ZERO));

    let (monotonic, boot): (Instant<Monotonic>, _) = (ktime_get(), ktime_get_boottime());
    let ahead = boot.as_nanos() >= monotonic.as_nanos();
    pr_info(&format!("ktime_get_boottime: counts suspended time too: {ahead}"));

    let wall: Instant<RealTime> = ktime_get_real();
    let apart = SystemTime::now().duration_since(wall.to_system_time());
    pr_info(&format!(
        "ktime_get_real: is the wall clock: {}",
        apart.is_ok_and(|apart| apart.as_secs() < 60)
    ));
}
