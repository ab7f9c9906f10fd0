//! BARs and the ROM: mapped as far as they can be, else by `pread` and `pwrite`.

use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use super::RegionInfo;
use super::handle::Handle;
use crate::error::{Error, Result};
use crate::io::{AccessError, Io, IoMem, IoRegion, RegionAccess, Width};
use crate::pci::{ConfigSpace, cap_id};
use crate::sys::mmap::{Mapping, page_size};
use crate::sys::sigbus::FaultMark;
use crate::sys::vfio::{self, Area, ROM_REGION};

/// The regions of a function.
pub(super) struct Regions {
    name: String,
    infos: Vec<RegionInfo>,
    all: Vec<Region>,
    handle: Arc<Handle>,
    /// Set when an access to one of them finds no memory.
    mark: Arc<FaultMark>,
}

/// One region.
struct Region {
    index: usize,
    info: vfio::RegionInfo,
    /// What can be mapped, in order.
    areas: Vec<Area>,
    /// The mappings of `areas`, made once.
    parts: Mutex<Option<Vec<Part>>>,
}

/// A mapped area.
#[derive(Clone)]
struct Part {
    start: usize,
    mapping: Arc<Mapping>,
    memory: IoMem,
}

impl Regions {
    /// Asks for all BARs and the ROM; those that are not there are left out.
    pub(super) fn find(
        name: &str,
        handle: &Arc<Handle>,
        config: &ConfigSpace,
        mark: &Arc<FaultMark>,
    ) -> Result<Self, Errno> {
        let table = MsixTable::find(config);
        let mut all = Vec::new();
        for index in 0..=ROM_REGION {
            let info = handle.with(|device| device.region_info(index))?;
            if info.size == 0 {
                continue;
            }
            // CAST: at most 6.
            let index = index as usize;
            let hole = table.as_ref().filter(|table| table.bar == index && !info.msix_mappable);
            let areas = areas(&info, hole.map(|table| table.area), page_size() as u64);
            all.push(Region { index, info, areas, parts: Mutex::new(None) });
        }
        let infos = all.iter().map(Region::describe).collect();
        let (handle, mark) = (Arc::clone(handle), Arc::clone(mark));
        Ok(Self { name: name.to_owned(), infos, all, handle, mark })
    }

    pub(super) fn infos(&self) -> &[RegionInfo] {
        &self.infos
    }

    /// The whole region, by the quickest way to each of its parts.
    pub(super) fn region(&self, index: usize, gone: &Arc<AtomicBool>) -> Result<IoRegion> {
        let region = self.get(index)?;
        let parts = self.parts(region)?;
        // CAST: it has been mapped, or is reached by offsets of 64 bits.
        let size = region.info.size as usize;
        if let [part] = &parts[..]
            && (part.start, part.memory.size()) == (0, size)
        {
            return Ok(IoRegion::mapped(part.memory.clone(), Arc::clone(gone)));
        }
        let (handle, base) = (Arc::clone(&self.handle), region.info.offset);
        let mixed = Mixed { size, parts, handle, base };
        Ok(IoRegion::access(Arc::new(mixed), Arc::clone(gone)))
    }

    /// The mapped area at the region's start.
    pub(super) fn memory(&self, index: usize) -> Result<IoMem> {
        let region = self.get(index)?;
        let first = self.parts(region)?.into_iter().find(|part| part.start == 0);
        first.map(|part| part.memory).ok_or_else(|| {
            Error::new(Errno::EOPNOTSUPP, "cannot map", self.thing(index))
                .with_cause("it cannot be mapped: it is of I/O ports, a ROM, or less than a page")
                .with_hint("a driver that is to run on it uses Device::region")
        })
    }

    /// Puts ones in the place of all that is mapped: nothing refers to the device any more.
    pub(super) fn revoke(&self) {
        for part in self.all.iter().flat_map(|region| region.parts().clone().unwrap_or_default()) {
            if let Err(errno) = part.mapping.replace_by_ones() {
                tracing::error!(device = %self.name, %errno, "cannot replace the memory of a device that is gone");
            }
        }
    }

