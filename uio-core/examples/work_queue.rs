//! A work queue with two items, and a delayed one, as the kernel texts teach it.
//!
//! `cargo run -p uio-core --example work_queue`
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use uio_core::Result;
use uio_core::workqueue::{self, DelayedWork, Queued, Work, WorkItem, Workqueue};

/// One piece of work: a number to print, and how long its device takes.
struct MyWork {
    x: u32,
    takes: Duration,
}

impl WorkItem for MyWork {
    fn run(self: Arc<Self>) {
        println!("my_work.x {}", self.x);
        // An item may sleep; meanwhile another worker runs what waits.
        workqueue::blocking(|| std::thread::sleep(self.takes));
    }
}

fn main() -> Result<()> {
    println!("init");
    let queue = Workqueue::ordered("my_queue")?;
    let first = MyWork { x: 1, takes: Duration::from_millis(20) };
    let second = MyWork { x: 2, takes: Duration::ZERO };
    let works = [Work::new("first", Arc::new(first)), Work::new("second", Arc::new(second))];
    for work in &works {
        queue.enqueue(work);
    }
    // It waits behind the first: asked for twice, it runs once.
    let again = queue.enqueue(&works[1]);
    println!("second queued again: {}", again == Queued::New);
    queue.flush();
    println!("flushed");

    let third = MyWork { x: 3, takes: Duration::ZERO };
    let delayed = DelayedWork::new("third", Arc::new(third));
    workqueue::schedule_delayed_work(&delayed, Duration::from_millis(50));
    println!("third is pending: {}", delayed.is_pending());
    delayed.flush();

    let shared = workqueue::system();
    shared.spawn(|| println!("a closure on queue {}", workqueue::system().name()));
    shared.flush();
    drop(queue);
    println!("exit");
    Ok(())
}
