//! A wait queue: a thread sleeps until an event is there, which delayed work brings, waking the queue; then a wait
//! that is out of time, one that is interrupted, and exclusive waiters.
//!
//! `cargo run -p uio-core --example wait_queue`

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use uio_core::sync::{Interrupt, WaitQueue, WaitResult};
use uio_core::workqueue::{DelayedWork, schedule_delayed_work};

/// `DECLARE_WAIT_QUEUE_HEAD(wq)`.
static WQ: WaitQueue = WaitQueue::new();
static EVENTS: AtomicU32 = AtomicU32::new(0);

fn take_event() -> bool {
    EVENTS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
}

/// The delayed work: `wake_up(&wq)` once its event is there.
fn bring_event() {
    println!("work: the event is there, wake_up");
    EVENTS.fetch_add(1, Ordering::AcqRel);
    WQ.wake_all();
}

fn main() {
    println!("wait_event: waiting for the event, which comes in 100 ms");
    let work = DelayedWork::new("event", Arc::new(bring_event));
    schedule_delayed_work(&work, Duration::from_millis(100));
    WQ.wait_until(take_event);
    println!("wait_event: event arrived");

    match WQ.wait_until_timeout(Duration::from_millis(10), take_event) {
        WaitResult::TimedOut => println!("wait_event_timeout: nothing in 10 ms"),
        other => println!("wait_event_timeout: {other:?}"),
    }

    let (send, handle) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let _ = send.send(Interrupt::current());
        match WQ.wait_until_interruptible(take_event) {
            Ok(()) => println!("wait_event_interruptible: event arrived"),
            Err(error) => println!("wait_event_interruptible: {error}"),
        }
    });
    // PANIC: the threads do nothing that panics.
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
    println!("wake_up: {} exclusive waiters, one event each", got.load(Ordering::Relaxed));
}
