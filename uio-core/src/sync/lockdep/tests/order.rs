//! Orders, and locks that are taken twice.

use std::thread;

use super::super::super::context::{Level, enter};
use super::super::super::{Mutex, RwSemaphore, RwSpinLock, SeqLock, SpinLock};
use super::super::*;
use super::support::{found, here};

#[test]
fn two_locks_taken_in_both_orders_are_reported_with_both_places_once() {
    let start = here();
    let a = SpinLock::new(());
    let b = SpinLock::new(());
    let forth = || {
        let _a = a.lock();
        let _b = b.lock();
    };
    let back = || {
        let _b = b.lock();
        let _a = a.lock();
    };
    forth();
    assert!(found(Rule::Order, start, here()).is_empty());
    // At another time and on another thread: nothing is held up, and yet it is found.
    thread::scope(|scope| {
        scope.spawn(back);
    });
    (0..3).for_each(|_| {
        forth();
        back();
    });
    let reports = found(Rule::Order, start, here());
    assert_eq!(reports.len(), 1, "{reports:?}");
    let [now, before] = reports[0].places();
    assert_eq!((now.line(), before.line()), (start.line() + 9, start.line() + 5));
    assert!(reports[0].to_string().starts_with("possible circular locking dependency"));
}

#[test]
fn a_cycle_over_three_locks_is_reported() {
    let start = here();
    let (a, b, c) = (Mutex::new(()), RwSemaphore::new(()), RwSpinLock::new(()));
    {
        let _a = a.lock();
        let _b = b.read();
    }
    {
        let _b = b.write();
        let _c = c.read();
    }
    let _c = c.write();
    let _a = a.lock();
    let reports = found(Rule::Order, start, here());
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].to_string().contains(", and "), "the whole way: {}", reports[0]);
}

#[test]
fn locks_made_at_one_place_are_of_one_class() {
    let start = here();
    let make = || SpinLock::new(());
    let (outer, one, other) = (SpinLock::new(()), make(), make());
    {
        let _outer = outer.lock();
        let _one = one.lock();
    }
    let _other = other.lock();
    let _outer = outer.lock();
    assert_eq!(found(Rule::Order, start, here()).len(), 1);
}

#[test]
fn an_attempt_makes_no_order_but_what_is_taken_under_it_does() {
    let start = here();
    let (a, b) = (SpinLock::new(()), SpinLock::new(()));
    {
        let _a = a.lock();
        let _b = b.try_lock().unwrap();
    }
    {
        let _b = b.lock();
        let _a = a.lock();
    }
    assert!(found(Rule::Order, start, here()).is_empty());
    {
        let _a = a.try_lock().unwrap();
        let _b = b.lock();
    }
    assert_eq!(found(Rule::Order, start, here()).len(), 1);
}

#[test]
fn a_lock_that_was_released_makes_no_order() {
    let start = here();
    let (a, b) = (SpinLock::new(()), SpinLock::new(()));
    let guards = (a.lock(), b.lock());
    drop(guards.0);
    drop(guards.1);
    drop(b.lock());
    drop(a.lock());
    assert!(found(Rule::Order, start, here()).is_empty());
}

#[test]
fn a_lock_taken_under_one_of_its_class_is_reported_unless_it_is_nested() {
    let start = here();
    let make = || Mutex::new(());
    let (parent, child) = (make(), make());
    {
        let _parent = parent.lock();
        let _child = child.lock_nested(1);
    }
    assert!(found(Rule::Recursion, start, here()).is_empty());
    let _parent = parent.lock();
    let _child = child.lock();
    assert_eq!(found(Rule::Recursion, start, here()).len(), 1);
}

#[test]
fn a_reader_that_takes_the_lock_as_a_writer_too_is_reported() {
    let start = here();
    let (lock, sem) = (RwSpinLock::new(()), RwSemaphore::new(()));
    {
        let _read = lock.read();
        // To take it would be for ever.
        drop(lock.key().acquire(0));
    }
    let _read = sem.read();
    drop(sem.read());
    assert_eq!(found(Rule::Recursion, start, here()).len(), 2);
}

#[test]
fn a_seqlock_read_by_its_own_writer_is_reported() {
    let start = here();
    let lock = SeqLock::new(0_u32);
    // The data is not changed yet, so that the reader gets on here; it would not in the kernel.
    lock.update(|data| *data = lock.read() + 1);
    assert_eq!(found(Rule::Recursion, start, here()).len(), 1);
}

#[test]
fn a_lock_taken_in_top_halves_alone_is_right() {
    let start = here();
    let lock = RwSpinLock::new(());
    let _irq = enter(Level::HardIrq);
    drop(lock.read());
    drop(lock.write());
    assert!(found(Rule::Delivery, start, here()).is_empty());
}

#[test]
fn a_mutex_that_was_not_got_is_not_held() {
    let start = here();
    let (mutex, other) = (Mutex::new(()), SpinLock::new(()));
    let guard = mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            crate::sync::Interrupt::current().raise();
            assert!(mutex.lock_interruptible().is_err());
            drop(other.lock());
        });
    });
    drop(guard);
    let _other = other.lock();
    assert!(mutex.try_lock().is_some());
    assert!(found(Rule::Order, start, here()).is_empty());
}
