//! The UIO backend: regions by `mmap`, the line by `read` and `write` of `/dev/uioN`.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;

use super::{Backend, RegionInfo};
use crate::error::{Error, Result};
use crate::io::{IoMem, IoRegion};
use crate::irq::LineSource;
use crate::of::{Node, Tree};
use crate::sys::mmap::{Mapping, page_size};
use crate::sys::sigbus::FaultMark;
use crate::sys::sysfs::{Sysfs, UioInfo, UioMap};
use crate::sys::uio::UioFd;

/// How often the event count is read around the open until it holds still.
const BASELINE_TRIES: usize = 16;

pub(super) struct UioBackend {
    info: UioInfo,
    regions: Vec<RegionInfo>,
    node: Option<Node>,
    fd: Arc<UioFd>,
    /// The device's event count when `fd` was opened.
    baseline: u32,
    has_interrupt: bool,
    mappings: Mutex<Vec<Option<Arc<Mapping>>>>,
    /// Set when an access to one of them finds no memory.
    mark: Arc<FaultMark>,
}

impl UioBackend {
    /// Finds the device, opens its node, and builds the backend from that descriptor.
    pub(super) fn open(selector: &str) -> Result<Self> {
        let info = Sysfs::new().find_uio(selector)?;
        Self::open_found(info)
    }

    /// As [`open`](Self::open), of the device that was found.
    pub(super) fn open_found(mut info: UioInfo) -> Result<Self> {
        let sysfs = Sysfs::new();
        let fd = UioFd::open(&info.node())?;
        // Interrupts before the open are not ours. The kernel notes the count in `open` but does not tell
        // it; a count that is the same before and after the open is the one that it noted.
        for _ in 0..BASELINE_TRIES {
            let now = sysfs.uio_device(info.number)?;
            if now.events == info.events {
                break;
            }
            info = now;
        }
        let node =
            info.device.as_deref().and_then(|dir| Tree::new().node_of_link(&dir.join("of_node")));
        Self::new(info, node, fd)
    }

    fn new(info: UioInfo, node: Option<Node>, fd: UioFd) -> Result<Self> {
        let has_interrupt = fd.has_interrupt().map_err(|errno| {
            Error::new(errno, "cannot ask for the interrupt of", info.node().display())
        })?;
        let regions: Vec<RegionInfo> = info
            .maps
            .iter()
            .map(|map| RegionInfo {
                index: map.index,
                name: map.name.clone(),
                address: Some(map.addr),
                size: size_of_region(map, node.as_ref()),
                offset: map.offset,
            })
            .collect();
        if let Some(hole) = regions.iter().zip(0..).find(|(region, index)| region.index != *index) {
            let node = info.node();
            return Err(Error::invalid(
                "cannot use",
                node.display(),
                format!("its maps are not numbered in a row (map {} is missing)", hole.1),
            ));
        }
        Ok(Self {
            // CAST: the kernel's count is 32 bits wide; sysfs may print it with a sign.
            baseline: info.events as u32,
            mappings: Mutex::new(vec![None; regions.len()]),
            mark: FaultMark::new()?,
            regions,
            node,
            fd: Arc::new(fd),
            has_interrupt,
            info,
        })
    }

    /// The device for messages: `uio0 (uio_dummy)`.
    pub(super) fn title(&self) -> String {
        format!("uio{} ({})", self.info.number, self.info.name)
    }

    /// The UIO name.
    pub(super) fn label(&self) -> &str {
        &self.info.name
    }

    /// The mapping of region `index`, made once.
    fn mapping(&self, index: usize) -> Result<Arc<Mapping>> {
        let mut mappings = self.mappings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = &mappings[index] {
            return Ok(Arc::clone(mapping));
        }
        let map = &self.info.maps[index];
        let thing = format!("map {index} ({}) of {}", map.name, self.title());
        // Map N is at offset N pages (`drivers/uio/uio.c`, `uio_mmap`), with the real page size. A start
        // inside a page does not shift the mapping: its page is mapped whole.
        let page = page_size() as u64;
        let in_page = map.addr % page;
        let len = usize::try_from((in_page + map.size).next_multiple_of(page))
            .map_err(|_| Error::new(Errno::EOVERFLOW, "cannot map", &thing))?;
        let offset = index as u64 * page;
        let mapping = Mapping::shared(self.fd.as_fd(), offset, len, &self.mark, &thing)?;
        let mapping = Arc::new(mapping);
        mappings[index] = Some(Arc::clone(&mapping));
        Ok(mapping)
    }
}

