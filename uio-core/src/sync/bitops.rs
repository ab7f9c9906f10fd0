//! Atomic bit operations, on arrays of words as the kernel has them, or on a [`Bitmap`].
//!
//! # The kernel's rules of order
//!
//! | operation | order |
//! | --- | --- |
//! | [`set_bit`], [`clear_bit`], [`change_bit`], [`test_bit`], the searches | none: put a fence where one is needed |
//! | [`test_and_set_bit`], [`test_and_clear_bit`], [`test_and_change_bit`] | full: a fence before and after |
//! | [`test_and_set_bit_lock`] | acquire if it set the bit, else none |
//! | [`clear_bit_unlock`] | release |
//! | [`test_bit_acquire`] | acquire |
//!
//! Each is atomic for its bit whatever its order. A fully ordered operation is written with two fences, because
//! a `SeqCst` operation of Rust does not order the relaxed accesses around it; see
//! `loom_test_and_set_bit_is_fully_ordered`.
//!
//! Bits are counted through the array: bit 64 is the lowest of the second word. A bit beyond the array is a
//! bug of the driver, and panics; the kernel writes somewhere. A search says `None` where the kernel's
//! returns the size.
//!
//! Mirrors `include/linux/bitops.h`, `include/linux/find.h`, `Documentation/atomic_bitops.txt`.

use std::fmt;

use super::facade::atomic::{AtomicU64, Ordering, fence};

const BITS: usize = u64::BITS as usize;

fn place(words: &[AtomicU64], bit: usize) -> (&AtomicU64, u64) {
    (&words[bit / BITS], 1 << (bit % BITS))
}

/// Sets a bit. Unordered.
///
/// # Panics
///
/// As all of these, if the bit is beyond the array.
#[inline]
pub fn set_bit(words: &[AtomicU64], bit: usize) {
    let (word, mask) = place(words, bit);
    word.fetch_or(mask, Ordering::Relaxed);
}

/// Clears a bit. Unordered.
#[inline]
pub fn clear_bit(words: &[AtomicU64], bit: usize) {
    let (word, mask) = place(words, bit);
    word.fetch_and(!mask, Ordering::Relaxed);
}

/// Turns a bit over. Unordered.
#[inline]
pub fn change_bit(words: &[AtomicU64], bit: usize) {
    let (word, mask) = place(words, bit);
    word.fetch_xor(mask, Ordering::Relaxed);
}

/// Whether a bit is set. Unordered.
#[inline]
pub fn test_bit(words: &[AtomicU64], bit: usize) -> bool {
    let (word, mask) = place(words, bit);
    word.load(Ordering::Relaxed) & mask != 0
}

/// Whether a bit is set. Acquire: what was written before it was set by [`clear_bit_unlock`]'s like is seen.
#[inline]
pub fn test_bit_acquire(words: &[AtomicU64], bit: usize) -> bool {
    let (word, mask) = place(words, bit);
    word.load(Ordering::Acquire) & mask != 0
}

/// Sets a bit and says whether it was set. Fully ordered.
#[inline]
pub fn test_and_set_bit(words: &[AtomicU64], bit: usize) -> bool {
    let (word, mask) = place(words, bit);
    fully_ordered(|| word.fetch_or(mask, Ordering::Relaxed)) & mask != 0
}

/// Clears a bit and says whether it was set. Fully ordered.
#[inline]
pub fn test_and_clear_bit(words: &[AtomicU64], bit: usize) -> bool {
    let (word, mask) = place(words, bit);
    fully_ordered(|| word.fetch_and(!mask, Ordering::Relaxed)) & mask != 0
}

/// Turns a bit over and says whether it was set. Fully ordered.
#[inline]
pub fn test_and_change_bit(words: &[AtomicU64], bit: usize) -> bool {
    let (word, mask) = place(words, bit);
    fully_ordered(|| word.fetch_xor(mask, Ordering::Relaxed)) & mask != 0
}

/// Takes a bit as a lock; `true` if it was taken already. Acquire if it was not; pairs with
/// [`clear_bit_unlock`].
#[inline]
pub fn test_and_set_bit_lock(words: &[AtomicU64], bit: usize) -> bool {
    let (word, mask) = place(words, bit);
    word.fetch_or(mask, Ordering::Acquire) & mask != 0
}

/// Gives back a bit that was taken as a lock. Release; pairs with [`test_and_set_bit_lock`].
#[inline]
pub fn clear_bit_unlock(words: &[AtomicU64], bit: usize) {
    let (word, mask) = place(words, bit);
    word.fetch_and(!mask, Ordering::Release);
}

fn fully_ordered(operation: impl FnOnce() -> u64) -> u64 {
    fence(Ordering::SeqCst);
    let old = operation();
    fence(Ordering::SeqCst);
    old
}

