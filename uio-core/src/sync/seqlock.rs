//! [`SeqLock`]: small data that is read often, by readers that never make a writer wait.
//!
//! # Vocabulary
//!
//! - **sequence**: a count that is odd while a writer is at work.
//! - **retry**: a reader copies the data and keeps the copy only if the sequence was even and has not moved.
//!
//! ```text
//!   writer (one at a time)                    reader
//!   P1  sequence = odd                        C1  load sequence (acquire); odd: try again
//!   P2  fence(release)                        C2  load the words
//!   P3  store the words                       C3  fence(acquire)
//!   P4  sequence = even (release)             C4  load sequence; another than at C1: try again
//! ```
//!
//! # Why a reader never sees half of a write
//!
//! If C2 reads a word that a later P3 stored, the fences P2 and C3 order P1 before C4, which so sees the
//! sequence move. If C1 saw the even sequence of P4, C2 sees all of P3. The words are atomics, accessed relaxed:
//! a plain copy that races with a writer is undefined in Rust, even if its result is thrown away. That is why
//! the data must be plain bytes without padding ([`Plain`]), which the derives of `zerocopy` check:
//!
//! ```
//! use uio_core::sync::SeqLock;
//! use zerocopy::{FromBytes, Immutable, IntoBytes};
//!
//! #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable)]
//! #[repr(C)]
//! struct Position { x: u32, y: u32 }
//!
//! let position = SeqLock::new(Position { x: 1, y: 1 });
//! position.write(Position { x: 2, y: 2 });
//! assert_eq!(position.read(), Position { x: 2, y: 2 });
//! ```
//!
//! Writers take a [`SpinLock`]. If a top half reads or writes, the others write with `write_irqsave` or
//! `update_irqsave`, and with the `_bh` forms if a bottom half does; the [checker](super::lockdep) watches over
//! it. Readers take nothing; one that finds a writer at work spins for a moment, and then yields, since the
//! writer may have been preempted.
//!
//! Mirrors `include/linux/seqlock.h` (`Documentation/locking/seqlock.rst`).

use std::fmt;
use std::marker::PhantomData;

pub use crate::mem::Plain;

use super::facade::atomic::{AtomicU64, Ordering, fence};
use super::facade::thread;
use super::spin::{SpinLock, SpinLockGuard};

/// Bytes that go into one word.
const WORD: usize = size_of::<u64>();
/// How often a reader looks again before it yields.
#[cfg(not(loom))]
const SPINS: u32 = 100;
#[cfg(loom)]
const SPINS: u32 = 0;

/// Data that is copied out whole, without a lock. See the [module](self).
#[doc(alias("seqlock_t", "seqlock_init", "DEFINE_SEQLOCK"))]
pub struct SeqLock<T> {
    sequence: AtomicU64,
    words: Box<[AtomicU64]>,
    writers: SpinLock<()>,
    data: PhantomData<T>,
}

impl<T: Plain> SeqLock<T> {
    /// A seqlock around `data`.
    #[track_caller]
    pub fn new(data: T) -> Self {
        Self {
            sequence: AtomicU64::new(0),
            words: words_of(&data).map(AtomicU64::new).collect(),
            writers: SpinLock::new(()),
            data: PhantomData,
        }
    }

    /// A copy of the data, of one moment. Takes no lock and keeps no writer waiting.
    #[track_caller]
    #[doc(alias("read_seqbegin", "read_seqretry"))]
    pub fn read(&self) -> T {
        self.writers.key().awaited();
        let mut spins = 0;
        loop {
            if let Some(data) = self.try_read() {
                return data;
            }
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }

    /// One attempt at a copy; none if a writer was at work.
    pub fn try_read(&self) -> Option<T> {
        // C1: pairs with P4.
        let before = self.sequence.load(Ordering::Acquire);
        if before & 1 != 0 {
            return None;
        }
        let data = self.copy();
        // C3: pairs with P2.
        fence(Ordering::Acquire);
        // C4
        (self.sequence.load(Ordering::Relaxed) == before).then_some(data)
    }

    /// A copy of the data under the writers' lock: for one who must not have to try again.
    #[track_caller]
    #[doc(alias = "read_seqlock_excl")]
    pub fn read_locked(&self) -> T {
        let _alone = self.writers.lock();
        self.copy()
    }

    /// Puts `data` in the place of what is there. Writers go one at a time.
    #[track_caller]
    #[doc(alias("write_seqlock", "write_sequnlock"))]
    pub fn write(&self, data: T) {
        let alone = self.writers.lock();
        self.publish(&alone, &data);
    }

    /// Changes the data by `change`, which sees what is there. Other writers wait meanwhile; readers do not.
    #[track_caller]
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        let alone = self.writers.lock();
        let mut data = self.copy();
        change(&mut data);
        self.publish(&alone, &data);
    }

    fn publish(&self, _alone: &SpinLockGuard<'_, ()>, data: &T) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        // P1
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // P2: pairs with C3.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(words_of(data)) {
            word.store(value, Ordering::Relaxed);
        }
        // P4: pairs with C1.
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// The words as they are now: perhaps of two writes.
    fn copy(&self) -> T {
        let mut data = T::new_zeroed();
        for (bytes, word) in data.as_mut_bytes().chunks_mut(WORD).zip(&self.words) {
            let value = word.load(Ordering::Relaxed).to_ne_bytes();
            bytes.copy_from_slice(&value[..bytes.len()]);
        }
        data
    }
}

/// The bytes of `data`, a word at a time; the last one filled up with zeros.
fn words_of<T: Plain>(data: &T) -> impl Iterator<Item = u64> {
    data.as_bytes().chunks(WORD).map(|bytes| {
        let mut word = [0; WORD];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_ne_bytes(word)
    })
}

impl<T: Plain + fmt::Debug> fmt::Debug for SeqLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SeqLock").field(&self.read()).finish()
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::super::facade::Arc;
    use super::*;

    /// A reader beside a writer: what it gets is one of the two values, whole.
    #[test]
    fn loom_a_reader_never_sees_half_of_a_write() {
        loom::model(|| {
            let lock = Arc::new(SeqLock::new([0_u64; 2]));
            let writer = {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    lock.write([1; 2]);
                    lock.write([2; 2]);
                })
            };
            if let Some([first, second]) = lock.try_read() {
                assert_eq!(first, second);
            }
            writer.join().unwrap();
            assert_eq!(lock.read(), [2; 2]);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
