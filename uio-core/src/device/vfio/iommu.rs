//! DMA through the container: what may be mapped where, and the mapping.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;

use super::handle::Handle;
use crate::error::{Error, Result};
use crate::mem::dma::{Direction, Iommu, Iova, Pages};
use crate::sys::mmap::page_size;
use crate::sys::vfio::{Container, IommuInfo};

/// What kernels before 5.4 translate, that do not say: what the smallest IOMMU of an x86 machine does, without the
/// addresses of message-signalled interrupts.
const UNTOLD: [RangeInclusive<u64>; 2] = [0..=0xFEDF_FFFF, 0xFEF0_0000..=(1 << 39) - 1];

/// The container, until it is closed with the device.
pub(super) struct Space(Mutex<Option<Container>>);

impl Space {
    pub(super) fn new(container: Container) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(container))))
    }

    /// Calls `call` with the container; calls take turns, as they do in the kernel.
    fn with<R>(&self, call: impl FnOnce(&Container) -> Result<R, Errno>) -> Result<R, Errno> {
        let container = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        call(container.as_ref().ok_or(Errno::ENODEV)?)
    }

    fn info(&self) -> Result<IommuInfo, Errno> {
        self.with(Container::info)
    }

    /// Closes the container; its group is closed before.
    pub(super) fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The IOMMU in front of a function.
pub(super) struct VfioIommu {
    thing: String,
    space: Arc<Space>,
    handle: Arc<Handle>,
    granule: u64,
}

impl VfioIommu {
    pub(super) fn new(thing: String, space: Arc<Space>, handle: Arc<Handle>) -> Result<Self> {
        let failed = |errno| Error::new(errno, "cannot ask the IOMMU of", &thing);
        let info = space.info().map_err(failed)?;
        let smallest = 1 << info.page_sizes.trailing_zeros().min(63);
        let granule = if info.page_sizes == 0 { page_size() as u64 } else { smallest };
        Ok(Self { thing, space, handle, granule })
    }
}

impl Iommu for VfioIommu {
    fn ranges(&self) -> Result<Vec<RangeInclusive<u64>>> {
        let failed = |errno| Error::new(errno, "cannot ask the IOMMU of", &self.thing);
        let info = self.space.info().map_err(failed)?;
        let mut ranges = info.ranges.unwrap_or_else(|| UNTOLD.to_vec());
        ranges.sort_by_key(|range| *range.start());
        Ok(ranges)
    }

    fn granule(&self) -> u64 {
        self.granule
    }

    fn available(&self) -> Option<u32> {
        self.space.info().ok()?.dma_avail
    }

    fn map(&self, iova: Iova, pages: &Arc<Pages>, direction: Direction) -> Result<()> {
        let (reads, writes) = (direction.device_reads(), direction.device_writes());
        let map = |container: &Container| container.map(iova.0, &**pages, reads, writes);
        self.space.with(map).map_err(|errno| {
            let thing = format_args!("{} bytes at {iova} for {}", pages.len(), self.thing);
            Error::new(errno, "cannot map", thing)
        })
    }

    fn unmap(&self, iova: Iova, len: u64) -> Result<()> {
        let failed = |errno| {
            let thing = format_args!("{len} bytes at {iova} for {}", self.thing);
            Error::new(errno, "cannot unmap", thing)
        };
        match self.space.with(|container| container.unmap(iova.0, len)) {
            Ok(done) if done == len => Ok(()),
            // With the group everything went that was mapped.
            _ if self.handle.is_closed() => Ok(()),
            Ok(done) => {
                Err(failed(Errno::EIO).with_cause(format!("the kernel unmapped {done} bytes")))
            }
            Err(errno) => Err(failed(errno)),
        }
    }
}
