//! The single-producer, single-consumer ring: `kfifo`.
//!
//! # Vocabulary
//!
//! - `head`: elements ever pushed, `tail`: elements ever popped; both run freely and wrap with `usize`.
//!   `head - tail` elements are in the ring; element `n` lives in slot `n & (capacity - 1)`.
//! - Each side owns one index and only reads the other's, of which it keeps the last value seen, so that a
//!   side which has room or data in hand does not touch the other's cache line.
//!
//! # Ordering
//!
//! ```text
//!   producer                                   consumer
//!   P1  write slots [head, head + n)           C1  load head, Acquire          (pairs with P2)
//!   P2  store head + n, Release                C2  read slots [tail, tail + n)
//!   P3  load tail, Acquire (pairs with C3)     C3  store tail + n, Release
//! ```
//!
//! P1 happens before C2 by P2 -> C1, so the consumer reads whole elements; C2 happens before the next P1 on
//! the same slot by C3 -> P3, so the producer never writes a slot that is being read. The loom model below
//! visits the interleavings with every slot access tracked.
//!
//! Mirrors `include/linux/kfifo.h`; the split into sides is that of `embassy` and `rtrb`.
#![expect(unsafe_code, reason = "slots are shared between two threads without a lock")]

use std::fmt;

use super::slots::Slots;
use crate::sync::facade::Arc;
use crate::sync::facade::atomic::{AtomicUsize, Ordering};

/// Keeps its content on cache lines of its own (two, since they are fetched in pairs).
#[repr(align(128))]
struct Padded<T>(T);

struct Ring<T> {
    head: Padded<AtomicUsize>,
    tail: Padded<AtomicUsize>,
    slots: Slots<T>,
}

/// Makes a ring of at least `capacity` elements (rounded up to a power of two) and hands out its two sides.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = uio_core::ring::spsc::channel::<u8>(4);
/// assert_eq!(producer.push_slice(b"Hello"), 4);
/// let mut buf = [0; 8];
/// assert_eq!(consumer.pop_slice(&mut buf), 4);
/// assert_eq!(&buf[..4], b"Hell");
/// ```
pub fn channel<T: Copy + Default>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let ring = Arc::new(Ring {
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
        slots: Slots::new(capacity.max(1).next_power_of_two()),
    });
    (
        Producer { ring: Arc::clone(&ring), head: 0, tail_seen: 0 },
        Consumer { ring, tail: 0, head_seen: 0 },
    )
}

/// The side that fills the ring. The kernel's `kfifo_put` and `kfifo_in`.
pub struct Producer<T> {
    ring: Arc<Ring<T>>,
    head: usize,
    tail_seen: usize,
}

/// The side that empties the ring. The kernel's `kfifo_get` and `kfifo_out`.
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    tail: usize,
    head_seen: usize,
}

/// Looks at the fill of a ring from outside, for statistics and readiness.
pub struct Gauge<T> {
    ring: Arc<Ring<T>>,
}

impl<T> Ring<T> {
    /// Elements in the ring. May be stale by the time it is used; never more than the capacity.
    fn len(&self) -> usize {
        // Acquire on both: a caller that acts on the answer sees what led to it. Tail first: it never runs
        // past a head that is loaded later, so the difference does not wrap.
        let tail = self.tail.0.load(Ordering::Acquire);
        let head = self.head.0.load(Ordering::Acquire);
        head.wrapping_sub(tail).min(self.slots.capacity())
    }
}

impl<T: Copy + Default> Producer<T> {
    /// Puts one element in. `false` if the ring is full.
    #[inline]
    pub fn push(&mut self, value: T) -> bool {
        if self.room(1) == 0 {
            return false;
        }
        // SAFETY: `room` says that this slot was consumed (P3), and only this side writes.
        unsafe { self.ring.slots.put(self.head, value) };
        self.publish(1);
        true
    }

    /// Puts in as much of `data` as there is room for, and returns how many elements.
    #[inline]
    pub fn push_slice(&mut self, data: &[T]) -> usize {
        let count = self.room(data.len()).min(data.len());
        // SAFETY: `room` says that these slots were consumed (P3), and only this side writes.
        unsafe { self.ring.slots.write(self.head, &data[..count]) };
        self.publish(count);
        count
    }

    /// Lets `fill` write into the free slots in place, at most `most` of them, and publishes as many as it
    /// says. The slots come as two runs, since a ring wraps; the second may be empty.
    ///
    /// # Panics
    ///
    /// If `fill` says that it wrote more than it was given.
    #[cfg(not(loom))]
    pub fn fill_with(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [T], &mut [T]) -> usize,
    ) -> usize {
        let count = self.room(most).min(most);
        // SAFETY: as in `push_slice`; the slices end before `publish`.
        let (first, second) = unsafe { self.ring.slots.slices_mut(self.head, count) };
        let filled = fill(first, second);
        assert!(filled <= count, "filled {filled} slots of {count}");
        self.publish(filled);
        filled
    }

    /// P2: makes `count` written slots visible to the consumer.
    #[inline]
    fn publish(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.head = self.head.wrapping_add(count);
        self.ring.head.0.store(self.head, Ordering::Release);
    }

    /// Free slots: at least `wanted` if there are that many, without asking the other side if it can.
    #[inline]
    fn room(&mut self, wanted: usize) -> usize {
        let capacity = self.ring.slots.capacity();
        let known = capacity - self.head.wrapping_sub(self.tail_seen);
        if known >= wanted {
            return known;
        }
        // P3.
        self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
        capacity - self.head.wrapping_sub(self.tail_seen)
    }

    /// Free slots.
    pub fn free(&self) -> usize {
        self.ring.slots.capacity() - self.len()
    }
}

