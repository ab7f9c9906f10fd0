//! A timer that fires after 200 ms: `cargo run --example timer`.
//!
//! The kernel module of the textbooks: `timer_setup` and `mod_timer` in its init function, `timer_delete_sync`
//! in its exit function, a line in the log from each and from the callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uio_core::irq::Dispatcher;
use uio_core::sync::WaitQueue;
use uio_core::time::{Timer, TimerBase, msecs_to_jiffies, now_jiffies};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let timers = TimerBase::attach(&dispatcher)?;

    pr_info("Timer module installing");
    let shared = Arc::new((AtomicBool::new(false), WaitQueue::new()));
    let (told, print) = (Arc::clone(&shared), pr_info.clone());
    let timer = Timer::new(&timers, "my_timer", move |_| {
        print(&format!("my_timer_callback called ({}).", now_jiffies()));
        told.0.store(true, Ordering::Release);
        told.1.wake_all();
    });

    pr_info(&format!("Starting timer to fire in 200ms ({})", now_jiffies()));
    timer.modify(now_jiffies() + msecs_to_jiffies(200));
    shared.1.wait_until(|| shared.0.load(Ordering::Acquire));

    if timer.delete_sync() {
        pr_info("The timer is still in use...");
    }
    pr_info("Timer module uninstalling");
    Ok(())
}
