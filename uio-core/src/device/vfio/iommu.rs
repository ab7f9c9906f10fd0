//! DMA through the container: what may be mapped where, and the mapping.

use std::ops::RangeInclusive;
use std::sync::Arc;

use nix::errno::Errno;

use super::handle::Handle;
use crate::error::{Error, Result};
use crate::mem::dma::{Direction, Iommu, Iova, Pages};
use crate::sys::mmap::page_size;
use crate::sys::vfio::Container;

/// What kernels before 5.4 translate, that do not say: what the smallest IOMMU of an x86 machine does, without the
/// addresses of message-signalled interrupts.
const UNTOLD: [RangeInclusive<u64>; 2] = [0..=0xFEDF_FFFF, 0xFEF0_0000..=(1 << 39) - 1];

/// The IOMMU in front of a function.
pub(super) struct VfioIommu {
    thing: String,
    container: Arc<Container>,
    handle: Arc<Handle>,
    granule: u64,
}

impl VfioIommu {
    pub(super) fn new(
        thing: String,
        container: Arc<Container>,
        handle: Arc<Handle>,
    ) -> Result<Self> {
        let info = container
            .info()
            .map_err(|errno| Error::new(errno, "cannot ask the IOMMU of", &thing))?;
        let smallest = 1 << info.page_sizes.trailing_zeros().min(63);
        let granule = if info.page_sizes == 0 { page_size() as u64 } else { smallest };
        Ok(Self { thing, container, handle, granule })
    }
}

impl Iommu for VfioIommu {
    fn ranges(&self) -> Result<Vec<RangeInclusive<u64>>> {
        let info = self
            .container
            .info()
            .map_err(|errno| Error::new(errno, "cannot ask the IOMMU of", &self.thing))?;
        let mut ranges = info.ranges.unwrap_or_else(|| UNTOLD.to_vec());
        ranges.sort_by_key(|range| *range.start());
        Ok(ranges)
    }

    fn granule(&self) -> u64 {
        self.granule
    }

    fn available(&self) -> Option<u32> {
        self.container.info().ok()?.dma_avail
    }

    fn map(&self, iova: Iova, pages: &Arc<Pages>, direction: Direction) -> Result<()> {
        let (reads, writes) = (direction.device_reads(), direction.device_writes());
        self.container.map(iova.0, &**pages, reads, writes).map_err(|errno| {
            let thing = format_args!("{} bytes at {iova} for {}", pages.len(), self.thing);
            Error::new(errno, "cannot map", thing)
        })
    }

    fn unmap(&self, iova: Iova, len: u64) -> Result<()> {
        let failed = |errno| {
            let thing = format_args!("{len} bytes at {iova} for {}", self.thing);
            Error::new(errno, "cannot unmap", thing)
        };
        match self.container.unmap(iova.0, len) {
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
