//! Locks of top and bottom halves, taken elsewhere.

use std::panic::Location;

use super::super::super::context::{Level, enter};
use super::super::super::{RwSpinLock, SeqLock, SpinLock};
use super::super::*;
use super::support::{BOTTOM_HALVES, DELIVERY, found, here};

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
