//! A kernel thread: made, woken, parked, unparked and stopped, as a module does in its init and exit.
//!
//! `cargo run -p uio-core --example kthread`
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use uio_core::Result;
use uio_core::kthread::{self, CpuSet, Scheduler};
use uio_core::sync::WaitQueue;

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

/// What the thread and the module share.
#[derive(Default)]
struct Shared {
    rounds: AtomicU32,
    changed: WaitQueue,
}

impl Shared {
    fn wait_for_rounds(&self, more: u32) {
        let target = self.rounds.load(Ordering::SeqCst) + more;
        self.changed.wait_until(|| self.rounds.load(Ordering::SeqCst) >= target);
    }
}

fn thread_function(shared: &Shared, pr_info: &Print) -> u32 {
    pr_info("example_thread: started");
    while !kthread::should_stop() {
        if kthread::should_park() {
            pr_info("example_thread: parking");
            kthread::parkme();
            pr_info("example_thread: unparked");
        }
        shared.rounds.fetch_add(1, Ordering::SeqCst);
        shared.changed.wake_all();
        kthread::schedule_timeout(Duration::from_millis(10));
    }
    pr_info("example_thread: stopping");
    shared.rounds.load(Ordering::SeqCst)
}

fn main() -> Result<()> {
    run(&terminal())
}

/// What the module's init and exit do.
pub(crate) fn run(pr_info: &Print) -> Result<()> {
    pr_info("init");
    let shared = Arc::new(Shared::default());
    let (own, print) = (Arc::clone(&shared), pr_info.clone());
    let thread = kthread::create("example_thread", move || thread_function(&own, &print))?;
    // Where it runs is set before it runs.
    let allowed = CpuSet::allowed();
    thread.set_affinity(&CpuSet::of(allowed.iter().take(1)).unwrap_or(allowed))?;
    if let Err(error) = thread.set_scheduler(Scheduler::Fifo { priority: 10 }) {
        // Without the right to it, it runs as an ordinary thread.
        eprintln!("{error}");
    }
    pr_info(&format!("{} is created, and waits", thread.name()));
    thread.wake();
    shared.wait_for_rounds(3);

    thread.park()?;
    pr_info(&format!("{} is parked", thread.name()));
    thread.unpark();
    shared.wait_for_rounds(3);

    let rounds = thread.stop()?;
    pr_info(&format!("exit: the thread returned, rounds >= 6: {}", rounds >= 6));
    Ok(())
}
