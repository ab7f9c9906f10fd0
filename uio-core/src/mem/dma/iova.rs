//! [`Allocator`]: which addresses of a domain are taken. Pure: it maps nothing, and keeps its books outside of
//! what it gives out.
//!
//! # Vocabulary
//!
//! - **window**: addresses that the kernel lets us use, and the device can put on the bus. Between windows are
//!   holes: the one where writes become interrupts (MSI), and what the platform keeps.
//! - **guard**: the granule before and after every mapping, where nothing is ever mapped.
//! - **gap**: the addresses between two neighbours in a window, each of them a mapping or the window's end.
//!
//! ```text
//!   window  |  gap  ####  gap  ########  gap  |     a mapping, ####, always has a gap on both sides,
//!            ▲                               ▲      of a guard at least
//!          first                           last     (inclusive, so that the last can be 2^64 - 1)
//! ```
//!
//! # Rules
//!
//! - A mapping lies inside a window, at a multiple of the alignment asked for, and of the granule.
//! - A device that overruns a buffer meets a guard, where the IOMMU stops it: not the next buffer, and not a hole
//!   either, where a stray write would be an interrupt. So the ends of a window have their guards too.
//! - IOVA 0 is never given out: it is what an address register holds that nobody has written, and what devices
//!   and drivers take for "none". It is in the guard of any window that begins there.
//! - A window is cut at 4 GiB, and the part below is used first: a device can do with one address word, and what
//!   it carries does not cross 4 GiB, where many a device's counter wraps (the kernel's default segment boundary).
//! - Nothing wraps at the top of the addresses.
//!
//! # Which gap
//!
//! The smallest that is large enough, and in it the highest place: best fit, so that the large gaps stay whole.
//! The high place leaves the low addresses unmapped, where a device gets to that adds to a register never
//! written. Gaps join their neighbours when a mapping is freed, at once: when all is freed, each window is one
//! gap again. Alignment costs: two mappings of 2 MiB, aligned to as much, are 4 MiB apart; the gap between is
//! there for smaller ones. An allocation looks at as many gaps as are large enough but have no aligned place, in
//! practice one or two; apart from that, all is logarithmic in the number of mappings.
//!
//! Mirrors `drivers/iommu/iova.c`, which also goes from the top, below 4 GiB first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::{Iova, Mask};

/// Where windows are cut.
const FOUR_GIB: u64 = 1 << 32;

/// A gap: from its first address to its last.
type Gap = (u64, u64);

/// What a gap is sorted by: below 4 GiB first, then the smallest, of these the highest.
type Rank = (bool, u64, Reverse<u64>);

/// The addresses that are free and those that are taken. See the [module](self).
#[derive(Debug, Clone)]
#[doc(alias = "iova_domain")]
pub struct Allocator {
    granule: u64,
    windows: Vec<Gap>,
    /// First address and last of every gap.
    gaps: BTreeMap<u64, u64>,
    ranks: BTreeSet<Rank>,
    /// First address and last of every mapping.
    taken: BTreeMap<u64, u64>,
}

impl Allocator {
    /// An allocator of what is in `ranges`, which are inclusive, and below `mask`. A granule is the smallest page
    /// of the IOMMU.
    ///
    /// # Panics
    ///
    /// If the granule is not a power of two.
    #[must_use]
    pub fn new(ranges: &[RangeInclusive<u64>], mask: Mask, granule: u64) -> Self {
        assert!(granule.is_power_of_two(), "a granule is a power of two, not {granule:#x}");
        let windows = windows(ranges, mask, granule);
        let mut new = Self {
            granule,
            windows: windows.clone(),
            gaps: BTreeMap::new(),
            ranks: BTreeSet::new(),
            taken: BTreeMap::new(),
        };
        windows.into_iter().for_each(|window| new.insert_gap(window));
        new
    }

    /// Takes `len` bytes at a multiple of `align`; both are rounded up to granules.
    ///
    /// `None` if there is no place for them, or `len` is 0.
    ///
    /// # Panics
    ///
    /// If `align` is not a power of two.
    #[doc(alias = "alloc_iova")]
    pub fn alloc(&mut self, len: u64, align: u64) -> Option<Iova> {
        assert!(align.is_power_of_two(), "an alignment is a power of two, not {align:#x}");
        let len = len.checked_next_multiple_of(self.granule).filter(|&len| len != 0)?;
        let align = align.max(self.granule);
        let (gap, start) = self.find(len, align)?;
        let last = start + (len - 1);
        self.remove_gap(gap);
        self.insert_gap((gap.0, start - 1));
        self.insert_gap((last + 1, gap.1));
        self.taken.insert(start, last);
        Some(Iova(start))
    }

