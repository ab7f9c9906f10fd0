//! One spin lock, taken plainly in a top half and with `lock_irqsave` elsewhere; and what the lock checker says of
//! real handlers and holds.

use std::panic::Location;

use super::*;
use crate::sync::lockdep::{self, Report, Rule};
use crate::sync::{RwSpinLock, SeqLock, SpinLock};

#[track_caller]
fn here() -> &'static Location<'static> {
    Location::caller()
}

/// The reports of one kind that name a line of this file from `start` on, up to the caller's.
#[track_caller]
fn found(rule: Rule, start: &Location<'_>) -> Vec<Report> {
    let end = Location::caller().line();
    let within = |place: &Location<'_>| {
        place.file() == start.file() && (start.line()..=end).contains(&place.line())
    };
    let mut all = lockdep::reports();
    all.retain(|report| report.rule() == rule && report.places().into_iter().any(within));
    all
}

/// A dispatcher that the test's thread belongs to, so that it holds this one and not those of other tests: what
/// is in their handlers may wait for what is in others.
fn own_bench() -> (Dispatcher, Arc<Device>, IrqLine) {
    let bench = bench();
    super::super::hold::belong_to(&Arc::downgrade(bench.0.shared()));
    bench
}

/// Raises an interrupt and waits until its handler has done `act`. The dispatcher becomes the test's own.
fn in_top_half(act: impl Fn() + Send + Sync + 'static) -> Dispatcher {
    let (dispatcher, device, line) = own_bench();
    let probe = Probe::new(move |_| {
        act();
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.raise(1);
    probe.wait_for(1);
    dispatcher
}

#[test]
fn spin_lock_in_the_handler_and_spin_lock_irqsave_elsewhere_are_one_lock() {
    let (_dispatcher, device, line) = own_bench();
    let start = here();
    let counter = Arc::new(SpinLock::new(0u64));
    let in_handler = Arc::clone(&counter);
    let probe = Probe::new(move |_| {
        *in_handler.lock() += 1;
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    for round in 1..=300 {
        device.raise(1);
        *counter.lock_irqsave() += 1;
        probe.wait_for(round);
    }
    let locked = counter.lock_irqsave();
    assert!(counter.try_lock().is_none() && counter.try_lock_irqsave().is_none());
    device.raise(1);
    thread::sleep(Duration::from_millis(5));
    assert_eq!((*locked, probe.calls.load(Ordering::SeqCst)), (600, 300), "delivery is held");
    drop(locked);
    probe.wait_for(301);
    assert!(found(Rule::Delivery, start).is_empty(), "{:?}", found(Rule::Delivery, start));
}

#[test]
fn an_attempt_that_fails_holds_delivery_no_longer() {
    let (_dispatcher, device, line) = own_bench();
    let lock = SpinLock::new(());
    let locked = lock.lock();
    assert!(lock.try_lock_irqsave().is_none());
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.raise(1);
    probe.wait_for(1);
    drop(locked);
}

#[test]
fn the_lock_is_released_before_delivery_goes_on() {
    let (_dispatcher, device, line) = own_bench();
    let lock = Arc::new(SpinLock::new(()));
    let (own, free) = (Arc::clone(&lock), Arc::new(AtomicU64::new(0)));
    let found_free = Arc::clone(&free);
    let probe = Probe::new(move |_| {
        found_free.fetch_add(u64::from(own.try_lock().is_some()), Ordering::SeqCst);
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    for round in 1..=200 {
        let locked = lock.lock_irqsave();
        device.raise(1);
        drop(locked);
        probe.wait_for(round);
    }
    assert_eq!(free.load(Ordering::SeqCst), 200);
}

#[test]
fn spin_lock_irqsave_nests_and_delivery_goes_on_after_the_last() {
    let (_dispatcher, device, line) = own_bench();
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    let (outer, inner) = (SpinLock::new(()), RwSpinLock::new(()));
    let first = outer.lock_irqsave();
    let second = inner.write_irqsave();
    device.raise(1);
    drop(first);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    drop(second);
    probe.wait_for(1);
    drop(inner.read_irqsave());
}

#[test]
fn a_lock_that_is_made_for_irqsave_can_be_taken_under_a_hold_that_is_there() {
    let (_dispatcher, _, _) = own_bench();
    let lock = SpinLockIrq::new(1);
    let held = hold_delivery();
    *lock.lock_with(&held) += 1;
    assert!(lock.try_lock().is_some());
    drop(held);
    assert_eq!(*lock.lock(), 2);
}

#[test]
#[cfg(debug_assertions)]
fn spin_lock_in_a_thread_and_in_a_top_half_is_reported_once_with_both_places() {
    let start = here();
    let lock = Arc::new(SpinLock::new(()));
    let in_thread = || drop(lock.lock());
    for _ in 0..2 {
        let lock = Arc::clone(&lock);
        in_thread();
        drop(in_top_half(move || drop(lock.lock())));
    }
    let reports = found(Rule::Delivery, start);
    assert_eq!(reports.len(), 1, "{reports:?}");
    let lines = reports[0].places().map(Location::line);
    assert_eq!(lines, [start.line() + 6, start.line() + 2]);
    assert!(reports[0].to_string().contains("(lock_irqsave)"), "{}", reports[0]);
}

#[test]
fn spin_lock_irqsave_in_a_thread_and_spin_lock_in_a_top_half_is_right() {
    let start = here();
    let lock = Arc::new(SpinLock::new(()));
    let own = Arc::clone(&lock);
    let _dispatcher = in_top_half(move || drop(own.lock()));
    drop(lock.lock_irqsave());
    drop(lock.try_lock_irqsave());
    let held = hold_delivery();
    drop(lock.lock());
    drop(held);
    assert!(found(Rule::Delivery, start).is_empty());
}

#[test]
fn read_lock_in_a_top_half_wants_irqsave_of_writers_alone() {
    let start = here();
    let lock = Arc::new(RwSpinLock::new(()));
    let own = Arc::clone(&lock);
    let _dispatcher = in_top_half(move || drop(own.read()));
    drop(lock.read());
    drop(lock.write_irqsave());
    assert!(found(Rule::Delivery, start).is_empty());
}

#[test]
fn write_seqlock_irqsave_keeps_a_reader_in_a_top_half_from_waiting_for_the_writer() {
    let start = here();
    let lock = Arc::new(SeqLock::new(0_u32));
    let own = Arc::clone(&lock);
    let _dispatcher = in_top_half(move || assert_eq!(own.read(), 0));
    lock.write_irqsave(1);
    lock.update_irqsave(|data| *data += 1);
    assert_eq!((lock.read(), lock.read_locked_irqsave()), (2, 2));
    assert!(found(Rule::Delivery, start).is_empty());
}

#[test]
fn a_lock_that_is_always_taken_with_delivery_held_is_right_everywhere() {
    let start = here();
    let lock = Arc::new(SpinLockIrq::new(()));
    let own = Arc::clone(&lock);
    let _dispatcher = in_top_half(move || drop(own.lock()));
    drop(lock.lock());
    assert!(found(Rule::Delivery, start).is_empty());
}

/// The kernel's `spin_lock(&a); spin_lock_irqsave(&b)`: to wait for a handler is no sleep.
#[test]
fn spin_lock_irqsave_under_a_spin_lock_or_in_a_softirq_is_right_also_when_a_handler_runs() {
    let (_dispatcher, device, line) = own_bench();
    let (entered, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (enter, until) = (Arc::clone(&entered), Arc::clone(&release));
    let probe = Probe::new(move |_| {
        enter.store(true, Ordering::SeqCst);
        wait_until("the release", || until.load(Ordering::SeqCst));
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe).unwrap();
    let start = here();
    let (outer, inner) = (SpinLock::new(()), SpinLock::new(()));
    device.raise(1);
    wait_until("the handler", || entered.load(Ordering::SeqCst));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(5));
            release.store(true, Ordering::SeqCst);
        });
        let _outer = outer.lock();
        let _softirq = crate::sync::context::enter(Level::Softirq);
        drop(inner.lock_irqsave());
    });
    assert!(found(Rule::Sleep, start).is_empty(), "{:?}", found(Rule::Sleep, start));
}

#[test]
#[cfg(debug_assertions)]
fn a_lock_that_may_sleep_taken_under_spin_lock_irqsave_is_reported_with_the_place_of_the_hold() {
    let (_dispatcher, _, _) = own_bench();
    let start = here();
    let (spin, mutex) = (SpinLock::new(()), crate::sync::Mutex::new(()));
    {
        let _held = hold_delivery();
        drop(mutex.lock());
    }
    let _locked = spin.lock_irqsave();
    drop(mutex.lock());
    let mut lines: Vec<_> = found(Rule::Sleep, start)
        .iter()
        .map(|report| report.places().map(Location::line))
        .collect();
    lines.sort_unstable();
    let line = start.line();
    // The hold and the lock are taken at one place.
    assert_eq!(lines, [[line + 4, line + 3], [line + 7, line + 6]]);
}

#[test]
#[cfg(not(debug_assertions))]
fn in_release_builds_the_checker_costs_nothing() {
    let parts = size_of::<std::sync::MutexGuard<'_, u32>>() + size_of::<DeliveryHeldGuard>();
    assert_eq!(size_of::<SpinLockIrqGuard<'_, u32>>(), parts);
    assert_eq!(size_of::<SpinLockIrq<u32>>(), size_of::<Mutex<u32>>());
    // A count and its owners.
    assert_eq!(size_of::<DeliveryHeldGuard>(), size_of::<Vec<usize>>());
}
