//! A test per rule of the checker, and that it is nothing in release builds.

use super::super::{Mutex, RwSemaphore, RwSpinLock, SpinLock};

#[test]
#[cfg(not(debug_assertions))]
fn in_release_builds_it_costs_nothing() {
    assert_eq!(size_of::<SpinLock<u32>>(), size_of::<std::sync::Mutex<u32>>());
    assert_eq!(size_of::<RwSpinLock<u32>>(), size_of::<std::sync::RwLock<u32>>());
    assert_eq!(
        size_of::<super::super::SpinLockGuard<'_, u32>>(),
        size_of::<std::sync::MutexGuard<'_, u32>>()
    );
    assert_eq!(size_of::<super::Key>() + size_of::<super::Held>(), 0);
    let (a, b) = (Mutex::new(RwSemaphore::new(())), SpinLock::new(()));
    drop((b.lock(), a.lock()));
    drop((a.lock(), b.lock()));
    assert!(super::reports().is_empty());
}

#[cfg(debug_assertions)]
mod rules {
    use std::panic::Location;
    use std::thread;

    use super::super::super::context::{Level, enter};
    use super::super::super::{Semaphore, SeqLock, WaitQueue, rcu};
    use super::super::*;
    use super::*;

    static DELIVERY: Key = Key::new(Kind::DeliveryHeld);
    static BOTTOM_HALVES: Key = Key::new(Kind::BottomHalvesDisabled);

    /// The reports of one kind that name a line of this file between the two.
    fn found(rule: Rule, from: &Location<'_>, to: &Location<'_>) -> Vec<Report> {
        let within = |place: &Location<'_>| {
            place.file() == from.file() && (from.line()..=to.line()).contains(&place.line())
        };
        let mut all = reports();
        all.retain(|report| report.rule() == rule && report.places().into_iter().any(within));
        all
    }

    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }

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
    fn a_seqlock_read_in_a_top_half_wants_writers_that_hold_delivery() {
        let start = here();
        let lock = SeqLock::new(0_u32);
        let top_half = || {
            let _irq = enter(Level::HardIrq);
            lock.read()
        };
        top_half();
        {
            let _held = DELIVERY.acquire(0);
            lock.write(1);
        }
        assert_eq!((lock.read(), lock.try_read()), (1, Some(1)));
        assert!(found(Rule::Delivery, start, here()).is_empty());
        lock.write(2);
        top_half();
        let reports = found(Rule::Delivery, start, here());
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].places().map(Location::line), [start.line() + 4, start.line() + 13]);
    }

    #[test]
    fn a_seqlock_written_in_a_top_half_is_read_with_delivery_on_and_written_with_it_held() {
        let start = here();
        let lock = SeqLock::new(0_u32);
        {
            let _irq = enter(Level::HardIrq);
            lock.write(1);
        }
        assert_eq!(lock.read(), 1);
        assert!(found(Rule::Delivery, start, here()).is_empty(), "the reader reads again");
        lock.update(|data| *data += 1);
        assert_eq!(found(Rule::Delivery, start, here()).len(), 1);
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
                place.file() != start.file()
                    || !(start.line()..=here().line()).contains(&place.line())
            })
        }));
    }

    #[test]
    fn a_lock_of_a_top_half_taken_with_delivery_on_is_reported_with_both_places_once() {
        let start = here();
        let lock = SpinLock::new(());
        let top_half = || {
            let _irq = enter(Level::HardIrq);
            drop(lock.lock());
        };
        top_half();
        {
            let _held = DELIVERY.acquire(0);
            drop(lock.lock());
        }
        assert!(found(Rule::Delivery, start, here()).is_empty(), "delivery was held");
        for _ in 0..2 {
            drop(lock.lock());
            top_half();
        }
        let reports = found(Rule::Delivery, start, here());
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].places().map(Location::line), [start.line() + 4, start.line() + 13]);
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
    fn a_lock_of_a_bottom_half_taken_with_bottom_halves_on_is_reported_with_both_places_once() {
        let start = here();
        let lock = SpinLock::new(());
        let bottom_half = || {
            let _softirq = enter(Level::Softirq);
            drop(lock.lock());
        };
        bottom_half();
        for section in [&BOTTOM_HALVES, &DELIVERY] {
            let _held = section.acquire(0);
            drop(lock.lock());
        }
        assert!(found(Rule::BottomHalves, start, here()).is_empty(), "they could not run");
        for _ in 0..2 {
            drop(lock.lock());
            bottom_half();
        }
        let reports = found(Rule::BottomHalves, start, here());
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].places().map(Location::line), [start.line() + 4, start.line() + 13]);
    }

    #[test]
    fn a_lock_of_a_top_half_taken_in_a_bottom_half_with_delivery_on_is_reported() {
        let start = here();
        let lock = SpinLock::new(());
        {
            let _irq = enter(Level::HardIrq);
            drop(lock.lock());
        }
        let _softirq = enter(Level::Softirq);
        {
            let _held = DELIVERY.acquire(0);
            drop(lock.lock());
        }
        assert!(found(Rule::Delivery, start, here()).is_empty());
        drop(lock.lock());
        assert_eq!(found(Rule::Delivery, start, here()).len(), 1);
    }

    #[test]
    fn disabled_bottom_halves_are_not_enough_for_a_lock_of_a_top_half() {
        let start = here();
        let lock = SpinLock::new(());
        {
            let _irq = enter(Level::HardIrq);
            drop(lock.lock());
        }
        let _disabled = BOTTOM_HALVES.acquire(0);
        drop(lock.lock());
        assert_eq!(found(Rule::Delivery, start, here()).len(), 1);
    }

    #[test]
    fn an_attempt_in_a_top_half_cannot_spin_but_one_with_delivery_on_can_be_interrupted() {
        let start = here();
        let lock = SpinLock::new(());
        {
            let _irq = enter(Level::HardIrq);
            drop(lock.try_lock());
        }
        drop(lock.lock());
        assert!(found(Rule::Delivery, start, here()).is_empty());
        let other = SpinLock::new(());
        drop(other.try_lock());
        let _irq = enter(Level::HardIrq);
        drop(other.lock());
        assert_eq!(found(Rule::Delivery, start, here()).len(), 1);
    }

    #[test]
    fn readers_in_a_top_half_are_at_odds_with_writers_with_delivery_on_and_not_with_readers() {
        let start = here();
        let lock = RwSpinLock::new(());
        {
            let _irq = enter(Level::HardIrq);
            drop(lock.read());
        }
        drop(lock.read());
        drop(lock.try_read());
        {
            let _held = DELIVERY.acquire(0);
            drop(lock.write());
        }
        assert!(found(Rule::Delivery, start, here()).is_empty());
        drop(lock.write());
        let reports = found(Rule::Delivery, start, here());
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].places().map(Location::line), [start.line() + 4, start.line() + 13]);
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

    #[test]
    fn a_section_lasts_as_long_as_one_of_its_holds_in_whatever_order_they_end() {
        let start = here();
        let lock = SpinLock::new(());
        {
            let _irq = enter(Level::HardIrq);
            drop(lock.lock());
        }
        let (outer, inner) = (DELIVERY.acquire(0), DELIVERY.acquire(0));
        drop(outer);
        drop(lock.lock());
        assert!(found(Rule::Delivery, start, here()).is_empty());
        drop(inner);
        drop(lock.lock());
        assert_eq!(found(Rule::Delivery, start, here()).len(), 1);
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
}
