//! A semaphore: two DMA channels for three users, and a thing that is given by who never took it.
//!
//! `cargo run --example semaphore`

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use uio_core::sync::{Interrupt, Semaphore, WaitResult};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What the users of the channels do.
pub(crate) fn run(pr_info: &Print) {
    pr_info("semaphore example init: 2 channels");
    let channels = Semaphore::new(2);
    channels.down();
    pr_info("down: the first channel");
    pr_info(&format!("down_trylock: the second channel, {}", channels.down_trylock()));
    pr_info(&format!("down_trylock: a third one, {}", channels.down_trylock()));
    match channels.down_timeout(Duration::from_millis(10)) {
        WaitResult::TimedOut => pr_info("down_timeout: none in 10 ms"),
        other => pr_info(&format!("down_timeout: {other:?}")),
    }
    thread::scope(|scope| {
        let (send, handle) = mpsc::channel();
        let channels = &channels;
        scope.spawn(move || {
            let _ = send.send(Interrupt::current());
            if let Err(error) = channels.down_interruptible() {
                pr_info(&format!("down_interruptible: {error}"));
            }
        });
        // PANIC: the thread does nothing that panics.
        handle.recv().expect("the waiter sends its handle").raise();
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            channels.down();
            pr_info("down: got a channel");
        });
        // By this thread, which may not be the one that took it.
        channels.up();
    });
    channels.up();
    channels.up();
    pr_info(&format!("up: {channels:?}"));
}