impl<T: Copy + Default> Consumer<T> {
    /// Takes one element out.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.available(1) == 0 {
            return None;
        }
        // SAFETY: `available` says that this slot was published (C1), and the producer does not touch it
        // before it is released.
        let value = unsafe { self.ring.slots.get(self.tail) };
        self.release(1);
        Some(value)
    }

    /// Takes out as much as there is and `buf` holds, and returns how many elements.
    #[inline]
    pub fn pop_slice(&mut self, buf: &mut [T]) -> usize {
        let count = self.available(buf.len()).min(buf.len());
        // SAFETY: `available` says that these slots were published (C1), and the producer does not touch
        // them before they are released.
        unsafe { self.ring.slots.read(self.tail, &mut buf[..count]) };
        self.release(count);
        count
    }

    /// Lets `drain` read the filled slots in place, at most `most` of them, and takes out as many as it says.
    /// The slots come as two runs, since a ring wraps; the second may be empty.
    ///
    /// # Panics
    ///
    /// If `drain` says that it took more than it was given.
    #[cfg(not(loom))]
    pub fn drain_with(&mut self, most: usize, drain: impl FnOnce(&[T], &[T]) -> usize) -> usize {
        let count = self.available(most).min(most);
        // SAFETY: as in `pop_slice`; the slices end before `release`.
        let (first, second) = unsafe { self.ring.slots.slices(self.tail, count) };
        let drained = drain(first, second);
        assert!(drained <= count, "drained {drained} slots of {count}");
        self.release(drained);
        drained
    }

    /// C3: gives `count` read slots back to the producer.
    #[inline]
    fn release(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.tail = self.tail.wrapping_add(count);
        self.ring.tail.0.store(self.tail, Ordering::Release);
    }

    /// Filled slots: at least `wanted` if there are that many, without asking the other side if it can.
    #[inline]
    fn available(&mut self, wanted: usize) -> usize {
        let known = self.head_seen.wrapping_sub(self.tail);
        if known >= wanted {
            return known;
        }
        // C1.
        self.head_seen = self.ring.head.0.load(Ordering::Acquire);
        self.head_seen.wrapping_sub(self.tail)
    }
}

macro_rules! common {
    ($($side:ident)*) => {$(
        impl<T> $side<T> {
            /// Elements in the ring.
            pub fn len(&self) -> usize {
                self.ring.len()
            }

            /// Whether nothing is in the ring.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether no room is left in the ring.
            pub fn is_full(&self) -> bool {
                self.len() == self.capacity()
            }

            /// How many elements the ring holds, a power of two.
            pub fn capacity(&self) -> usize {
                self.ring.slots.capacity()
            }

            /// A view of the ring's fill that may go anywhere.
            pub fn gauge(&self) -> Gauge<T> {
                Gauge { ring: Arc::clone(&self.ring) }
            }
        }

        impl<T> fmt::Debug for $side<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($side))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .finish_non_exhaustive()
            }
        }
    )*};
}

common!(Producer Consumer Gauge);

impl<T> Clone for Gauge<T> {
    fn clone(&self) -> Self {
        Self { ring: Arc::clone(&self.ring) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;

    /// As below, one element at a time.
    #[test]
    fn loom_single_elements_arrive_once_and_in_order() {
        loom::model(|| {
            let (mut producer, mut consumer) = channel::<u8>(1);
            let thread = loom::thread::spawn(move || {
                (1..=2).filter(|value| producer.push(*value)).collect::<Vec<u8>>()
            });
            let mut seen: Vec<u8> = (0..2).filter_map(|_| consumer.pop()).collect();
            let sent = thread.join().unwrap();
            seen.extend(std::iter::from_fn(|| consumer.pop()));
            assert_eq!(seen, sent);
        });
    }

    /// One side pushes, the other pops, over a ring of two: whole, in order, once.
    #[test]
    fn loom_elements_arrive_once_and_in_order() {
        loom::model(|| {
            let (mut producer, mut consumer) = channel::<u8>(2);
            let thread = loom::thread::spawn(move || {
                let mut sent = producer.push_slice(&[1, 2]);
                sent += producer.push_slice(&[3, 4][..1]);
                sent
            });
            let mut seen = Vec::new();
            for _ in 0..2 {
                let mut buf = [0; 2];
                let count = consumer.pop_slice(&mut buf);
                seen.extend_from_slice(&buf[..count]);
            }
            let sent = thread.join().unwrap();
            while let Some(value) = consumer.pop() {
                seen.push(value);
            }
            assert_eq!(seen, [1, 2, 3][..sent]);
        });
    }
}
