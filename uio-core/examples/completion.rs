//! A completion between two threads: one initialises, the other waits for it; then three at a time.
//!
//! `cargo run -p uio-core --example completion`

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use uio_core::sync::{Completion, WaitResult};

fn main() {
    let done = Arc::new(Completion::new());

    println!("completion example: init");
    let waiter = {
        let done = Arc::clone(&done);
        thread::spawn(move || {
            println!("wait_for_completion: waiting for initialization");
            done.wait();
            println!("wait_for_completion: initialization is done");
        })
    };
    done.complete();
    // PANIC: the thread does nothing that panics. So below.
    waiter.join().expect("the waiter ends");

    done.complete();
    done.wait();
    println!("complete before wait: the wait did not sleep");

    match done.wait_timeout(Duration::from_millis(10)) {
        WaitResult::TimedOut => println!("wait_for_completion_timeout: timed out"),
        other => println!("wait_for_completion_timeout: {other:?}"),
    }

    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let done = Arc::clone(&done);
            thread::spawn(move || done.wait())
        })
        .collect();
    done.complete_all();
    waiters.into_iter().for_each(|waiter| waiter.join().expect("the waiter ends"));
    println!("complete_all: three waiters went on, done = {}", done.is_done());
    done.reinit();
    println!("reinit_completion: done = {}", done.is_done());
}
