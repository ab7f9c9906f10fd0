//! DMA on an IOMMU of the tests' own, with a device behind it that reads and writes by IOVA.

mod coherent;
mod domain;
mod mapping;
mod pool;
mod release;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use nix::errno::Errno;

use super::*;
use crate::error::Error;

const PAGE: usize = 4096;

/// What the IOMMU says to the device, instead of letting it through.
#[derive(Debug, PartialEq, Eq)]
struct Fault;

/// An IOMMU, and what a test can do to it.
#[derive(Default)]
struct Fake {
    state: Mutex<FakeState>,
}

#[derive(Default)]
struct FakeState {
    mapped: BTreeMap<u64, (Arc<Pages>, Direction)>,
    /// What was asked, in order.
    log: Vec<String>,
    refuse_map: Option<Error>,
    refuse_unmap: bool,
    /// Pages that must be there when something is unmapped, or the IOMMU closed.
    watched: Vec<Weak<Pages>>,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap()
    }

    /// The mapping that has all of these addresses.
    fn translate(&self, iova: Iova, len: usize) -> Result<(Arc<Pages>, Direction, usize), Fault> {
        let state = self.state();
        let (start, (pages, direction)) = state.mapped.range(..=iova.0).next_back().ok_or(Fault)?;
        let offset = (iova.0 - start) as usize;
        if offset + len > pages.len() {
            return Err(Fault);
        }
        Ok((Arc::clone(pages), *direction, offset))
    }

    /// The device reads.
    fn read(&self, iova: Iova, buf: &mut [u8]) -> Result<(), Fault> {
        let (pages, direction, offset) = self.translate(iova, buf.len())?;
        if !direction.device_reads() {
            return Err(Fault);
        }
        pages.read(offset, buf);
        Ok(())
    }

    /// The device writes.
    fn write(&self, iova: Iova, data: &[u8]) -> Result<(), Fault> {
        let (pages, direction, offset) = self.translate(iova, data.len())?;
        if !direction.device_writes() {
            return Err(Fault);
        }
        pages.write(offset, data);
        Ok(())
    }

    fn mapped(&self) -> usize {
        self.state().mapped.len()
    }

    /// How often something was unmapped.
    fn unmaps(&self) -> usize {
        self.state().log.iter().filter(|line| line.starts_with("unmap")).count()
    }

    /// The pages of the only mapping, without holding them.
    fn pages(&self) -> Weak<Pages> {
        Arc::downgrade(&self.state().mapped.first_key_value().unwrap().1.0)
    }
}

/// The fake as a domain has it.
struct Container {
    fake: Arc<Fake>,
    ranges: Vec<RangeInclusive<u64>>,
    granule: u64,
}

impl Iommu for Container {
    fn ranges(&self) -> Result<Vec<RangeInclusive<u64>>> {
        Ok(self.ranges.clone())
    }

    fn granule(&self) -> u64 {
        self.granule
    }

    fn available(&self) -> Option<u32> {
        Some(1000 - self.fake.mapped() as u32)
    }

    fn map(&self, iova: Iova, pages: &Arc<Pages>, direction: Direction) -> Result<()> {
        let mut state = self.fake.state();
        if let Some(error) = &state.refuse_map {
            return Err(error.clone());
        }
        state.log.push(format!("map {iova}"));
        let before = state.mapped.insert(iova.0, (Arc::clone(pages), direction));
        assert!(before.is_none(), "mapped twice at {iova}");
        Ok(())
    }

    fn unmap(&self, iova: Iova, len: u64) -> Result<()> {
        let mut state = self.fake.state();
        state.log.push(format!("unmap {iova}"));
        assert!(state.watched.iter().all(|pages| pages.upgrade().is_some()), "freed too early");
        if state.refuse_unmap {
            return Err(Error::new(Errno::EIO, "cannot unmap", iova));
        }
        let (pages, _) = state.mapped.remove(&iova.0).expect("unmapped, and is not mapped");
        assert_eq!(pages.len() as u64, len);
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut state = self.fake.state();
        state.log.push("close".to_owned());
        assert!(state.watched.iter().all(|pages| pages.upgrade().is_some()), "freed too early");
        state.mapped.clear();
    }
}

/// A domain over a fake with these ranges and this granule.
fn domain_over(ranges: &[RangeInclusive<u64>], granule: u64) -> (Arc<Domain>, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let container = Container { fake: Arc::clone(&fake), ranges: ranges.to_vec(), granule };
    (Domain::new("0000:00:03.0", Box::new(container)).unwrap(), fake)
}

/// A domain with the ranges of an Intel IOMMU of 39 bits.
fn domain() -> (Arc<Domain>, Arc<Fake>) {
    domain_over(&[0..=0xFEDF_FFFF, 0xFEF0_0000..=(1 << 39) - 1], PAGE as u64)
}
