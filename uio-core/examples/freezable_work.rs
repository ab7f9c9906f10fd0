//! A freezable work queue: frozen, it finishes what runs and starts nothing; thawed, it goes on where it stood. It has
//! a rescuer too, as a queue that others wait for to get memory back must have.
//!
//! `cargo run --example freezable_work`

use std::sync::Arc;

use uio_core::sync::Completion;
use uio_core::workqueue::{self, Work, Workqueue, WqFlags};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with a suspend in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    pr_info("freezable_work example init");
    let flags = WqFlags::FREEZABLE | WqFlags::MEM_RECLAIM;
    let queue = Workqueue::builder("writeback").flags(flags).max_active(1).build()?;

    let (started, go_on) = (Arc::new(Completion::new()), Arc::new(Completion::new()));
    let (has_started, may_go_on, print) = (started.clone(), go_on.clone(), pr_info.clone());
    let first = Work::new(
        "first",
        Arc::new(move || {
            has_started.complete();
            may_go_on.wait();
            print("first: written back");
        }),
    );
    let print = pr_info.clone();
    let second = Work::new("second", Arc::new(move || print("second: written back")));

    queue.enqueue(&first);
    started.wait();
    go_on.complete();
    // Returns when nothing of a freezable queue runs any more.
    workqueue::freeze();
    queue.enqueue(&second);
    pr_info(&format!("frozen; first is running: {}", first.is_running()));
    pr_info(&format!("frozen; second is pending: {}", second.is_pending()));
    workqueue::thaw();
    queue.flush();
    pr_info(&format!("thawed; second is pending: {}", second.is_pending()));
    drop(queue);
    pr_info("freezable_work example exit");
    Ok(())
}
