//! [`Domain`]: the addresses of one device, and what is mapped at them.
//!
//! # Vocabulary
//!
//! - **mapped**: the device reaches the pages. The domain holds them, whoever else does.
//! - **stuck**: the kernel would not unmap. The device may reach the pages still, so they are kept, and their
//!   addresses not used again, until the domain is dropped, and the IOMMU's container with it.
//! - **shut down**: nothing is mapped, and nothing will be. Buffers live on as plain memory.
//!
//! # States of a mapping
//!
//! ```text
//!                map                drop, unmap, shut_down; the kernel has unmapped
//!   (nothing) ─────────▶ mapped ───────────────────────────────────────────────────▶ freed
//!                           │     the same; the kernel would not                       ▲
//!                           └─────────────────────────────────▶ stuck ─────────────────┘
//!                                                                     drop of the domain
//! ```
//!
//! # Order of release
//!
//! Memory is freed only when the device cannot write to it any more. For one buffer: unmapped first, and freed if
//! that has worked. For the device as a whole, what a driver keeps is:
//!
//! 1. its drop stops the engine, by the device's own registers;
//! 2. interrupts are released, then buffers, then regions: the reverse of the order in which `probe` acquired them,
//!    which is what [`Devres`](../../device/struct.Devres.html) keeps by itself;
//! 3. the device, when it is released, switches off bus mastering, and then calls [`Domain::shut_down`] for what is
//!    mapped still: buffers that a driver has leaked, or that a client holds.
//!
//! After a reset or a removal the same: bus mastering is off before the first page is freed.
//!
//! # Why each mapping is unmapped once
//!
//! The table in `state` says what is mapped. Whoever takes an entry out of it unmaps it, with the lock held from
//! before the entry is looked for until the kernel has answered: so a drop and `shut_down` at the same time each
//! find the entry or find none, and when `shut_down` returns, no other thread is about to unmap anything. The
//! domain's own share of the pages is in the entry, and dropped after the kernel's answer; the buffer's share does
//! not matter. An address is free to be used again after that, under the same lock; and after `shut_down` nothing
//! is mapped, so that a late drop cannot meet a newer mapping at its address.
//!
//! The kernel serialises the same calls by a lock of the container, so ours, held over the call, costs no
//! concurrency. It may sleep: neither in a top half nor in a bottom half of a softirq is anything mapped.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use super::explain::{self, Attempt, Bytes};
use super::iova::Allocator;
use super::mapped::Mapped;
use super::{Direction, Iommu, Iova, Mask, Pages};
use crate::error::{Error, Result};

/// The mask of a device that has set none: the kernel's default.
const DEFAULT_MASK: Mask = Mask::bits(32);

/// How much a domain has mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Mappings that the device reaches.
    pub mappings: usize,
    /// Bytes of them, all pinned.
    pub bytes: u64,
    /// Mappings that the kernel would not unmap.
    pub stuck: usize,
    /// Bytes of them.
    pub stuck_bytes: u64,
}

/// The addresses that a device may use, and what is mapped at them. See the [module](self).
pub struct Domain {
    name: String,
    granule: u64,
    ranges: Vec<RangeInclusive<u64>>,
    // Dropped before `state`: when the container is closed, nothing is mapped, and the pages in `state` may go.
    iommu: Box<dyn Iommu>,
    state: Mutex<State>,
}

struct State {
    allocator: Allocator,
    mask: Mask,
    /// By address.
    mapped: BTreeMap<u64, Entry>,
    stuck: Vec<Entry>,
    shut_down: bool,
}

struct Entry {
    len: u64,
    /// The domain's share, which keeps the pages while the device reaches them.
    _pages: Arc<Pages>,
}

impl Domain {
    /// The domain of the device called `name`, behind `iommu`, with a mask of 32 bits until
    /// [`set_mask`](Self::set_mask) gives another.
    ///
    /// When `iommu` is dropped, it unmaps what is mapped still, as closing a container does.
    ///
    /// # Errors
    ///
    /// - what the kernel says when it is asked for the ranges;
    /// - `EINVAL` if the granule is not a power of two.
    pub fn new(name: impl Into<String>, iommu: Box<dyn Iommu>) -> Result<Arc<Self>> {
        let (name, granule, ranges) = (name.into(), iommu.granule(), iommu.ranges()?);
        if !granule.is_power_of_two() {
            let cause = format!("its smallest page is {granule} bytes, not a power of two");
            return Err(Error::invalid("cannot use the IOMMU of", name, cause));
        }
        let allocator = Allocator::new(&ranges, DEFAULT_MASK, granule);
        let (mapped, stuck) = (BTreeMap::new(), Vec::new());
        let state = State { allocator, mask: DEFAULT_MASK, mapped, stuck, shut_down: false };
        Ok(Arc::new(Self { name, granule, ranges, iommu, state: Mutex::new(state) }))
    }

    /// Whose addresses these are: the device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What maps.
    pub fn iommu(&self) -> &dyn Iommu {
        &*self.iommu
    }

    /// The smallest page of the IOMMU, in bytes.
    pub fn granule(&self) -> u64 {
        self.granule
    }

    /// Says how many address bits the device has. Once, in `probe`, before the first buffer.
    ///
    /// # Errors
    ///
    /// - `EBUSY` if something is mapped already;
    /// - `EIO` if the IOMMU allows no address below the mask.
    #[doc(alias("dma_set_mask", "dma_set_coherent_mask", "dma_set_mask_and_coherent"))]
    pub fn set_mask(&self, mask: Mask) -> Result<()> {
        let mut state = self.state();
        let mappings = state.mapped.len() + state.stuck.len();
        if mappings != 0 {
            return Err(explain::mask_busy(&self.name, mask, mappings));
        }
        let allocator = Allocator::new(&self.ranges, mask, self.granule);
        if allocator.largest() == 0 {
            return Err(explain::no_window(&self.name, mask, &self.ranges));
        }
        (state.allocator, state.mask) = (allocator, mask);
        Ok(())
    }

