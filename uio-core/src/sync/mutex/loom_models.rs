//! A release against an interruptible wait, in every order.

use super::super::facade::atomic::{AtomicUsize, Ordering};
use super::super::facade::{Arc, thread};
use super::super::task::{self, Interrupt};
use super::*;

/// Two who take it interruptibly and are not interrupted: both have their turn.
#[test]
fn loom_a_release_wakes_who_waits_interruptibly() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        // An atomic, so that the model looks at what happens while the lock is held.
        let mutex = Arc::new(Mutex::new(AtomicUsize::new(0)));
        let turn = |mutex: &Mutex<AtomicUsize>| {
            let count = mutex.lock_interruptible().unwrap();
            let seen = count.load(Ordering::Relaxed);
            count.store(seen + 1, Ordering::Relaxed);
        };
        let other = {
            let mutex = Arc::clone(&mutex);
            thread::spawn(move || turn(&mutex))
        };
        turn(&mutex);
        other.join().unwrap();
        assert_eq!(mutex.lock().load(Ordering::Relaxed), 2);
    });
}

/// One is interrupted: it has the lock or it has not, and in the end the lock is free.
#[test]
fn loom_an_interrupted_wait_does_not_keep_the_lock() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let mutex = Arc::new(Mutex::new(()));
        let own = Interrupt::current();
        let other = {
            let mutex = Arc::clone(&mutex);
            thread::spawn(move || {
                let _guard = mutex.lock();
                own.raise();
            })
        };
        drop(mutex.lock_interruptible());
        other.join().unwrap();
        assert!(mutex.try_lock().is_some());
        task::flush_signals();
    });
}
