//! A seqlock: a writer moves a position on, and readers copy it out whole without keeping the writer waiting.
//!
//! `cargo run -p uio-core --example seqlock`

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use uio_core::sync::SeqLock;
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

/// Both halves always move together; half of a write would show.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Position {
    x: u64,
    y: u64,
}

fn main() {
    run(&terminal());
}

/// What the writer and the readers do.
pub(crate) fn run(pr_info: &Print) {
    let position = SeqLock::new(Position { x: 0, y: 0 });
    let (over, torn) = (AtomicBool::new(false), AtomicU64::new(0));
    pr_info("seqlock: starting 1 writer and 2 readers");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    let Position { x, y } = position.read();
                    torn.fetch_add(u64::from(x != y), Ordering::Relaxed);
                }
            });
        }
        (1..=100_000).for_each(|n| position.write(Position { x: n, y: n }));
        over.store(true, Ordering::Release);
    });
    position.update(|position| position.x = 0);
    pr_info(&format!("seqlock: writer done, {:?}", position.read()));
    pr_info(&format!("seqlock: torn reads: {}", torn.into_inner()));
}
