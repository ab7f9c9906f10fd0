//! A work queue with two items, and a delayed one, as the kernel texts teach it.
//!
//! `cargo run -p uio-core --example work_queue`
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use uio_core::Result;
use uio_core::sync::Completion;
use uio_core::workqueue::{self, DelayedWork, Queued, Work, WorkItem, Workqueue};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

/// One piece of work: a number to print when its device is ready.
struct MyWork {
    x: u32,
    device: Arc<Completion>,
    pr_info: Print,
}

impl WorkItem for MyWork {
    fn run(self: Arc<Self>) {
        // An item may sleep; meanwhile another worker runs what waits.
        self.device.wait();
        (self.pr_info)(&format!("my_work.x {}", self.x));
    }
}

fn main() -> Result<()> {
    run(&terminal())
}

/// What the module's init and exit do.
pub(crate) fn run(pr_info: &Print) -> Result<()> {
    pr_info("init");
    let queue = Workqueue::ordered("my_queue")?;
    let device = Arc::new(Completion::new());
    let my_work = |x| Arc::new(MyWork { x, device: Arc::clone(&device), pr_info: pr_info.clone() });
    let works = [Work::new("first", my_work(1)), Work::new("second", my_work(2))];
    for work in &works {
        queue.enqueue(work);
    }
    // It waits behind the first: asked for twice, it runs once.
    let again = queue.enqueue(&works[1]);
    pr_info(&format!("second queued again: {}", again == Queued::New));
    device.complete_all();
    queue.flush();
    pr_info("flushed");

    let delayed = DelayedWork::new("third", my_work(3));
    workqueue::schedule_delayed_work(&delayed, Duration::from_secs(3600));
    pr_info(&format!("third is pending: {}", delayed.is_pending()));
    // It runs now, and the hour is not waited for.
    delayed.flush();

    let shared = workqueue::system();
    let print = pr_info.clone();
    shared.spawn(move || print(&format!("a closure on queue {}", workqueue::system().name())));
    shared.flush();
    drop(queue);
    pr_info("exit");
    Ok(())
}
