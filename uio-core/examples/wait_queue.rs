//! A wait queue: a module sleeps until delayed work sets its condition and wakes it; then a wait that is over in
//! time, one that is interrupted, and exclusive waiters.
//!
//! `cargo run -p uio-core --example wait_queue`

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use uio_core::sync::{Interrupt, WaitQueue, WaitResult};
use uio_core::workqueue::{DelayedWork, schedule_delayed_work};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

/// `DECLARE_WAIT_QUEUE_HEAD(wq)`.
static WQ: WaitQueue = WaitQueue::new();
static EVENTS: AtomicU32 = AtomicU32::new(0);

fn take_event() -> bool {
    EVENTS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
}

fn main() {
    run(&terminal());
}

/// What the module's init does.
pub(crate) fn run(pr_info: &Print) {
    pr_info("Wait queue example");
    let print = pr_info.clone();
    let handler = move || {
        print("Waitqueue module handler work_handler");
        print("Wake up the sleeping module");
        EVENTS.fetch_add(1, Ordering::AcqRel);
        WQ.wake_interruptible();
    };
    let work = DelayedWork::new("work_handler", Arc::new(handler));
    schedule_delayed_work(&work, Duration::from_millis(100));
    pr_info("Going to sleep init");
    if WQ.wait_until_interruptible(take_event).is_ok() {
        pr_info("woken up by the work job");
    }
    work.cancel_sync();

    match WQ.wait_until_timeout(Duration::from_millis(10), take_event) {
        WaitResult::TimedOut => pr_info("wait_event_timeout: nothing in 10 ms"),
        other => pr_info(&format!("wait_event_timeout: {other:?}")),
    }

    let (send, handle) = mpsc::channel();
    let print = pr_info.clone();
    let waiter = thread::spawn(move || {
        let _ = send.send(Interrupt::current());
        match WQ.wait_until_interruptible(take_event) {
            Ok(()) => print("wait_event_interruptible: event arrived"),
            Err(error) => print(&format!("wait_event_interruptible: {error}")),
        }
    });
    // PANIC: the thread does nothing that panics. So below.
    handle.recv().expect("the waiter sends its handle").raise();
    waiter.join().expect("the waiter ends");

    let got = Arc::new(AtomicU32::new(0));
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let got = Arc::clone(&got);
            thread::spawn(move || {
                WQ.wait_until_exclusive(take_event);
                got.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    for _ in 0..3 {
        EVENTS.fetch_add(1, Ordering::AcqRel);
        WQ.wake_one();
    }
    waiters.into_iter().for_each(|waiter| waiter.join().expect("the waiter ends"));
    let got = got.load(Ordering::Relaxed);
    pr_info(&format!("wake_up: {got} exclusive waiters, one event each"));
    pr_info("waitqueue example cleanup");
}
