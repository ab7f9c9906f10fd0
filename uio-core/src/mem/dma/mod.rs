//! DMA: memory that a device reads and writes: through the IOMMU and nowhere else, or, where there is none, in memory
//! that was set aside.
//!
//! # Vocabulary
//!
//! - **IOVA**: an address as the device uses it. The IOMMU translates it; it is never a physical address.
//! - **pages**: memory of this process, pinned while it is mapped ([`Pages`]).
//! - **domain**: the addresses of one device: which may be used, and which are ([`Domain`]).
//! - **IOMMU**: what maps pages at an IOVA ([`Iommu`]): the kernel's, or a model's.
//!
//! # Which memory
//!
//! | for | there is | the kernel's |
//! | --- | --- | --- |
//! | rings, tables, status words: both sides at any time | [`CoherentBox`], then [`Coherent`] | `dma_alloc_coherent` |
//! | the same, small and many | [`Pool`] | `dma_pool` |
//! | payload: one side at a time, in one direction | [`Buffer`], then [`Mapping`] | `dma_map_single` |
//!
//! Where there is no IOMMU, as on most boards with a device tree, none of these can be had: there is
//! [`ReservedMemory`], memory that somebody has set aside for the device.
//!
//! # The rule of release
//!
//! A buffer is unmapped before it is freed, and kept where unmapping fails. That the device has stopped using it is the
//! driver's business: its drop stops the engine first. What [`Devres`](../../device/struct.Devres.html) manages is
//! released in the reverse order of `probe`: interrupts, then buffers, then regions. The device comes last: it switches
//! off bus mastering, and only then unmaps what is mapped still ([`Domain::shut_down`]). The arguments are in `domain`.
//!
//! Lock order: a domain's state, then whatever the [`Iommu`] takes; the owner of [`Pages`] last.
//!
//! Mirrors `include/linux/dma-mapping.h`, `rust/kernel/dma.rs` and `drivers/iommu/iova.c`.

pub mod barrier;
mod buffer;
mod coherent;
mod coherent_box;
mod domain;
pub(crate) mod explain;
pub mod iova;
mod mapped;
mod mapping;
mod pages;
mod pool;
pub mod reserved;
mod volatile;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::error::Result;
pub use barrier::{dma_mb, dma_rmb, dma_wmb};
pub use buffer::Buffer;
pub use coherent::Coherent;
pub use coherent_box::CoherentBox;
pub use domain::{Domain, Usage};
pub use mapping::{CpuAccess, MapError, Mapping};
pub use pages::Pages;
pub use pool::Pool;
pub use reserved::{Block, Coherence, DeviceOwned, ReservedMemory, Shared};

/// An address as a device uses it: `dma_addr_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iova(pub u64);

impl fmt::Display for Iova {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "dma_data_direction")]
pub enum Direction {
    /// The device reads.
    ToDevice,
    /// The device writes.
    FromDevice,
    /// Both.
    Bidirectional,
}

impl Direction {
    /// Whether the device reads.
    #[must_use]
    pub const fn device_reads(self) -> bool {
        matches!(self, Self::ToDevice | Self::Bidirectional)
    }

    /// Whether the device writes.
    #[must_use]
    pub const fn device_writes(self) -> bool {
        matches!(self, Self::FromDevice | Self::Bidirectional)
    }
}

/// The addresses that a device can put on the bus: the lowest so many bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mask(u32);

impl Mask {
    /// `n` bits, 1 to 64.
    ///
    /// # Panics
    ///
    /// If `n` is 0 or more than 64: when the program is compiled, if it is a constant.
    #[must_use]
    #[doc(alias = "DMA_BIT_MASK")]
    pub const fn bits(n: u32) -> Self {
        assert!(n >= 1 && n <= 64, "a DMA mask has 1 to 64 bits");
        Self(n)
    }

    /// The highest address.
    #[must_use]
    pub const fn max(self) -> Iova {
        Iova(u64::MAX >> (64 - self.0))
    }
}

/// What a backend supplies: the kernel's IOMMU behind a VFIO container, or that of a simulated bus.
///
/// Mirrors `struct iommu_domain_ops` (`include/linux/iommu.h`).
pub trait Iommu: Send + Sync {
    /// The addresses that may be used, inclusive at both ends, in order.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    fn ranges(&self) -> Result<Vec<RangeInclusive<u64>>>;

    /// The smallest page, in bytes: addresses and lengths are multiples of it.
    fn granule(&self) -> u64;

    /// How many more mappings the kernel takes, if it counts them.
    fn available(&self) -> Option<u32>;

    /// Lets the device reach all of `pages` from `iova` on.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC`, `EEXIST`, `EINVAL` with what to do about it.
    fn map(&self, iova: Iova, pages: &Arc<Pages>, direction: Direction) -> Result<()>;

    /// Takes away again what one [`map`](Self::map) gave. When it returns, the device reaches it no more.
    ///
    /// # Errors
    ///
    /// What the kernel says; then the device may still reach it.
    fn unmap(&self, iova: Iova, len: u64) -> Result<()>;
}

#[cfg(all(test, not(loom)))]
mod tests;