    fn get(&self, index: usize) -> Result<&Region> {
        self.all
            .iter()
            .find(|region| region.index == index)
            .ok_or_else(|| Error::new(Errno::EINVAL, "cannot map", self.thing(index)))
    }

    fn parts(&self, region: &Region) -> Result<Vec<Part>> {
        let mut parts = region.parts();
        if let Some(parts) = &*parts {
            return Ok(parts.clone());
        }
        let mapped: Vec<Part> =
            region.areas.iter().map(|area| self.map(region, *area)).collect::<Result<_>>()?;
        Ok(parts.insert(mapped).clone())
    }

    fn map(&self, region: &Region, area: Area) -> Result<Part> {
        let thing = self.thing(region.index);
        let fits = |value| {
            usize::try_from(value).map_err(|_| Error::new(Errno::EOVERFLOW, "cannot map", &thing))
        };
        let (start, len) = (fits(area.offset)?, fits(area.size)?);
        let offset = region.info.offset + area.offset;
        let mut mapped = None;
        let found = self.handle.with(|device| {
            mapped = Some(Mapping::shared(device.as_fd(), offset, len, &self.mark, &thing));
            Ok(())
        });
        found.map_err(|errno| Error::new(errno, "cannot map", &thing))?;
        // PANIC: not reached; what was called has set it.
        let mapping = Arc::new(mapped.expect("a mapping or an error")?);
        let memory = IoMem::new(Arc::clone(&mapping), 0, len)?;
        Ok(Part { start, mapping, memory })
    }

    fn thing(&self, index: usize) -> String {
        format!("{} of pci:{}", title(index), self.name)
    }
}

impl Region {
    fn describe(&self) -> RegionInfo {
        RegionInfo {
            index: self.index,
            name: title(self.index),
            address: None,
            size: self.info.size,
            offset: 0,
        }
    }

    fn parts(&self) -> MutexGuard<'_, Option<Vec<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn title(index: usize) -> String {
    // CAST: the index of a region is small.
    if index == ROM_REGION as usize { "rom".to_owned() } else { format!("bar{index}") }
}

/// A region that is mapped in part, or not at all.
struct Mixed {
    size: usize,
    parts: Vec<Part>,
    handle: Arc<Handle>,
    base: u64,
}

impl Mixed {
    /// The memory in which the whole access lies, and where in it.
    fn mapped(&self, offset: usize, width: Width) -> Option<(&IoMem, usize)> {
        self.parts.iter().find_map(|part| {
            let at = offset.checked_sub(part.start)?;
            let inside = at.checked_add(width as usize)? <= part.memory.size();
            inside.then_some((&part.memory, at))
        })
    }
}

impl RegionAccess for Mixed {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, offset: usize, width: Width) -> Result<u64, AccessError> {
        if let Some((memory, at)) = self.mapped(offset, width) {
            return match width {
                Width::U8 => memory.try_read8(at).map(u64::from),
                Width::U16 => memory.try_read16(at).map(u64::from),
                Width::U32 => memory.try_read32(at).map(u64::from),
                Width::U64 => memory.try_read64(at),
            };
        }
        let mut bytes = [0; 8];
        let at = self.base + offset as u64;
        let read = self.handle.with(|device| device.read_at(at, &mut bytes[..width as usize]));
        read.map_err(AccessError::of_call)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn write(&self, offset: usize, width: Width, value: u64) -> Result<(), AccessError> {
        if let Some((memory, at)) = self.mapped(offset, width) {
            // CAST: the value is in the low bits.
            return match width {
                Width::U8 => memory.try_write8(at, value as u8),
                Width::U16 => memory.try_write16(at, value as u16),
                Width::U32 => memory.try_write32(at, value as u32),
                Width::U64 => memory.try_write64(at, value),
            };
        }
        let at = self.base + offset as u64;
        let bytes = value.to_le_bytes();
        let written = self.handle.with(|device| device.write_at(at, &bytes[..width as usize]));
        written.map_err(AccessError::of_call)
    }
}

