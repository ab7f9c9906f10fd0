//! [`Mapping`]: a buffer that is handed to a device, and back. The kernel's streaming DMA.
//!
//! # Vocabulary
//!
//! - **owner**: the device, from the mapping on; the CPU, while a [`CpuAccess`] is held; and for good after `unmap`.
//!
//! # States
//!
//! ```text
//!             Mapping::new                       sync_for_cpu
//!   Buffer ─────────────────▶ Mapping ─────────────────────────────────▶ CpuAccess
//!   the CPU's: &mut [u8]      the device's      ◀──────────────────      the CPU's: &mut [u8]
//!      ▲                         │               drop, sync_for_device
//!      └───────── unmap ─────────┘
//! ```
//!
//! While the device owns the buffer there is no way to its bytes: not because a check fails, but because there is
//! no method. So what the kernel's documentation asks of drivers ("the CPU must not touch it") the compiler sees to:
//!
//! ```compile_fail
//! # fn f(mapping: uio_core::mem::dma::Mapping) {
//! let byte = mapping[0];
//! # }
//! ```
//!
//! ```compile_fail
//! # fn f(mut mapping: uio_core::mem::dma::Mapping) {
//! let cpu = mapping.sync_for_cpu();
//! let buffer = mapping.unmap(); // the CPU has it still
//! drop(cpu);
//! # }
//! ```
//!
//! # What `sync` does
//!
//! On x86 and on arm64 behind an IOMMU, as VFIO has it, devices see the CPU's caches: nothing is flushed or copied.
//! What is left of `dma_sync_*` is order ([`dma_rmb`], [`dma_wmb`]) and ownership. Where pages are bounced, the
//! kernel does not give them to VFIO.
//!
//! Handing over takes a lock that a model holds while it copies; with a real device nobody else ever takes it, so both
//! may be called where nothing may sleep.
//!
//! The [`Direction`] is a right: a device that writes to a buffer mapped `ToDevice` meets the IOMMU.
//!
//! Mirrors `dma_map_single` (`Documentation/core-api/dma-api.rst`).

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::barrier::{dma_rmb, dma_wmb};
use super::mapped::Mapped;
use super::{Buffer, Direction, Domain, Iova};
use crate::error::{Error, Result};

/// A buffer that a device owns. See the [module](self).
///
/// The drop unmaps it, and frees the buffer. Before that, the driver has stopped the device from using it.
#[doc(alias("dma_map_single", "dma_unmap_single", "dma_map_page", "dma_map_sg"))]
pub struct Mapping {
    memory: Mapped,
    len: usize,
    direction: Direction,
}

impl Mapping {
    /// Hands `buffer` to the device of `domain`, which sees all that was written to it before.
    ///
    /// # Errors
    ///
    /// What the kernel says when it maps, with what to do about it; and the buffer, as it was.
    pub fn new(
        domain: &Arc<Domain>,
        buffer: Buffer,
        direction: Direction,
    ) -> Result<Self, MapError> {
        let (pages, len) = buffer.into_parts();
        pages.give_to_device();
        dma_wmb();
        match domain.map(Arc::clone(&pages), direction) {
            Ok(memory) => Ok(Self { memory, len, direction }),
            Err(error) => Err(MapError { error, buffer: Buffer::owned(pages, len) }),
        }
    }

    /// Where the device has it: what goes into its registers.
    #[doc(alias = "dma_addr_t")]
    pub fn iova(&self) -> Iova {
        self.memory.iova()
    }

    /// Size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a buffer has a byte at least")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Which way data goes.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Hands the buffer to the CPU, until the guard is dropped; it sees all that the device has written. The driver
    /// knows from the device that it is done with it.
    ///
    /// A driver that forgets the guard (`std::mem::forget`) leaves the buffer with the CPU.
    #[doc(alias("dma_sync_single_for_cpu", "dma_sync_sg_for_cpu"))]
    pub fn sync_for_cpu(&mut self) -> CpuAccess<'_> {
        let (pages, len) = (Arc::clone(self.memory.shared()), self.len);
        // Takes the pages for the CPU, and after that reads nothing that was read before.
        let bytes = Buffer::owned(pages, len);
        dma_rmb();
        CpuAccess { bytes, mapping: self }
    }

    /// Takes the buffer back from the device for good.
    ///
    /// # Errors
    ///
    /// What the kernel says when it will not unmap. The device may reach the buffer still, so it is not given back:
    /// the domain keeps it. Whoever wants what is in it calls [`sync_for_cpu`](Self::sync_for_cpu) first.
    pub fn unmap(self) -> Result<Buffer> {
        let pages = self.memory.unmap()?;
        let buffer = Buffer::owned(pages, self.len);
        dma_rmb();
        Ok(buffer)
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("iova", &format_args!("{}", self.iova()))
            .field("len", &self.len)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

/// The bytes of a [`Mapping`], while the CPU owns them. The drop hands them back to the device.
#[must_use = "the device owns the buffer again when this is dropped"]
pub struct CpuAccess<'a> {
    bytes: Buffer,
    /// Borrowed, so that there is one access at a time, and none after `unmap`.
    mapping: &'a mut Mapping,
}

impl CpuAccess<'_> {
    /// Hands the buffer back to the device, which sees all that was written to it. As the drop does.
    #[doc(alias("dma_sync_single_for_device", "dma_sync_sg_for_device"))]
    pub fn sync_for_device(self) {}
}

impl Drop for CpuAccess<'_> {
    fn drop(&mut self) {
        dma_wmb();
        self.mapping.memory.pages().give_to_device();
    }
}

impl Deref for CpuAccess<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for CpuAccess<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for CpuAccess<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuAccess").field("mapping", &self.mapping).finish_non_exhaustive()
    }
}

/// A buffer that could not be mapped, and why.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct MapError {
    error: Error,
    buffer: Buffer,
}

impl MapError {
    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The buffer, as it was.
    pub fn into_buffer(self) -> Buffer {
        self.buffer
    }
}

impl From<MapError> for Error {
    fn from(failed: MapError) -> Self {
        failed.error
    }
}
