//! A completion between two threads: one initialises, the other waits for it; then three at a time.
//!
//! `cargo run -p uio-core --example completion`

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use uio_core::sync::{Completion, WaitResult};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What the module's init does.
pub(crate) fn run(pr_info: &Print) {
    let done = Arc::new(Completion::new());

    pr_info("completion example: init");
    let waiter = {
        let (done, pr_info) = (Arc::clone(&done), pr_info.clone());
        thread::spawn(move || {
            pr_info("wait_for_completion: waiting for initialization");
            done.wait();
            pr_info("wait_for_completion: initialization is done");
        })
    };
    done.complete();
    // PANIC: the thread does nothing that panics. So below.
    waiter.join().expect("the waiter ends");

    done.complete();
    done.wait();
    pr_info("complete before wait: the wait did not sleep");

    match done.wait_timeout(Duration::from_millis(10)) {
        WaitResult::TimedOut => pr_info("wait_for_completion_timeout: timed out"),
        other => pr_info(&format!("wait_for_completion_timeout: {other:?}")),
    }

    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let done = Arc::clone(&done);
            thread::spawn(move || done.wait())
        })
        .collect();
    done.complete_all();
    waiters.into_iter().for_each(|waiter| waiter.join().expect("the waiter ends"));
    pr_info(&format!("complete_all: three waiters went on, done = {}", done.is_done()));
    done.reinit();
    pr_info(&format!("reinit_completion: done = {}", done.is_done()));
}