/// Where the table of MSI-X is.
struct MsixTable {
    bar: usize,
    area: Area,
}

impl MsixTable {
    /// From the capability: the number of entries, less one, and the place of the table.
    fn find(config: &ConfigSpace) -> Option<Self> {
        let at = config.find_capability(cap_id::MSIX)?.offset;
        let entries = u64::from(config.read16(at + 2).ok()? & 0x7FF) + 1;
        let place = config.read32(at + 4).ok()?;
        let area = Area { offset: u64::from(place & !7), size: entries * 16 };
        // CAST: 0 to 7.
        Some(Self { bar: (place & 7) as usize, area })
    }
}

/// What of a region can be mapped: what the kernel says, without the pages in which `hole` lies.
fn areas(info: &vfio::RegionInfo, hole: Option<Area>, page: u64) -> Vec<Area> {
    if !info.mappable {
        return Vec::new();
    }
    if let Some(sparse) = &info.sparse {
        let inside = |area: &&Area| {
            let end = area.offset.checked_add(area.size);
            area.size > 0
                && area.offset.is_multiple_of(page)
                && end.is_some_and(|end| end <= info.size)
        };
        return sparse.iter().filter(inside).copied().collect();
    }
    let Some(hole) = hole else { return vec![Area { offset: 0, size: info.size }] };
    let start = (hole.offset - hole.offset % page).min(info.size);
    let end = hole.offset.saturating_add(hole.size).next_multiple_of(page).min(info.size);
    let around = [Area { offset: 0, size: start }, Area { offset: end, size: info.size - end }];
    around.into_iter().filter(|area| area.size > 0).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn mappable(size: u64) -> vfio::RegionInfo {
        vfio::RegionInfo { size, mappable: true, ..vfio::RegionInfo::default() }
    }

    fn area(offset: u64, size: u64) -> Area {
        Area { offset, size }
    }

    #[test]
    fn a_region_without_a_table_is_mapped_whole() {
        assert_eq!(areas(&mappable(0x4000), None, PAGE), [area(0, 0x4000)]);
        assert_eq!(areas(&mappable(0x80), None, PAGE), [area(0, 0x80)]);
    }

    #[test]
    fn the_pages_of_the_table_are_left_out() {
        let around = |hole| areas(&mappable(0x4000), Some(hole), PAGE);
        assert_eq!(around(area(0x2000, 0x410)), [area(0, 0x2000), area(0x3000, 0x1000)]);
        assert_eq!(around(area(0x1FF0, 0x20)), [area(0, 0x1000), area(0x3000, 0x1000)]);
        assert_eq!(around(area(0, 0x10)), [area(0x1000, 0x3000)]);
        assert_eq!(around(area(0x3000, 0x1000)), [area(0, 0x3000)]);
        assert_eq!(areas(&mappable(0x1000), Some(area(0x800, 0x800)), PAGE), []);
    }

    #[test]
    fn a_table_beyond_the_region_does_no_harm() {
        let around = |hole| areas(&mappable(0x1000), Some(hole), PAGE);
        assert_eq!(around(area(0xFFFF_FFF8, 0x8000)), [area(0, 0x1000)]);
        assert_eq!(around(area(0x800, u64::MAX - 0x10_0000)), []);
    }

    #[test]
    fn only_sparse_areas_that_lie_in_the_region_are_mapped() {
        let sparse = vec![
            area(0x1000, 0x1000),
            area(0x800, 0x800),
            area(0x3000, 0x2000),
            area(u64::MAX - 0xFFF, 0x1000),
            area(0x2000, 0),
        ];
        let info = vfio::RegionInfo { sparse: Some(sparse), ..mappable(0x4000) };
        assert_eq!(areas(&info, None, PAGE), [area(0x1000, 0x1000)]);
    }

    #[test]
    fn what_cannot_be_mapped_has_no_areas() {
        let info = vfio::RegionInfo { mappable: false, ..mappable(8) };
        assert_eq!(areas(&info, None, PAGE), []);
    }
}
