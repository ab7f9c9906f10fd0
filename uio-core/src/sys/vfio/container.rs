//! [`Container`]: an address space of the IOMMU.

use std::mem::offset_of;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use vfio_bindings::bindings::vfio::{
    VFIO_API_VERSION, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_IOMMU_INFO_PGSIZES,
    VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, VFIO_TYPE1v2_IOMMU,
    vfio_iommu_type1_dma_map, vfio_iommu_type1_dma_unmap, vfio_iommu_type1_info,
};
use zerocopy::IntoBytes;

use super::ask::{ask, u32_at, u64_at};
use super::caps::chain;
use super::numbers;

/// An open container.
#[derive(Debug)]
pub(crate) struct Container(OwnedFd);

/// Memory that a device may read and write.
///
/// # Safety
///
/// `address` and `len` tell memory that belongs to the implementor as long as it lives, and to which no Rust
/// reference leads while the device may reach it: it changes under the program.
pub(crate) unsafe trait DmaMemory {
    /// Where it begins.
    fn address(&self) -> NonNull<u8>;

    /// Size in bytes.
    fn len(&self) -> usize;
}

/// What the IOMMU can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct IommuInfo {
    /// A bit for each size of page, its value the size; 0 if unknown.
    pub(crate) page_sizes: u64,
    /// The addresses that it translates, inclusive, if it says.
    pub(crate) ranges: Option<Vec<RangeInclusive<u64>>>,
    /// How many more mappings it takes, if it says.
    pub(crate) dma_avail: Option<u32>,
}

impl IommuInfo {
    fn parse(answer: &[u8]) -> Option<Self> {
        let flags = u32_at(answer, offset_of!(vfio_iommu_type1_info, flags))?;
        let sizes = u64_at(answer, offset_of!(vfio_iommu_type1_info, iova_pgsizes))?;
        let first = u32_at(answer, offset_of!(vfio_iommu_type1_info, cap_offset)).unwrap_or(0);
        let known = flags & VFIO_IOMMU_INFO_PGSIZES != 0;
        let mut info = Self { page_sizes: if known { sizes } else { 0 }, ..Self::default() };
        for capability in chain(answer, first) {
            match capability.id {
                VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE => {
                    info.ranges = Some(capability.iova_ranges());
                }
                VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL => info.dma_avail = capability.dma_avail(),
                _ => {}
            }
        }
        Some(info)
    }
}

impl Container {
    /// The container behind a descriptor.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Whether the kernel speaks the version that is spoken here.
    pub(super) fn is_known_version(&self) -> Result<bool, Errno> {
        // SAFETY: it takes nothing.
        let version = unsafe { numbers::get_api_version(self.0.as_raw_fd()) }?;
        Ok(u32::try_from(version) == Ok(VFIO_API_VERSION))
    }

    /// Whether there is an IOMMU of type 1 version 2: mappings are undone as they were made.
    pub(super) fn has_type1v2(&self) -> Result<bool, Errno> {
        // SAFETY: it takes a number. CAST: a small constant.
        let has =
            unsafe { numbers::check_extension(self.0.as_raw_fd(), VFIO_TYPE1v2_IOMMU as i32) }?;
        Ok(has != 0)
    }

    /// Sets the type of the IOMMU; a group must be in the container.
    pub(super) fn set_type1v2(&self) -> Result<(), Errno> {
        // SAFETY: it takes a number. CAST: a small constant.
        unsafe { numbers::set_iommu(self.0.as_raw_fd(), VFIO_TYPE1v2_IOMMU as i32) }.map(drop)
    }

    /// What the IOMMU can do just now.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn info(&self) -> Result<IommuInfo, Errno> {
        let words = ask(size_of::<vfio_iommu_type1_info>(), 0, |words| {
            // SAFETY: `ask` gives live memory, as long as its first word says.
            unsafe { numbers::iommu_get_info(self.0.as_raw_fd(), words) }
        })?;
        IommuInfo::parse(words.as_bytes()).ok_or(Errno::EINVAL)
    }

    /// Lets devices of the container reach all of `memory` from `iova` on; its pages are pinned.
    ///
    /// # Errors
    ///
    /// `ENOMEM` over `RLIMIT_MEMLOCK`, `ENOSPC` with too many mappings, `EEXIST` where something is mapped,
    /// `EINVAL` outside the ranges or unaligned; what the kernel says.
    pub(crate) fn map(
        &self,
        iova: u64,
        memory: &dyn DmaMemory,
        device_reads: bool,
        device_writes: bool,
    ) -> Result<(), Errno> {
        let mut flags = if device_reads { VFIO_DMA_MAP_FLAG_READ } else { 0 };
        flags |= if device_writes { VFIO_DMA_MAP_FLAG_WRITE } else { 0 };
        let map = vfio_iommu_type1_dma_map {
            argsz: size_of::<vfio_iommu_type1_dma_map>() as u32, // CAST: a small constant.
            flags,
            vaddr: memory.address().as_ptr().addr() as u64,
            iova,
            size: memory.len() as u64,
        };
        // SAFETY: `map` is a live structure of the size that it says; the memory is the implementor's, which
        // promised that no reference leads there, and the kernel keeps its pages as long as they are mapped.
        unsafe { numbers::iommu_map_dma(self.0.as_raw_fd(), &raw const map) }.map(drop)
    }

    /// Takes away what is mapped in `len` bytes from `iova` on, and tells how many bytes that was.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a mapping would be cut; what the kernel says.
    pub(crate) fn unmap(&self, iova: u64, len: u64) -> Result<u64, Errno> {
        let mut unmap = vfio_iommu_type1_dma_unmap {
            argsz: size_of::<vfio_iommu_type1_dma_unmap>() as u32, // CAST: a small constant.
            iova,
            size: len,
            ..vfio_iommu_type1_dma_unmap::default()
        };
        // SAFETY: `unmap` is a live structure of the size that it says.
        unsafe { numbers::iommu_unmap_dma(self.0.as_raw_fd(), &raw mut unmap) }?;
        Ok(unmap.size)
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Container {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn an_old_kernel_says_page_sizes_and_nothing_else() {
        // 16 bytes, as before there were capabilities.
        let info = IommuInfo::parse(&bytes(&[16, 1, 0xFFFF_F000, 0])).unwrap();
        assert_eq!(info, IommuInfo { page_sizes: 0xFFFF_F000, ranges: None, dma_avail: None });
    }

    #[test]
    fn ranges_and_the_number_of_mappings_come_in_any_order() {
        let head = [0, 3, 0x4020_1000, 0, 24, 0];
        let avail = [1 << 16 | 3, 24 + 12, 65_535];
        let ranges = [1 << 16 | 1, 0, 1, 0, 0x1000, 0, 0xFFFF, 0];
        let all: Vec<u32> = head.into_iter().chain(avail).chain(ranges).collect();
        let info = IommuInfo::parse(&bytes(&all)).unwrap();
        assert_eq!(info.dma_avail, Some(65_535));
        assert_eq!(info.ranges, Some(vec![0x1000..=0xFFFF]));
    }

    #[test]
    fn an_answer_that_is_too_short_is_none() {
        assert_eq!(IommuInfo::parse(&bytes(&[16, 1, 0])), None);
    }
}