/// The first bit that is set among the first `size`.
pub fn find_first_bit(words: &[AtomicU64], size: usize) -> Option<usize> {
    find_next_bit(words, size, 0)
}

/// The first bit from `start` on that is set among the first `size`.
pub fn find_next_bit(words: &[AtomicU64], size: usize, start: usize) -> Option<usize> {
    find(words, size, start, |word| word)
}

/// The first bit that is clear among the first `size`.
pub fn find_first_zero_bit(words: &[AtomicU64], size: usize) -> Option<usize> {
    find_next_zero_bit(words, size, 0)
}

/// The first bit from `start` on that is clear among the first `size`.
pub fn find_next_zero_bit(words: &[AtomicU64], size: usize, start: usize) -> Option<usize> {
    find(words, size, start, |word| !word)
}

/// The last bit that is set among the first `size`.
pub fn find_last_bit(words: &[AtomicU64], size: usize) -> Option<usize> {
    (0..size.div_ceil(BITS)).rev().find_map(|index| {
        let left = size - index * BITS;
        let mask = if left < BITS { (1 << left) - 1 } else { u64::MAX };
        let word = words[index].load(Ordering::Relaxed) & mask;
        word.checked_ilog2().map(|bit| index * BITS + bit as usize)
    })
}

fn find(
    words: &[AtomicU64],
    size: usize,
    start: usize,
    wanted: impl Fn(u64) -> u64,
) -> Option<usize> {
    // What lies before the start in the first word does not count.
    let mut mask = u64::MAX << (start % BITS);
    let words = &words[..size.div_ceil(BITS)];
    for (index, word) in words.iter().enumerate().skip(start / BITS) {
        let word = wanted(word.load(Ordering::Relaxed)) & mask;
        if word != 0 {
            let bit = index * BITS + word.trailing_zeros() as usize;
            return (bit < size).then_some(bit);
        }
        mask = u64::MAX;
    }
    None
}

/// So many bits, all clear at first, in an array of their own. The methods are the functions of this module.
#[doc(alias("DECLARE_BITMAP", "bitmap_zalloc"))]
pub struct Bitmap {
    words: Box<[AtomicU64]>,
    size: usize,
}

impl Bitmap {
    /// `size` bits, all clear.
    pub fn new(size: usize) -> Self {
        Self { words: (0..size.div_ceil(BITS)).map(|_| AtomicU64::new(0)).collect(), size }
    }

    /// How many bits it has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The words beneath.
    pub fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    /// See [`set_bit`].
    pub fn set(&self, bit: usize) {
        set_bit(&self.words, self.checked(bit));
    }

    /// See [`clear_bit`].
    pub fn clear(&self, bit: usize) {
        clear_bit(&self.words, self.checked(bit));
    }

    /// See [`change_bit`].
    pub fn change(&self, bit: usize) {
        change_bit(&self.words, self.checked(bit));
    }

    /// See [`test_bit`].
    pub fn test(&self, bit: usize) -> bool {
        test_bit(&self.words, self.checked(bit))
    }

    /// See [`test_and_set_bit`].
    pub fn test_and_set(&self, bit: usize) -> bool {
        test_and_set_bit(&self.words, self.checked(bit))
    }

    /// See [`test_and_clear_bit`].
    pub fn test_and_clear(&self, bit: usize) -> bool {
        test_and_clear_bit(&self.words, self.checked(bit))
    }

    /// See [`test_and_change_bit`].
    pub fn test_and_change(&self, bit: usize) -> bool {
        test_and_change_bit(&self.words, self.checked(bit))
    }

    /// See [`find_next_bit`].
    pub fn find_next(&self, start: usize) -> Option<usize> {
        find_next_bit(&self.words, self.size, start)
    }

    /// See [`find_next_zero_bit`].
    pub fn find_next_zero(&self, start: usize) -> Option<usize> {
        find_next_zero_bit(&self.words, self.size, start)
    }

    /// The bits that are set, from the lowest on; each looked at once, when its turn comes.
    #[doc(alias = "for_each_set_bit")]
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        std::iter::successors(self.find_next(0), |bit| self.find_next(bit + 1))
    }

    /// How many bits are set.
    #[doc(alias = "bitmap_weight")]
    pub fn weight(&self) -> usize {
        self.words.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    /// Takes the lowest bit that is clear; none if all are set. Fully ordered.
    pub fn take_first_zero(&self) -> Option<usize> {
        let mut from = 0;
        while let Some(bit) = self.find_next_zero(from) {
            if !self.test_and_set(bit) {
                return Some(bit);
            }
            // Somebody else took it: the next one up.
            from = bit + 1;
        }
        None
    }

    fn checked(&self, bit: usize) -> usize {
        assert!(bit < self.size, "bit {bit} of a bitmap of {}", self.size);
        bit
    }
}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