    /// Gives back what begins at `iova`: how many bytes it had, or `None` if nothing begins there.
    #[doc(alias = "free_iova")]
    pub fn free(&mut self, iova: Iova) -> Option<u64> {
        let last = self.taken.remove(&iova.0)?;
        // PANIC: a mapping has a guard on both sides, so a gap ends before it and one begins after it.
        let before = self.gaps.range(..iova.0).next_back().map(|(&first, &last)| (first, last));
        let before = before.expect("the guard before a mapping");
        let after = self.gaps.get(&(last + 1)).map(|&end| (last + 1, end));
        let after = after.expect("the guard after a mapping");
        self.remove_gap(before);
        self.remove_gap(after);
        self.insert_gap((before.0, after.1));
        Some(last - iova.0 + 1)
    }

    /// What may be used at all: the ranges below the mask, in granules, cut at 4 GiB.
    pub fn windows(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.windows.iter().map(|&(first, last)| first..=last)
    }

    /// What is taken, in order.
    pub fn taken(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.taken.iter().map(|(&first, &last)| first..=last)
    }

    /// The most bytes that one [`alloc`](Self::alloc) would get, without an alignment.
    #[must_use]
    pub fn largest(&self) -> u64 {
        let largest = self.gaps.iter().map(|(first, last)| last - first).max().unwrap_or(0);
        // One short of the size, which may be 2^64; it ends one short of a granule.
        (largest.saturating_add(1) & !(self.granule - 1)).saturating_sub(2 * self.granule)
    }

    fn find(&self, len: u64, align: u64) -> Option<(Gap, u64)> {
        let least = len.checked_add(2 * self.granule)?;
        let of = |high: bool| {
            let from = (high, least - 1, Reverse(u64::MAX));
            let to = (high, u64::MAX, Reverse(0));
            self.ranks.range(from..=to).find_map(|&(_, span, Reverse(first))| {
                let gap = (first, first + span);
                Some((gap, self.place(gap, len, align)?))
            })
        };
        of(false).or_else(|| of(true))
    }

    /// The highest place in the gap that leaves a guard on both sides.
    fn place(&self, (first, last): Gap, len: u64, align: u64) -> Option<u64> {
        let top = last.checked_sub(self.granule)?.checked_sub(len - 1)?;
        let start = top & !(align - 1);
        (start >= first.checked_add(self.granule)?).then_some(start)
    }

    fn insert_gap(&mut self, gap: Gap) {
        self.gaps.insert(gap.0, gap.1);
        self.ranks.insert(rank(gap));
    }

    fn remove_gap(&mut self, gap: Gap) {
        self.gaps.remove(&gap.0);
        self.ranks.remove(&rank(gap));
    }
}

fn rank((first, last): Gap) -> Rank {
    (first >= FOUR_GIB, last - first, Reverse(first))
}

/// The ranges joined where they touch, below the mask, in granules, cut at 4 GiB.
fn windows(ranges: &[RangeInclusive<u64>], mask: Mask, granule: u64) -> Vec<Gap> {
    let mut ranges: Vec<Gap> = ranges
        .iter()
        .map(|range| (*range.start(), (*range.end()).min(mask.max().0)))
        .filter(|(first, last)| first <= last)
        .collect();
    ranges.sort_unstable();
    let mut joined: Vec<Gap> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined.into_iter().flat_map(cut).filter_map(|gap| in_granules(gap, granule)).collect()
}

/// The parts below 4 GiB and above.
fn cut((first, last): Gap) -> impl Iterator<Item = Gap> {
    let below = (first, last.min(FOUR_GIB - 1));
    let above = (first.max(FOUR_GIB), last);
    [below, above].into_iter().filter(|(first, last)| first <= last)
}

/// What of it is whole granules.
fn in_granules((first, last): Gap, granule: u64) -> Option<Gap> {
    let first = first.checked_next_multiple_of(granule)?;
    // Of the last address 2^64 - 1, the end is 0: a multiple, too.
    let last = last.checked_sub(last.wrapping_add(1) % granule)?;
    (first < last).then_some((first, last))
}

#[cfg(all(test, not(loom)))]
mod tests;
