//! A mutex: its holder may sleep, and who waits for it can be interrupted.
//!
//! `cargo run --example mutex`

use std::sync::mpsc;
use std::thread;

use uio_core::sync::{Interrupt, Mutex};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What the threads of the module do.
pub(crate) fn run(pr_info: &Print) {
    pr_info("mutex example init");
    let counter = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..1000).for_each(|_| *counter.lock() += 1));
        }
    });
    pr_info(&format!("mutex_lock: two threads counted to {}", *counter.lock()));

    let holding = counter.lock();
    thread::scope(|scope| {
        let (send, handle) = mpsc::channel();
        let counter = &counter;
        scope.spawn(move || {
            pr_info(&format!(
                "mutex_trylock of a lock that is held: {}",
                counter.try_lock().is_some()
            ));
            let _ = send.send(Interrupt::current());
            match counter.lock_interruptible() {
                Ok(_) => pr_info("mutex_lock_interruptible: got it"),
                Err(error) => pr_info(&format!("mutex_lock_interruptible: {error}")),
            }
        });
        // PANIC: the thread does nothing that panics.
        handle.recv().expect("the waiter sends its handle").raise();
    });
    pr_info(&format!("mutex_is_locked: {}", counter.is_locked()));
    drop(holding);
    pr_info(&format!("mutex_unlock; mutex_is_locked: {}", counter.is_locked()));
}
