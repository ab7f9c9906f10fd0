//! [`RegionInfo`]: what one region of a device is, and which parts of it can be mapped.

use std::mem::offset_of;

use vfio_bindings::bindings::vfio::{
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_ROM_REGION_INDEX, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
    VFIO_REGION_INFO_CAP_SPARSE_MMAP, VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};

use super::ask::{u32_at, u64_at};
use super::caps::chain;

/// The region of the expansion ROM; BARs are those before it.
pub(crate) const ROM_REGION: u32 = VFIO_PCI_ROM_REGION_INDEX;
/// The region of the configuration space.
pub(crate) const CONFIG_REGION: u32 = VFIO_PCI_CONFIG_REGION_INDEX;

/// A part of a region, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    /// From the start of the region.
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// What the kernel says of one region.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RegionInfo {
    /// Size in bytes; 0 if there is no such region.
    pub(crate) size: u64,
    /// Where it begins in the device's descriptor.
    pub(crate) offset: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) mappable: bool,
    /// If there, only these parts can be mapped.
    pub(crate) sparse: Option<Vec<Area>>,
    /// The table of MSI-X may be mapped with what is around it.
    pub(crate) msix_mappable: bool,
}

impl RegionInfo {
    /// The answer, with its capabilities.
    pub(super) fn parse(answer: &[u8]) -> Option<Self> {
        let flags = u32_at(answer, offset_of!(vfio_region_info, flags))?;
        let first = u32_at(answer, offset_of!(vfio_region_info, cap_offset))?;
        let mut info = Self {
            size: u64_at(answer, offset_of!(vfio_region_info, size))?,
            offset: u64_at(answer, offset_of!(vfio_region_info, offset))?,
            readable: flags & VFIO_REGION_INFO_FLAG_READ != 0,
            writable: flags & VFIO_REGION_INFO_FLAG_WRITE != 0,
            mappable: flags & VFIO_REGION_INFO_FLAG_MMAP != 0,
            ..Self::default()
        };
        for capability in chain(answer, first) {
            match capability.id {
                VFIO_REGION_INFO_CAP_SPARSE_MMAP => info.sparse = Some(capability.sparse_areas()),
                VFIO_REGION_INFO_CAP_MSIX_MAPPABLE => info.msix_mappable = true,
                _ => {}
            }
        }
        Some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(flags: u32, first: u32, tail: &[u32]) -> Vec<u8> {
        let head = [32 + 4 * u32::try_from(tail.len()).unwrap(), flags, 0, first];
        let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(0x4000_u64.to_ne_bytes());
        bytes.extend((2_u64 << 40).to_ne_bytes());
        bytes.extend(tail.iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    }

    #[test]
    fn a_region_without_capabilities_is_its_flags() {
        let info = RegionInfo::parse(&answer(7, 0, &[])).unwrap();
        assert_eq!((info.size, info.offset), (0x4000, 2 << 40));
        assert!(info.readable && info.writable && info.mappable && !info.msix_mappable);
        assert_eq!(info.sparse, None);
    }

    #[test]
    fn capabilities_say_what_can_be_mapped() {
        let one = |version: u32, id: u32| version << 16 | id;
        let sparse = [one(1, 1), 32 + 32, 1, 0, 0x1000, 0, 0x3000, 0];
        let mappable = [one(1, 3), 0];
        let tail: Vec<u32> = sparse.into_iter().chain(mappable).collect();
        let info = RegionInfo::parse(&answer(15, 32, &tail)).unwrap();
        assert_eq!(info.sparse, Some(vec![Area { offset: 0x1000, size: 0x3000 }]));
        assert!(info.msix_mappable);
    }

    #[test]
    fn an_answer_that_is_too_short_is_none() {
        assert_eq!(RegionInfo::parse(&answer(7, 0, &[])[..24]), None);
        assert_eq!(RegionInfo::parse(&[]), None);
    }
}
