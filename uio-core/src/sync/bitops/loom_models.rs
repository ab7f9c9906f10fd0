//! The order of the operations, as far as they have one.

use std::array;

use loom::cell::UnsafeCell;

use super::super::facade::{Arc, thread};
use super::*;

/// Two threads, each sets its bit and looks at the other's data: one of them sees the other. Without the full
/// order both may miss.
#[test]
fn loom_test_and_set_bit_is_fully_ordered() {
    loom::model(|| {
        let shared: Arc<([AtomicU64; 2], [AtomicU64; 2])> = Arc::new((
            array::from_fn(|_| AtomicU64::new(0)),
            array::from_fn(|_| AtomicU64::new(0)),
        ));
        let meet = |shared: &([AtomicU64; 2], [AtomicU64; 2]), own: usize| {
            shared.1[own].store(1, Ordering::Relaxed);
            test_and_set_bit(&shared.0, own * BITS);
            shared.1[1 - own].load(Ordering::Relaxed)
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || meet(&shared, 1))
        };
        let seen = meet(&shared, 0);
        assert!(seen + other.join().unwrap() > 0);
    });
}

/// Two threads, each sets its bit and then looks at the other's: one of them sees the other, so that what
/// follows the operation is ordered after it.
#[test]
fn loom_what_follows_a_test_and_set_bit_is_ordered_after_it() {
    loom::model(|| {
        let words: Arc<[AtomicU64; 2]> = Arc::new(array::from_fn(|_| AtomicU64::new(0)));
        let meet = |words: &[AtomicU64; 2], own: usize| {
            test_and_set_bit(words, own * BITS);
            test_bit(words, (1 - own) * BITS)
        };
        let other = {
            let words = Arc::clone(&words);
            thread::spawn(move || meet(&words, 1))
        };
        let seen = meet(&words, 0);
        assert!(seen | other.join().unwrap());
    });
}

/// A bit as a lock: the two are never inside at a time, and what one wrote the other sees.
#[test]
fn loom_a_bit_is_a_lock() {
    loom::model(|| {
        let shared = Arc::new(([AtomicU64::new(0)], UnsafeCell::new(())));
        let attempt = |shared: &([AtomicU64; 1], UnsafeCell<()>)| {
            if !test_and_set_bit_lock(&shared.0, 5) {
                // The model fails if two are in here without an order.
                shared.1.with_mut(|_| ());
                clear_bit_unlock(&shared.0, 5);
            }
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || attempt(&shared))
        };
        attempt(&shared);
        other.join().unwrap();
    });
}