    /// The mask that counts.
    #[doc(alias = "dma_get_mask")]
    pub fn mask(&self) -> Mask {
        self.state().mask
    }

    /// How many more mappings the kernel takes, if it counts them.
    pub fn available(&self) -> Option<u32> {
        self.iommu.available()
    }

    /// How much is mapped, and how much is stuck.
    pub fn usage(&self) -> Usage {
        self.state().usage()
    }

    /// Mappings that the kernel would not unmap, whose pages are kept until the domain is dropped.
    pub fn leaked(&self) -> usize {
        self.state().stuck.len()
    }

    /// Whether [`shut_down`](Self::shut_down) was called.
    pub fn is_shut_down(&self) -> bool {
        self.state().shut_down
    }

    /// Unmaps all that is mapped still; nothing is mapped from now on. For the device, when it is released, after
    /// it has switched off bus mastering: the device cannot write any more, whatever its engine does.
    ///
    /// Buffers stay as plain memory, which no device reaches; their drop has nothing left to do. Calling it again
    /// tries nothing again.
    ///
    /// # Errors
    ///
    /// The kernel's first refusal to unmap; the others are unmapped nevertheless, and [`leaked`](Self::leaked)
    /// counts those that are not.
    pub fn shut_down(&self) -> Result<()> {
        let mut state = self.state();
        state.shut_down = true;
        let mut result = Ok(());
        while let Some((iova, entry)) = state.mapped.pop_first() {
            let unmapped = self.unmap_entry(&mut state, Iova(iova), entry);
            result = result.and(unmapped);
        }
        result
    }

    /// Maps pages for the device, at a multiple of their size, rounded up to a power of two, as far as 2 MiB.
    pub(super) fn map(self: &Arc<Self>, pages: Arc<Pages>, direction: Direction) -> Result<Mapped> {
        // CAST: a usize has at most 64 bits on Linux.
        let len = pages.len() as u64;
        self.check_granule(&pages)?;
        let align = len.checked_next_power_of_two().unwrap_or(len).min(2 << 20).max(self.granule);
        let mut state = self.state();
        if state.shut_down {
            return Err(explain::shut_down(&self.name));
        }
        let Some(iova) = state.allocator.alloc(len, align) else {
            let (mask, largest) = (state.mask, state.allocator.largest());
            return Err(explain::no_place(&self.name, len, align, mask, largest));
        };
        if let Err(error) = self.iommu.map(iova, &pages, direction) {
            state.allocator.free(iova);
            let usage = state.usage();
            drop(state);
            let attempt = Attempt { domain: &self.name, iova, len, usage };
            return Err(explained(error, &attempt));
        }
        state.mapped.insert(iova.0, Entry { len, _pages: Arc::clone(&pages) });
        drop(state);
        Ok(Mapped::new(Arc::clone(self), iova, pages))
    }

    /// Unmaps what [`map`](Self::map) mapped at `iova`; nothing to do if the domain was shut down.
    pub(super) fn unmap(&self, iova: Iova) -> Result<()> {
        let mut state = self.state();
        match state.mapped.remove(&iova.0) {
            Some(entry) => self.unmap_entry(&mut state, iova, entry),
            None => Ok(()),
        }
    }

    /// New pages that this IOMMU can map.
    pub(super) fn pages(&self, len: usize) -> Result<Pages> {
        Pages::aligned(len, usize::try_from(self.granule).unwrap_or(usize::MAX))
    }

    fn unmap_entry(&self, state: &mut State, iova: Iova, entry: Entry) -> Result<()> {
        match self.iommu.unmap(iova, entry.len) {
            Ok(()) => {
                state.allocator.free(iova);
                Ok(())
            }
            Err(error) => {
                let len = Bytes(entry.len);
                tracing::error!("{}: {len} at {iova} stay mapped, and kept: {error}", self.name);
                state.stuck.push(entry);
                Err(error)
            }
        }
    }

    fn check_granule(&self, pages: &Pages) -> Result<()> {
        let granule = usize::try_from(self.granule).unwrap_or(usize::MAX);
        let address = pages.address().as_ptr().addr();
        if pages.len().is_multiple_of(granule) && address.is_multiple_of(granule) {
            return Ok(());
        }
        let cause = format!("they are not aligned to its pages of {}", Bytes(self.granule));
        Err(Error::invalid("cannot map", format!("pages by the IOMMU of {}", self.name), cause)
            .with_hint("allocate them with Pages::aligned"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usage(&self) -> Usage {
        let bytes =
            |entries: &mut dyn Iterator<Item = &Entry>| entries.map(|entry| entry.len).sum();
        Usage {
            mappings: self.mapped.len(),
            bytes: bytes(&mut self.mapped.values()),
            stuck: self.stuck.len(),
            stuck_bytes: bytes(&mut self.stuck.iter()),
        }
    }
}

/// The backend's error, if it says what to do, or else ours.
fn explained(error: Error, attempt: &Attempt<'_>) -> Error {
    let known = [Errno::ENOMEM, Errno::ENOSPC, Errno::EEXIST].contains(&error.errno());
    if error.hint().is_none() && known {
        explain::map_failed(error.errno(), attempt)
    } else {
        error
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("name", &self.name)
            .field("mask", &self.mask())
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}
