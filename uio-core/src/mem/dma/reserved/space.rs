//! [`Space`]: which parts of a memory are free. Plain values, kept outside of the memory itself.

use std::collections::BTreeMap;

/// The free pieces of a memory, in order and not touching each other.
pub(super) struct Space {
    /// Bus address of offset 0: alignment is the device's.
    base: u64,
    /// Offset and length of each.
    free: BTreeMap<usize, usize>,
}

impl Space {
    /// All of `len` bytes are free.
    pub(super) fn new(base: u64, len: usize) -> Self {
        Self { base, free: BTreeMap::from([(0, len)]) }
    }

    /// The offset of `len` bytes whose address is a multiple of `align`, a power of two: the first that are free.
    pub(super) fn take(&mut self, len: usize, align: usize) -> Option<usize> {
        let found = self.free.iter().find_map(|(&start, &size)| {
            let at = self.aligned(start, align)?;
            let end = at.checked_add(len)?;
            (end <= start + size).then_some((start, size, at))
        });
        let (start, size, at) = found?;
        self.free.remove(&start);
        self.insert(start, at - start);
        self.insert(at + len, start + size - (at + len));
        Some(at)
    }

    /// Takes back what `take` gave.
    pub(super) fn give(&mut self, offset: usize, len: usize) {
        let (mut start, mut end) = (offset, offset + len);
        if let Some((&before, &size)) = self.free.range(..offset).next_back() {
            debug_assert!(before + size <= offset, "a piece is given back twice");
            if before + size == offset {
                self.free.remove(&before);
                start = before;
            }
        }
        if let Some(size) = self.free.remove(&end) {
            end += size;
        }
        self.insert(start, end - start);
    }

    /// Bytes that are free.
    pub(super) fn free(&self) -> usize {
        self.free.values().sum()
    }

    /// Bytes of the largest free piece.
    pub(super) fn largest(&self) -> usize {
        self.free.values().copied().max().unwrap_or(0)
    }

    fn insert(&mut self, offset: usize, len: usize) {
        if len != 0 {
            self.free.insert(offset, len);
        }
    }

    /// The first offset from `start` on whose address is a multiple of `align`.
    fn aligned(&self, start: usize, align: usize) -> Option<usize> {
        // CAST: a usize has at most 64 bits on Linux.
        let address = self.base.checked_add(start as u64)?;
        let up = address.checked_next_multiple_of(align as u64)? - address;
        start.checked_add(usize::try_from(up).ok()?)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_inside_aligned_and_apart_and_come_back_whole(
            base in 0_u64..1 << 40,
            len in 1_usize..1 << 20,
            wants in prop::collection::vec((1_usize..1 << 14, 0_u32..14, any::<bool>()), 1..60),
        ) {
            let mut space = Space::new(base, len);
            let mut taken: Vec<(usize, usize)> = Vec::new();
            for (size, order, frees) in wants {
                let align = 1 << order;
                if frees && let Some((offset, size)) = taken.pop() {
                    space.give(offset, size);
                }
                let Some(offset) = space.take(size, align) else { continue };
                prop_assert!(offset + size <= len);
                prop_assert_eq!((base + offset as u64) % align as u64, 0);
                let apart = |&(other, far): &(usize, usize)| other + far <= offset || offset + size <= other;
                prop_assert!(taken.iter().all(apart));
                taken.push((offset, size));
                prop_assert_eq!(space.free() + taken.iter().map(|piece| piece.1).sum::<usize>(), len);
            }
            taken.iter().for_each(|&(offset, size)| space.give(offset, size));
            prop_assert_eq!(space.take(len, 1), Some(0), "all of it, in one piece");
            prop_assert_eq!(space.largest(), 0);
        }
    }

    #[test]
    fn alignment_is_that_of_the_address_and_not_of_the_offset() {
        let mut space = Space::new(0x3000_0040, 0x1000);
        assert_eq!(space.take(0x100, 0x100), Some(0xC0));
        assert_eq!(space.take(0x40, 0x40), Some(0), "what is in front of it is free");
    }

    #[test]
    fn numbers_that_overflow_find_nothing() {
        let mut space = Space::new(u64::MAX - 0xFFF, 0x1000);
        assert_eq!(space.take(1, 1 << 63), None);
        assert_eq!(space.take(usize::MAX, 1), None);
        assert_eq!(space.take(0x1000, 1), Some(0));
    }
}
