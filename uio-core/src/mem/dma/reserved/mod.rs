//! Memory for DMA where no IOMMU stands between a device and memory: the boards of SoCs.
//!
//! There the device puts physical addresses on the bus, and nothing checks them. What it may use is memory of which
//! somebody has said so beforehand: one contiguous piece with a known address. This module hands it out in blocks.
//!
//! # Vocabulary
//!
//! - **reserved memory**: the whole piece ([`ReservedMemory`]): its name, bus address, length, and who sees whose caches.
//! - **bus address**: what goes into the device's registers, as an [`Iova`]. Where the bus translates nothing
//!   (`dma-ranges` is absent or empty in the device tree), it is the physical one; that is assumed here.
//! - **block**: a part of it, given out by [`alloc`](ReservedMemory::alloc), and given back by its drop.
//! - **owner**: who may touch a block now, the CPU or the device.
//! - **coherence**: what the two see of each other's writes ([`Coherence`]).
//!
//! # Which memory
//!
//! | from | by | coherence | needs |
//! | --- | --- | --- | --- |
//! | a carve-out: `reserved-memory` with `no-map`, a second `reg` of the device's node | [`Device::reserved_memory`] | uncached | the device tree |
//! | `u-dma-buf`, a module of its own | [`ReservedMemory::u_dma_buf`] | as it is opened | the module |
//! | huge pages of this process | [`Device::physical_memory`] | coherent on x86, else by hand | root, the opt-in |
//!
//! The first two are memory that the kernel gave away for good: an engine that runs on when its driver is gone writes
//! where nobody else is. The last is found by asking `/proc/self/pagemap` where a page is. Nothing tells the kernel
//! that a device uses it: when this process ends, the page goes to whoever is next, with the engine still writing to it.
//! So it needs the user's word, [`OpenOptions::accept_dma_risk`](crate::device::OpenOptions::accept_dma_risk).
//!
//! There is none from a dma-heap (`/dev/dma_heap/NAME`). A heap tells no address, so that it would be found by
//! `pagemap` too, with all that is wrong with that; and `DMA_BUF_IOCTL_SYNC` syncs the caches for devices that a driver in the
//! kernel has attached to the buffer (`drivers/dma-buf/heaps/system_heap.c`), of which ours is none. Huge pages do the same.
//!
//! # States of a block
//!
//! ```text
//!            alloc            for_device(direction)
//!   memory ─────────▶ Block ────────────────────────▶ DeviceOwned
//!      ▲             the CPU's                         the device's: an address, and no way to the bytes
//!      │               │ │ ▲                               │   │
//!      │               │ │ └──────────── for_cpu ──────────┘   │
//!      │ drop          │ └─ into_shared ─▶ Shared: both at any time; not where caches are synced by hand
//!      └───────────────┴───────────────────────────────────────┘
//! ```
//!
//! # Cache rules
//!
//! - **Uncached** ([`Coherence::Uncached`]): UIO maps a carve-out with `pgprot_noncached`. Reads and writes go to memory;
//!   what is left to do is order, which the hand-overs give ([`dma_wmb`], [`dma_rmb`]). On arm64 this is device memory: an
//!   access that is not aligned to its width, or an instruction that clears a cache line, is a bus error. So all accesses
//!   here are volatile, of 1 or 8 bytes, or of the width that is asked for, and aligned; there is no slice into a block,
//!   for a slice would be filled by `memcpy` or `memset`. An emulator does not mind either.
//! - **Coherent** ([`Coherence::Coherent`]): cached, and the device sees the caches. As uncached, and faster.
//! - **By hand** ([`Coherence::ByHand`]): cached, and the device sees memory only. `for_device` writes back what the
//!   CPU has in its caches, `for_cpu` drops it. Blocks share no cache line: one block's write-back is not another's
//!   overwritten data ([`LINE`]). There is no [`Shared`] here.
//!
//! # Contexts
//!
//! `alloc` and the drop of a block take a mutex for a few steps, and `alloc` allocates: not in a top half. The
//! accessors and, but for `ByHand`, the hand-overs take no lock and make no system call.
//!
//! # Lock order
//!
//! The space of a memory, alone; the turn of `u-dma-buf`'s files, alone.
//!
//! Neighbours: the [parent](super) is the way where there is an IOMMU. `sys/` opens the files and the maps; a map is an
//! [`IoRegion`], so that a device that is gone says [`Gone`](crate::io::AccessError::Gone) here as at its registers.
//!
//! Mirrors `Documentation/devicetree/bindings/reserved-memory/`, `dma_declare_coherent_memory` and `dma_sync_*`.
//!
//! [`Device::reserved_memory`]: crate::device::Device
//! [`Device::physical_memory`]: crate::device::Device
//! [`dma_wmb`]: super::dma_wmb
//! [`dma_rmb`]: super::dma_rmb

mod block;
#[cfg(all(target_arch = "aarch64", not(loom)))]
mod cache;
#[cfg(not(loom))]
mod physical;
mod space;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(not(loom))]
mod u_dma_buf;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use super::Iova;
use super::explain::Bytes;
use crate::error::{Error, Result};
use crate::io::{Io, IoRegion};
pub use block::{Block, DeviceOwned, Shared};
#[cfg(not(loom))]
pub(crate) use physical::huge_pages;
use space::Space;
pub(crate) use sync::{CacheSync, Ordered};

