//! Locks and calls that may sleep, where nothing may.

use std::panic::Location;

use super::super::super::context::{Level, enter};
use super::super::super::{Mutex, RwSemaphore, Semaphore, SpinLock, WaitQueue, rcu};
use super::super::*;
use super::support::{BOTTOM_HALVES, DELIVERY, found, here};

#[test]
fn a_lock_that_may_sleep_taken_in_a_top_half_or_a_bottom_half_is_reported_with_both_places() {
    let start = here();
    let (mutex, sem) = (Mutex::new(()), RwSemaphore::new(()));
    for level in [Level::HardIrq, Level::Softirq] {
        let _level = enter(level);
        drop(mutex.lock());
        drop(sem.read());
    }
    let reports = found(Rule::Sleep, start, here());
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert_eq!(reports[0].places().map(Location::line), [start.line() + 4, start.line() + 3]);
}

#[test]
fn an_attempt_at_a_lock_that_may_sleep_is_no_sleep() {
    let start = here();
    let (spin, mutex, sem) = (SpinLock::new(()), Mutex::new(()), RwSemaphore::new(()));
    {
        let _spin = spin.lock();
        drop((mutex.try_lock(), sem.try_read()));
    }
    let _irq = enter(Level::HardIrq);
    drop((sem.try_read(), sem.try_write()));
    assert!(found(Rule::Sleep, start, here()).is_empty());
}

#[test]
fn mutex_trylock_in_a_top_half_or_a_bottom_half_is_reported() {
    let start = here();
    let mutex = Mutex::new(());
    for level in [Level::HardIrq, Level::Softirq] {
        let _level = enter(level);
        drop(mutex.try_lock());
    }
    assert_eq!(found(Rule::Sleep, start, here()).len(), 1, "one pair of places");
}

#[test]
fn a_lock_that_may_sleep_taken_under_a_spin_lock_is_reported_once() {
    let start = here();
    let (spin, mutex) = (SpinLock::new(()), Mutex::new(()));
    for _ in 0..3 {
        let _spin = spin.lock();
        let _mutex = mutex.lock();
    }
    assert_eq!(found(Rule::Sleep, start, here()).len(), 1);
}

#[test]
fn a_sleeping_call_under_a_spin_lock_or_in_an_rcu_section_is_reported() {
    let start = here();
    let spin = SpinLock::new(());
    {
        let _spin = spin.lock();
        WaitQueue::new().wait_until(|| true);
    }
    {
        let _section = rcu::read_lock();
        Semaphore::new(1).down();
    }
    let reports = found(Rule::Sleep, start, here());
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[1].to_string().contains("rcu::read_lock"));
}

#[test]
fn a_spin_lock_in_an_rcu_section_and_a_spin_lock_under_a_mutex_are_right() {
    let start = here();
    let (spin, mutex) = (SpinLock::new(()), Mutex::new(()));
    let _section = rcu::read_lock();
    drop(spin.lock());
    drop(_section);
    let _mutex = mutex.lock();
    let _spin = spin.lock();
    assert!(reports().iter().all(|report| {
        report.places().into_iter().all(|place| {
            place.file() != start.file() || !(start.line()..=here().line()).contains(&place.line())
        })
    }));
}

#[test]
fn a_sleeping_call_with_delivery_held_or_bottom_halves_disabled_is_reported() {
    let start = here();
    for section in [&DELIVERY, &BOTTOM_HALVES] {
        let _held = section.acquire(0);
        drop(Mutex::new(()).lock());
    }
    let reports = found(Rule::Sleep, start, here());
    assert_eq!(reports.len(), 1, "one pair of places: {reports:?}");
    let _disabled = BOTTOM_HALVES.acquire(0);
    WaitQueue::new().wait_until(|| true);
    let reports = found(Rule::Sleep, start, here());
    assert!(reports[1].to_string().contains("disabled bottom halves"), "{}", reports[1]);
}
