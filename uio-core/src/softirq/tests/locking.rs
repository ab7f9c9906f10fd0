//! One spin lock, taken plainly in a bottom half and with `lock_bh` elsewhere; and what the lock checker says of
//! real tasklets.

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

/// Softirqs that are the test's thread's own, so that it disables these and not those of other tests: what is in
/// them may wait for what is in others.
fn own_bench() -> (Dispatcher, Arc<Softirqs>) {
    let bench = bench();
    crate::irq::hold::belong_to(&Arc::downgrade(bench.0.shared()));
    bench
}

/// Runs a tasklet once and waits for its end. The dispatcher becomes the test's own.
fn in_tasklet(act: impl Fn() + Send + Sync + 'static) -> Dispatcher {
    let (dispatcher, softirqs) = own_bench();
    let (done, ran) = mpsc::channel();
    let tasklet = Tasklet::new(&softirqs, "test", move || {
        act();
        let _ = done.send(());
    });
    tasklet.unwrap().schedule();
    ran.recv_timeout(DEADLINE).unwrap();
    dispatcher
}

#[test]
#[cfg(debug_assertions)]
fn spin_lock_in_a_tasklet_and_in_a_thread_is_reported_once_with_both_places() {
    let start = here();
    let lock = Arc::new(SpinLock::new(()));
    let in_thread = || drop(lock.lock());
    for _ in 0..2 {
        let lock = Arc::clone(&lock);
        drop(in_tasklet(move || drop(lock.lock())));
        in_thread();
    }
    let reports = found(Rule::BottomHalves, start);
    assert_eq!(reports.len(), 1, "{reports:?}");
    let lines = reports[0].places().map(Location::line);
    assert_eq!(lines, [start.line() + 5, start.line() + 2]);
    assert!(reports[0].to_string().contains("(lock_bh)"), "{}", reports[0]);
    assert!(found(Rule::Delivery, start).is_empty());
}

#[test]
fn spin_lock_bh_in_a_thread_and_spin_lock_in_a_tasklet_is_right() {
    let start = here();
    let lock = Arc::new(SpinLock::new(()));
    let own = Arc::clone(&lock);
    let _dispatcher = in_tasklet(move || drop(own.lock()));
    drop(lock.lock_bh());
    drop(lock.try_lock_bh());
    let disabled = bh_disable();
    drop(lock.lock());
    drop(disabled);
    assert!(found(Rule::BottomHalves, start).is_empty());
}

#[test]
fn spin_lock_irqsave_in_a_thread_and_spin_lock_in_a_tasklet_is_right() {
    let start = here();
    let lock = Arc::new(SpinLock::new(()));
    let own = Arc::clone(&lock);
    let _dispatcher = in_tasklet(move || drop(own.lock()));
    drop(lock.lock_irqsave());
    assert!(found(Rule::BottomHalves, start).is_empty());
}

#[test]
fn a_lock_that_is_always_taken_with_bottom_halves_disabled_is_right_everywhere() {
    let start = here();
    let (_dispatcher, softirqs) = bench();
    let lock = Arc::new(SpinLockBh::new(&softirqs, ()));
    let own = Arc::clone(&lock);
    let _dispatcher = in_tasklet(move || drop(own.lock()));
    drop(lock.lock());
    drop(lock.try_lock());
    assert!(found(Rule::BottomHalves, start).is_empty());
}

#[test]
fn read_lock_in_a_tasklet_wants_bh_of_writers_alone() {
    let start = here();
    let lock = Arc::new(RwSpinLock::new(()));
    let own = Arc::clone(&lock);
    let _dispatcher = in_tasklet(move || drop((own.read(), own.try_write())));
    drop(lock.read());
    drop(lock.write_bh());
    drop(lock.read_bh());
    assert!(found(Rule::BottomHalves, start).is_empty());
}

#[test]
fn write_seqlock_bh_keeps_a_reader_in_a_tasklet_from_waiting_for_the_writer() {
    let start = here();
    let lock = Arc::new(SeqLock::new(0_u32));
    let own = Arc::clone(&lock);
    let _dispatcher = in_tasklet(move || assert_eq!(own.read(), 0));
    lock.write_bh(1);
    lock.update_bh(|data| *data += 1);
    assert_eq!((lock.read(), lock.read_locked_bh()), (2, 2));
    assert!(found(Rule::BottomHalves, start).is_empty());
}

#[test]
fn a_tasklet_may_disable_bottom_halves_and_runs_again_afterwards() {
    let (_dispatcher, softirqs) = bench();
    let (runs, counter) = count();
    let lock = SpinLock::new(());
    let own = Arc::downgrade(&softirqs);
    let tasklet = Tasklet::new(&softirqs, "test", move || {
        let _locked = lock.lock_bh();
        let _nested = bh_disable();
        let own = own.upgrade().unwrap();
        let _named = own.bh_disable();
        counter.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    for round in 1..=5 {
        tasklet.schedule();
        wait_until("the run", || runs.load(Ordering::SeqCst) == round);
    }
}

/// The kernel's `spin_lock(&a); spin_lock_bh(&b)`: to wait for a softirq is no sleep.
#[test]
fn spin_lock_bh_under_a_spin_lock_is_right_also_when_a_softirq_runs() {
    let (_dispatcher, softirqs) = own_bench();
    let release = busy(&softirqs);
    let start = here();
    let (outer, inner) = (SpinLock::new(()), SpinLock::new(()));
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(5));
            drop(release);
        });
        let _outer = outer.lock();
        drop(inner.lock_bh());
    });
    assert!(found(Rule::Sleep, start).is_empty());
}

#[test]
#[cfg(debug_assertions)]
fn bottom_halves_disabled_with_delivery_held_are_reported() {
    let (_dispatcher, _softirqs) = own_bench();
    let start = here();
    let lock = SpinLock::new(());
    {
        let _disabled = bh_disable();
        drop(lock.lock_irqsave());
    }
    assert!(found(Rule::BottomHalves, start).is_empty(), "this order is the right one");
    let _held = crate::irq::hold_delivery();
    drop(lock.lock_bh());
    let lines: Vec<_> = found(Rule::BottomHalves, start)
        .iter()
        .map(|report| report.places().map(Location::line))
        .collect();
    assert_eq!(lines, [[start.line() + 8, start.line() + 7]]);
}

#[test]
#[cfg(debug_assertions)]
fn bottom_halves_disabled_in_a_top_half_are_caught() {
    let _irq = crate::sync::context::enter(crate::sync::context::Level::HardIrq);
    let disable = || drop(SpinLock::new(()).lock_bh());
    assert!(std::panic::catch_unwind(disable).is_err());
}