/// How large a region is, in bytes: UIO's maps are whole pages, and end behind what the device tree says where the
/// register block is smaller than a page. What lies there belongs to others.
fn size_of_region(map: &UioMap, node: Option<&Node>) -> u64 {
    let mapped = map.size.saturating_sub(map.offset);
    let start = map.addr.saturating_add(map.offset);
    let described = node.into_iter().flat_map(Node::reg).find(|reg| reg.address == start);
    described.map_or(mapped, |reg| reg.size.min(mapped))
}

impl Backend for UioBackend {
    fn name(&self) -> &'static str {
        "uio"
    }

    fn regions(&self) -> &[RegionInfo] {
        &self.regions
    }

    fn region(&self, index: usize, gone: &Arc<AtomicBool>) -> Result<IoRegion> {
        Ok(IoRegion::mapped(self.memory(index)?, Arc::clone(gone)))
    }

    fn memory(&self, index: usize) -> Result<IoMem> {
        let region = &self.regions[index];
        // CAST: both fit, or the mapping has failed.
        IoMem::new(self.mapping(index)?, region.offset as usize, region.size as usize)
    }

    fn lines(&self) -> usize {
        usize::from(self.has_interrupt)
    }

    fn line(&self, _index: usize) -> Result<Box<dyn LineSource>> {
        Ok(Box::new(UioLine {
            fd: Arc::clone(&self.fd),
            seen: AtomicU32::new(self.baseline),
            no_irqcontrol: AtomicBool::new(false),
        }))
    }

    fn of_node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn fault_mark(&self) -> Option<&Arc<FaultMark>> {
        Some(&self.mark)
    }

    fn revoke(&self) {
        let mappings = self.mappings.lock().unwrap_or_else(PoisonError::into_inner);
        for mapping in mappings.iter().flatten() {
            if let Err(errno) = mapping.replace_by_ones() {
                tracing::error!(device = %self.title(), %errno, "cannot replace the memory of a device that is gone");
            }
        }
    }
}

/// The interrupt of a UIO device.
struct UioLine {
    fd: Arc<UioFd>,
    /// The count that was taken last; written by the dispatcher alone.
    seen: AtomicU32,
    /// The kernel driver cannot mask: then it does not mask itself either.
    no_irqcontrol: AtomicBool,
}

impl UioLine {
    fn control(&self, on: bool) -> Result<(), Errno> {
        if self.no_irqcontrol.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.fd.irqcontrol(on) {
            Err(Errno::ENOSYS) => {
                self.no_irqcontrol.store(true, Ordering::Relaxed);
                Ok(())
            }
            result => result.map_err(gone),
        }
    }
}

/// After the open, these mean that the device was unbound: `EIO` from all calls, `EINVAL` from `write` on
/// kernels that look at the driver first.
fn gone(errno: Errno) -> Errno {
    match errno {
        Errno::EIO | Errno::EINVAL | Errno::ENODEV => Errno::ENODEV,
        other => other,
    }
}

impl LineSource for UioLine {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn take(&self) -> Result<u32, Errno> {
        match self.fd.read_count() {
            Ok(count) => Ok(count.wrapping_sub(self.seen.swap(count, Ordering::Relaxed))),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(errno) => Err(gone(errno)),
        }
    }

    fn unmask(&self) -> Result<(), Errno> {
        self.control(true)
    }

    fn mask(&self) -> Result<(), Errno> {
        self.control(false)
    }

    fn masks_itself(&self) -> bool {
        !self.no_irqcontrol.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(addr: u64, size: u64, offset: u64) -> UioMap {
        UioMap { index: 0, name: String::new(), addr, size, offset }
    }

    #[test]
    fn a_region_ends_where_the_device_tree_says() {
        // A block of 512 bytes inside a page of 4, 16 or 64 KiB, as UIO maps it.
        let node = Node::new("/virtio@a003e00").with_reg(None, 0x0A00_3E00, 0x200);
        for page in [0x1000, 0x4000, 0x1_0000] {
            let start = 0x0A00_3E00 / page * page;
            let map = map(start, page, 0x0A00_3E00 - start);
            assert_eq!(size_of_region(&map, Some(&node)), 0x200, "{page:#x}");
        }
    }

    #[test]
    fn a_region_is_never_larger_than_its_map() {
        let node = Node::new("/x@1000").with_reg(None, 0x1000, 0x10_0000);
        assert_eq!(size_of_region(&map(0x1000, 0x1000, 0), Some(&node)), 0x1000);
    }

    #[test]
    fn a_region_that_the_device_tree_does_not_know_is_as_large_as_its_map() {
        let node = Node::new("/x@2000").with_reg(None, 0x2000, 0x10);
        assert_eq!(size_of_region(&map(0x1000, 0x1000, 0x800), Some(&node)), 0x800);
        assert_eq!(size_of_region(&map(0x1000, 0x1000, 0x800), None), 0x800);
    }
}
