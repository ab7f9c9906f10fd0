//! A seqlock: a writer moves a position on, and readers copy it out whole without keeping the writer waiting.
//!
//! `cargo run -p uio-core --example seqlock`

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use uio_core::sync::SeqLock;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Both halves always move together; half of a write would show.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Position {
    x: u64,
    y: u64,
}

fn main() {
    let position = SeqLock::new(Position { x: 0, y: 0 });
    let (over, torn) = (AtomicBool::new(false), AtomicU64::new(0));
    println!("seqlock: starting 1 writer and 2 readers");
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
    println!("seqlock: writer done, {:?}", position.read());
    println!("seqlock: torn reads: {}", torn.into_inner());
}