/// Bytes that a block is a multiple of, and aligned to: the largest cache line of the machines that Linux runs on without
/// coherent devices (`ARCH_DMA_MINALIGN` of arm64).
pub const LINE: usize = 128;

/// What the CPU and the device see of each other's writes. See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coherence {
    /// The CPU has none of it in its caches.
    Uncached,
    /// The device sees the CPU's caches.
    Coherent,
    /// The caches are written back and dropped at each hand-over.
    ByHand,
}

/// One contiguous piece of memory that a device without an IOMMU reaches. Cheap to clone; see the [module](self).
///
/// It is there until the last clone and the last block are gone.
#[derive(Clone)]
pub struct ReservedMemory(Arc<Inner>);

pub(super) struct Inner {
    name: String,
    bus: Iova,
    region: IoRegion,
    sync: Box<dyn CacheSync>,
    space: Mutex<Space>,
}

impl ReservedMemory {
    /// The memory behind `region`, which the device has from `bus` on; `name` is for messages.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it has no bytes, or its addresses do not fit into 64 bits.
    pub(crate) fn new(
        name: String,
        bus: Iova,
        region: IoRegion,
        sync: Box<dyn CacheSync>,
    ) -> Result<Self> {
        let len = region.size();
        // CAST: a usize has at most 64 bits on Linux.
        if len == 0 || bus.0.checked_add(len as u64 - 1).is_none() {
            let cause = format!("{len:#x} bytes at {bus} are no piece of memory");
            return Err(Error::invalid("cannot use for DMA", name, cause));
        }
        let space = Mutex::new(Space::new(bus.0, len));
        Ok(Self(Arc::new(Inner { name, bus, region, sync, space })))
    }

    /// The memory behind `region`, which the CPU has in no cache and the device from `bus` on: for a device whose
    /// carve-out is told otherwise than by a name of its regions.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it has no bytes, or its addresses do not fit into 64 bits.
    pub fn uncached(name: impl Into<String>, bus: Iova, region: IoRegion) -> Result<Self> {
        Self::new(name.into(), bus, region, Box::new(Ordered(Coherence::Uncached)))
    }

    /// A block of `len` bytes, rounded up to [`LINE`], whose bus address is a multiple of `align`. What is in it is what
    /// was there before.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `len` is 0, or `align` no power of two;
    /// - `ENOMEM` if there is no such piece: the text says how large the largest is.
    #[doc(alias("dma_alloc_coherent", "gen_pool_dma_alloc_align"))]
    pub fn alloc(&self, len: usize, align: usize) -> Result<Block> {
        let refuse = |cause: String| Error::invalid("cannot allocate in", &self.0.name, cause);
        if len == 0 || !align.is_power_of_two() {
            return Err(refuse(format!("{len} bytes at a multiple of {align} are no block")));
        }
        let rounded =
            len.checked_next_multiple_of(LINE).ok_or_else(|| refuse("too long".into()))?;
        let mut space = self.0.space();
        let taken = space.take(rounded, align.max(LINE));
        let offset = taken.ok_or_else(|| self.full(len, align, space.largest()))?;
        drop(space);
        Ok(Block::new(self.clone(), offset, len))
    }

    fn full(&self, len: usize, align: usize, largest: usize) -> Error {
        // CAST: a usize has at most 64 bits on Linux, here and below.
        let (wanted, largest) = (Bytes(len as u64), Bytes(largest as u64));
        Error::new(Errno::ENOMEM, "cannot allocate", format!("{wanted} in {}", self.0.name))
            .with_cause(format!(
                "the largest free piece has {largest}, and it is to be at a multiple of {}",
                Bytes(align as u64)
            ))
            .with_hint("give blocks back, ask for smaller ones, or reserve more memory")
    }

    /// The name, for messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where the device has its first byte.
    pub fn bus_address(&self) -> Iova {
        self.0.bus
    }

    /// Size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "there is always a byte")]
    pub fn len(&self) -> usize {
        self.0.region.size()
    }

    /// Bytes that are in no block.
    pub fn free(&self) -> usize {
        self.0.space().free()
    }

    /// What the CPU and the device see of each other.
    pub fn coherence(&self) -> Coherence {
        self.0.sync.coherence()
    }

    pub(super) fn region(&self) -> &IoRegion {
        &self.0.region
    }

    pub(super) fn sync(&self) -> &dyn CacheSync {
        &*self.0.sync
    }

    fn give_back(&self, offset: usize, len: usize) {
        // Fits: it was rounded up when it was taken.
        self.0.space().give(offset, len.next_multiple_of(LINE));
    }
}

impl Inner {
    fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ReservedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservedMemory")
            .field("name", &self.0.name)
            .field("bus", &format_args!("{}", self.0.bus))
            .field("len", &self.len())
            .field("coherence", &self.coherence())
            .finish_non_exhaustive()
    }
}
