//! The blocking ring buffer: a producer that sleeps while it is full, a consumer that sleeps while it is empty, and
//! two wait queues on which each wakes the other.
//!
//! It is written out, as a module has it, to show the wait queues at work. A driver uses
//! [`ring::spsc`](uio_core::ring::spsc), the `kfifo`, in the place of [`Ring`].
//!
//! `cargo run --example blocking_ring`
#![forbid(unsafe_code)]

use std::sync::Arc;

use uio_core::kthread;
use uio_core::sync::{SpinLock, WaitQueue};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal, wait_until};

const RING_SIZE: usize = 4;
const ITEMS: u32 = 10;

/// The slots, and how much was put in and taken out.
#[derive(Default)]
struct Ring {
    slots: [u32; RING_SIZE],
    head: usize,
    tail: usize,
}

impl Ring {
    fn put(&mut self, item: u32) -> bool {
        let free = self.head - self.tail < RING_SIZE;
        if free {
            self.slots[self.head % RING_SIZE] = item;
            self.head += 1;
        }
        free
    }

    fn get(&mut self) -> Option<u32> {
        (self.tail < self.head).then(|| {
            self.tail += 1;
            self.slots[(self.tail - 1) % RING_SIZE]
        })
    }
}

/// What the module and its two threads share.
struct Shared {
    ring: SpinLock<Ring>,
    not_full: WaitQueue,
    not_empty: WaitQueue,
    pr_info: Print,
}

impl Shared {
    /// Puts `item` in, or says that there is no room.
    fn try_put(&self, item: u32) -> bool {
        let mut ring = self.ring.lock();
        let put = ring.put(item);
        if put {
            // Under the lock, so that the lines come in the order of what they tell.
            (self.pr_info)(&format!("producer: put {item}"));
        }
        put
    }

    /// Takes an item out, or says that there is none.
    fn try_get(&self) -> bool {
        let mut ring = self.ring.lock();
        let got = ring.get();
        if let Some(item) = got {
            (self.pr_info)(&format!("consumer: got {item}"));
        }
        got.is_some()
    }
}

/// Puts all items in, and says how many.
fn producer(shared: &Shared) -> u32 {
    for item in 1..=ITEMS {
        if !shared.try_put(item) {
            (shared.pr_info)("producer: the ring is full, going to sleep");
            if !kthread::wait_until(&shared.not_full, || shared.try_put(item)) {
                return item - 1;
            }
        }
        shared.not_empty.wake_one();
    }
    ITEMS
}

/// Takes items out until it is asked to stop, and says how many.
fn consumer(shared: &Shared) -> u32 {
    let mut count = 0;
    loop {
        if !shared.try_get() {
            (shared.pr_info)("consumer: the ring is empty, going to sleep");
            if !kthread::wait_until(&shared.not_empty, || shared.try_get()) {
                return count;
            }
        }
        count += 1;
        shared.not_full.wake_one();
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    pr_info("blocking ring example init");
    let shared = Arc::new(Shared {
        ring: SpinLock::new(Ring::default()),
        not_full: WaitQueue::new(),
        not_empty: WaitQueue::new(),
        pr_info: pr_info.clone(),
    });
    let own = Arc::clone(&shared);
    let producing = kthread::run("producer", move || producer(&own))?;
    // The ring fills up, and the producer blocks.
    wait_until(|| shared.not_full.has_waiters());
    let own = Arc::clone(&shared);
    let consuming = kthread::run("consumer", move || consumer(&own))?;
    // It is drained, and the consumer blocks.
    wait_until(|| producing.has_ended() && shared.not_empty.has_waiters());

    let (put, got) = (producing.stop()?, consuming.stop()?);
    pr_info(&format!("blocking ring example exit: {put} items put, {got} got"));
    Ok(())
}
