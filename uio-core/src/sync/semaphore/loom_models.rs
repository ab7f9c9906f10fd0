//! Taking against giving, in every order.

use super::super::facade::thread;
use super::super::task::{self, Interrupt};
use super::*;

/// One thing for two threads: each has its turn, and it is there in the end.
#[test]
fn loom_what_is_given_is_taken_once() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let other = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                semaphore.down();
                semaphore.up();
            })
        };
        semaphore.down();
        assert!(!semaphore.down_trylock());
        semaphore.up();
        other.join().unwrap();
        assert!(semaphore.down_trylock() && !semaphore.down_trylock());
    });
}

/// An interrupt and an `up` at the same time: whoever was given the thing has it.
#[test]
fn loom_an_interrupted_waiter_has_it_or_leaves_it() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let own = Interrupt::current();
        let other = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                own.raise();
                semaphore.up();
            })
        };
        let taken = semaphore.down_interruptible().is_ok();
        other.join().unwrap();
        assert_ne!(taken, semaphore.down_trylock());
        task::flush_signals();
    });
}
