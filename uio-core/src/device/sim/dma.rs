//! [`DmaBus`]: how a model reaches memory: through what its driver mapped, and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::mem::dma::{Direction, Iommu, Iova, Pages};

/// What the IOMMU of an x86 machine leaves out: the addresses of message-signalled interrupts.
const MSI_WINDOW: RangeInclusive<u64> = 0xFEE0_0000..=0xFEEF_FFFF;
/// Bits of an IOVA behind a usual IOMMU.
const IOVA_BITS: u32 = 39;
/// Its smallest page, in bytes.
const GRANULE: u64 = 4096;

/// A device's access that the IOMMU refused: nothing is mapped there, or not that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("DMA fault at {iova}")]
pub struct DmaFault {
    /// The first address that was refused.
    pub iova: Iova,
}

struct Mapped {
    pages: Arc<Pages>,
    direction: Direction,
}

/// The bus between a model and memory, with an IOMMU in it.
#[derive(Default)]
pub struct DmaBus(Mutex<BTreeMap<u64, Mapped>>);

impl DmaBus {
    /// A bus with nothing mapped.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The device reads memory.
    ///
    /// # Errors
    ///
    /// [`DmaFault`] at the first address that it may not read; what came before is in `buf`.
    pub fn read(&self, iova: Iova, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.walk(iova, buf.len(), Direction::device_reads, |pages, at, done, run| {
            pages.read(at, &mut buf[done..done + run]);
        })
    }

    /// The device writes memory.
    ///
    /// # Errors
    ///
    /// [`DmaFault`] at the first address that it may not write; what came before is written.
    pub fn write(&self, iova: Iova, data: &[u8]) -> Result<(), DmaFault> {
        self.walk(iova, data.len(), Direction::device_writes, |pages, at, done, run| {
            pages.write(at, &data[done..done + run]);
        })
    }

    /// Calls `each` with the pages, the place in them, what is done, and how many bytes follow there.
    fn walk(
        &self,
        iova: Iova,
        len: usize,
        may: impl Fn(Direction) -> bool,
        mut each: impl FnMut(&Pages, usize, usize, usize),
    ) -> Result<(), DmaFault> {
        // Held for the whole access: when `unmap` returns, none goes on.
        let mapped = self.mapped();
        let mut done = 0;
        while done < len {
            let at = iova.0.wrapping_add(done as u64);
            let fault = DmaFault { iova: Iova(at) };
            let (start, entry) = mapped.range(..=at).next_back().ok_or(fault)?;
            // CAST: an offset into memory that is there.
            let offset = (at - start) as usize;
            if offset >= entry.pages.len() || !may(entry.direction) {
                return Err(fault);
            }
            let run = (len - done).min(entry.pages.len() - offset);
            each(&entry.pages, offset, done, run);
            done += run;
        }
        Ok(())
    }

    fn mapped(&self) -> MutexGuard<'_, BTreeMap<u64, Mapped>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DmaBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DmaBus").field("mappings", &self.mapped().len()).finish()
    }
}

/// The driver's side of a [`DmaBus`].
pub(super) struct SimIommu(pub(super) Arc<DmaBus>);

impl Iommu for SimIommu {
    fn ranges(&self) -> Result<Vec<RangeInclusive<u64>>> {
        let last = (1 << IOVA_BITS) - 1;
        Ok(vec![0..=MSI_WINDOW.start() - 1, MSI_WINDOW.end() + 1..=last])
    }

    fn granule(&self) -> u64 {
        GRANULE
    }

    fn available(&self) -> Option<u32> {
        None
    }

    fn map(&self, iova: Iova, pages: &Arc<Pages>, direction: Direction) -> Result<()> {
        let refuse =
            |errno, cause: &str| Err(Error::new(errno, "cannot map at", iova).with_cause(cause));
        let len = pages.len() as u64;
        if !iova.0.is_multiple_of(GRANULE) {
            return refuse(Errno::EINVAL, "the address is not aligned to a page of the IOMMU");
        }
        let end = iova.0.checked_add(len - 1);
        let inside = |range: &RangeInclusive<u64>| {
            end.is_some_and(|end| range.contains(&iova.0) && range.contains(&end))
        };
        if !self.ranges()?.iter().any(inside) {
            return refuse(Errno::EINVAL, "the address is outside what the IOMMU translates");
        }
        let mut mapped = self.0.mapped();
        let before = mapped.range(..iova.0 + len).next_back();
        if before.is_some_and(|(start, entry)| start + entry.pages.len() as u64 > iova.0) {
            return refuse(Errno::EEXIST, "something is mapped there");
        }
        mapped.insert(iova.0, Mapped { pages: Arc::clone(pages), direction });
        Ok(())
    }

    fn unmap(&self, iova: Iova, len: u64) -> Result<()> {
        let mut mapped = self.0.mapped();
        let whole = mapped.get(&iova.0).is_some_and(|entry| entry.pages.len() as u64 == len);
        if !whole {
            return Err(Error::invalid("cannot unmap", iova, "that is not what was mapped there"));
        }
        mapped.remove(&iova.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus() -> (Arc<DmaBus>, SimIommu, Arc<Pages>) {
        let bus = DmaBus::new();
        (Arc::clone(&bus), SimIommu(bus), Arc::new(Pages::zeroed(2 * 4096).unwrap()))
    }

    #[test]
    fn a_device_reaches_what_is_mapped_and_nothing_else() {
        let (bus, iommu, pages) = bus();
        iommu.map(Iova(0x1_0000), &pages, Direction::Bidirectional).unwrap();
        bus.write(Iova(0x1_0FFE), &[1, 2, 3, 4]).unwrap();
        let mut seen = [0; 4];
        pages.read(0xFFE, &mut seen);
        assert_eq!(seen, [1, 2, 3, 4]);
        assert_eq!(bus.read(Iova(0x1_1FFE), &mut [0; 4]), Err(DmaFault { iova: Iova(0x1_2000) }));
        assert_eq!(bus.write(Iova(0), &[1]), Err(DmaFault { iova: Iova(0) }));
        iommu.unmap(Iova(0x1_0000), 2 * 4096).unwrap();
        assert!(bus.read(Iova(0x1_0000), &mut [0]).is_err());
    }

    #[test]
    fn the_direction_is_a_right() {
        let (bus, iommu, pages) = bus();
        iommu.map(Iova(4096), &pages, Direction::ToDevice).unwrap();
        assert!(bus.read(Iova(4096), &mut [0]).is_ok());
        assert!(bus.write(Iova(4096), &[1]).is_err());
    }

    #[test]
    fn what_overlaps_or_is_not_translated_is_refused() {
        let (_, iommu, pages) = bus();
        let map = |iova| {
            iommu.map(Iova(iova), &pages, Direction::ToDevice).map_err(|error| error.errno())
        };
        assert_eq!(map(0x2000), Ok(()));
        assert_eq!(map(0x1000), Err(Errno::EEXIST));
        assert_eq!(map(0x3000), Err(Errno::EEXIST));
        assert_eq!(map(0x4001), Err(Errno::EINVAL));
        assert_eq!(map(0xFEDF_F000), Err(Errno::EINVAL));
        assert_eq!(map(u64::MAX - 4095), Err(Errno::EINVAL));
        assert!(iommu.unmap(Iova(0x2000), 4096).is_err());
    }
}
