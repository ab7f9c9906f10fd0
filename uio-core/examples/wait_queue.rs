//! A wait queue: a thread sleeps until an event has its flag set, and another sets it and wakes the queue; then a
//! wait that is interrupted, and exclusive waiters.
//!
//! `cargo run -p uio-core --example wait_queue`

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use uio_core::sync::{Interrupt, WaitQueue, WaitResult};

/// `DECLARE_WAIT_QUEUE_HEAD(wq)`.
static WQ: WaitQueue = WaitQueue::new();
static EVENTS: AtomicU32 = AtomicU32::new(0);

fn take_event() -> bool {
    EVENTS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
}

fn main() {
    println!("wait_event: waiting for the event");
    let waiter = thread::spawn(|| {
        WQ.wait_until(take_event);
        println!("wait_event: event arrived");
    });
    EVENTS.fetch_add(1, Ordering::AcqRel);
    WQ.wake_all();
    // PANIC: the thread does nothing that panics. So below.
    waiter.join().expect("the waiter ends");

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
