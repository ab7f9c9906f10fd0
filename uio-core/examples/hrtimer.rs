//! A high-resolution timer that repeats every 200 ms, five times: `cargo run --example hrtimer`.
//!
//! The kernel module of the textbooks: `hrtimer_setup` and `hrtimer_start` in its init function,
//! `hrtimer_forward_now` and `HRTIMER_RESTART` in its callback, `hrtimer_cancel` in its exit function.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use uio_core::irq::Dispatcher;
use uio_core::sync::WaitQueue;
use uio_core::time::{
    HrTimer, HrTimerBase, HrTimerRestart, Monotonic, jiffies_to_msecs, now_jiffies,
};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal, wait_until};

const PERIOD: Duration = Duration::from_millis(200);
const TIMES: u32 = 5;

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let timers = HrTimerBase::attach(&dispatcher)?;

    pr_info("HR Timer module installing");
    let shared = Arc::new((AtomicU32::new(0), WaitQueue::new()));
    let (told, print) = (Arc::clone(&shared), pr_info.clone());
    let start = now_jiffies();
    let timer = HrTimer::new(&timers, Monotonic, move |timer| {
        let (count, called) = &*told;
        let calls = count.load(Ordering::Relaxed) + 1;
        let after = jiffies_to_msecs(now_jiffies() - start);
        let overruns = timer.forward_now(PERIOD);
        print(&format!(
            "my_hrtimer_callback called ({after} ms, call {calls}, overruns {overruns})."
        ));
        count.store(calls, Ordering::Release);
        called.wake_all();
        if calls < TIMES { HrTimerRestart::Restart } else { HrTimerRestart::NoRestart }
    });

    pr_info(&format!("Starting timer to fire every {}ms ({start})", PERIOD.as_millis()));
    let mut handle = timer.start(PERIOD);
    let (count, called) = &*shared;
    called.wait_until(|| count.load(Ordering::Acquire) == TIMES);
    // The module is unloaded long after; here its last callback may be about to return.
    wait_until(|| !timer.is_running());

    if handle.cancel() {
        pr_info("The timer was still in use...");
    }
    pr_info("HR Timer module uninstalling");
    Ok(())
}
