//! Atomic bit operations: numbers that are given out once each, and a bit as a lock.
//!
//! `cargo run --example bitops`

use std::sync::atomic::AtomicU64;
use std::thread;

use uio_core::sync::Bitmap;
use uio_core::sync::bitops::{clear_bit_unlock, set_bit, test_and_set_bit_lock, test_bit};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

/// The bit of a word of flags that is a lock.
const LOCKED: usize = 0;
/// A bit beside it.
const READY: usize = 5;

fn main() {
    run(&terminal());
}

/// What the threads of the module do.
pub(crate) fn run(pr_info: &Print) {
    pr_info("bitops example init");
    let minors = Bitmap::new(70);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..33 {
                    // `find_first_zero_bit`, and `test_and_set_bit` until it is ours.
                    minors.take_first_zero();
                }
            });
        }
    });
    pr_info(&format!("two threads took 33 minors each: {} are taken", minors.weight()));
    pr_info(&format!("the next one that is free: {:?}", minors.find_next_zero(0)));
    pr_info(&format!("test_and_clear_bit(64): {}", minors.test_and_clear(64)));
    pr_info(&format!("test_and_clear_bit(64): {}", minors.test_and_clear(64)));
    pr_info(&format!("find_next_bit from 64 on: {:?}", minors.find_next(64)));

    let flags = [AtomicU64::new(0)];
    pr_info(&format!(
        "test_and_set_bit_lock: taken before: {}",
        test_and_set_bit_lock(&flags, LOCKED)
    ));
    pr_info(&format!(
        "test_and_set_bit_lock: taken before: {}",
        test_and_set_bit_lock(&flags, LOCKED)
    ));
    set_bit(&flags, READY);
    clear_bit_unlock(&flags, LOCKED);
    pr_info(&format!("clear_bit_unlock: {}", test_bit(&flags, LOCKED)));
    pr_info(&format!("the bit beside: {}", test_bit(&flags, READY)));
}
