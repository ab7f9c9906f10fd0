//! Capabilities behind an answer: a list linked by offsets from the answer's start, each with a header and a body.
//!
//! What the kernel writes is believed, but never followed out of the bytes, nor in a circle.

use std::mem::offset_of;
use std::ops::RangeInclusive;

use vfio_bindings::bindings::vfio::{
    vfio_info_cap_header, vfio_iommu_type1_info_cap_iova_range, vfio_iommu_type1_info_dma_avail,
    vfio_iova_range, vfio_region_info_cap_sparse_mmap, vfio_region_sparse_mmap_area,
};

use super::ask::{u32_at, u64_at};
use super::region::Area;

const HEADER: usize = size_of::<vfio_info_cap_header>();

/// One capability: its number, and its bytes from its header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capability<'a> {
    pub(super) id: u32,
    bytes: &'a [u8],
}

/// Walks the chain that begins at `first`; 0 means that there is none.
pub(super) fn chain(answer: &[u8], first: u32) -> impl Iterator<Item = Capability<'_>> {
    let mut next = first;
    // More capabilities than there is room for are a circle.
    (0..answer.len() / HEADER).map_while(move |_| {
        if next == 0 {
            return None;
        }
        // CAST: a u32 fits.
        let bytes = answer.get(next as usize..)?;
        next = u32_at(bytes, offset_of!(vfio_info_cap_header, next))?;
        let [a, b, ..] = u32_at(bytes, offset_of!(vfio_info_cap_header, id))?.to_ne_bytes();
        Some(Capability { id: u16::from_ne_bytes([a, b]).into(), bytes })
    })
}

impl Capability<'_> {
    /// The body of a list: a count, and pairs of 64 bits. What is not there is left out.
    fn pairs(&self, count: usize, list: usize, step: usize) -> Vec<(u64, u64)> {
        let count = u32_at(self.bytes, count).unwrap_or(0) as usize;
        let at = |index: usize| list.checked_add(index.checked_mul(step)?);
        let pair = |at: usize| Some((u64_at(self.bytes, at)?, u64_at(self.bytes, at + 8)?));
        (0..count).map_while(|index| pair(at(index)?)).collect()
    }

    /// The parts of a region that can be mapped: `vfio_region_info_cap_sparse_mmap`.
    pub(super) fn sparse_areas(&self) -> Vec<Area> {
        let pairs = self.pairs(
            offset_of!(vfio_region_info_cap_sparse_mmap, nr_areas),
            offset_of!(vfio_region_info_cap_sparse_mmap, areas),
            size_of::<vfio_region_sparse_mmap_area>(),
        );
        pairs.into_iter().map(|(offset, size)| Area { offset, size }).collect()
    }

    /// The addresses that the IOMMU translates, inclusive: `vfio_iommu_type1_info_cap_iova_range`.
    pub(super) fn iova_ranges(&self) -> Vec<RangeInclusive<u64>> {
        let pairs = self.pairs(
            offset_of!(vfio_iommu_type1_info_cap_iova_range, nr_iovas),
            offset_of!(vfio_iommu_type1_info_cap_iova_range, iova_ranges),
            size_of::<vfio_iova_range>(),
        );
        pairs
            .into_iter()
            .filter(|(start, end)| start <= end)
            .map(|(start, end)| start..=end)
            .collect()
    }

    /// How many more mappings the container takes: `vfio_iommu_type1_info_dma_avail`.
    pub(super) fn dma_avail(&self) -> Option<u32> {
        u32_at(self.bytes, offset_of!(vfio_iommu_type1_info_dma_avail, avail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capability at the end of `answer`, linked from the one before by `next`.
    fn push(answer: &mut Vec<u8>, id: u16, next: u32, body: &[u8]) -> u32 {
        let at = u32::try_from(answer.len()).unwrap();
        answer.extend(id.to_ne_bytes());
        answer.extend(1_u16.to_ne_bytes());
        answer.extend(next.to_ne_bytes());
        answer.extend(body);
        at
    }

    fn words(values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    fn ids(answer: &[u8], first: u32) -> Vec<u32> {
        chain(answer, first).map(|capability| capability.id).collect()
    }

    #[test]
    fn a_chain_is_walked_by_its_offsets() {
        let mut answer = vec![0; 32];
        let last = push(&mut answer, 3, 0, &[]);
        let first = push(&mut answer, 1, last, &words(&[2, 0x1000, 0x2000, 0x8000, 0x1000]));
        assert_eq!(ids(&answer, first), [1, 3]);
        let sparse = chain(&answer, first).next().unwrap().sparse_areas();
        assert_eq!(
            sparse,
            [Area { offset: 0x1000, size: 0x2000 }, Area { offset: 0x8000, size: 0x1000 }]
        );
        assert_eq!(ids(&answer, 0), []);
    }

    #[test]
    fn iova_ranges_are_inclusive_and_a_range_that_is_none_is_left_out() {
        let mut answer = vec![0; 24];
        let body = words(&[3, 0, 0xFEDF_FFFF, 9, 8, 0xFEF0_0000, u64::MAX]);
        let first = push(&mut answer, 1, 0, &body);
        let ranges = chain(&answer, first).next().unwrap().iova_ranges();
        assert_eq!(ranges, [0..=0xFEDF_FFFF, 0xFEF0_0000..=u64::MAX]);
    }

    #[test]
    fn the_mappings_that_are_left_are_a_number() {
        let mut answer = vec![0; 24];
        let first = push(&mut answer, 3, 0, &65_535_u32.to_ne_bytes());
        assert_eq!(chain(&answer, first).next().unwrap().dma_avail(), Some(65_535));
    }

    #[test]
    fn a_chain_in_a_circle_ends() {
        let mut answer = vec![0; 32];
        let first = push(&mut answer, 1, 32, &[]);
        assert!(chain(&answer, first).count() <= answer.len() / HEADER);
    }

    #[test]
    fn a_chain_that_leaves_the_answer_ends() {
        let mut answer = vec![0; 32];
        let first = push(&mut answer, 1, 0xFFFF_FFFC, &[]);
        assert_eq!(ids(&answer, first), [1]);
        assert_eq!(ids(&answer, 36), [], "half a header is none");
        assert_eq!(ids(&answer, u32::MAX), []);
        assert_eq!(ids(&[], 8), []);
    }

    #[test]
    fn a_list_that_is_shorter_than_it_says_ends_with_its_last_whole_entry() {
        let mut answer = vec![0; 32];
        let first = push(&mut answer, 1, 0, &words(&[u64::from(u32::MAX), 1, 2, 3]));
        let capability = chain(&answer, first).next().unwrap();
        assert_eq!(capability.sparse_areas(), [Area { offset: 1, size: 2 }]);
        assert_eq!(capability.iova_ranges(), [1..=2]);
        let bare = push(&mut answer, 3, 0, &[]);
        let capability = chain(&answer, bare).next().unwrap();
        assert_eq!((capability.dma_avail(), capability.sparse_areas()), (None, vec![]));
    }
}
