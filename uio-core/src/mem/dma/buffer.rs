//! [`Buffer`]: bytes in pages of their own, which can be mapped for a device without being copied.
#![expect(unsafe_code, reason = "references into pages are made of pointers")]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Domain, Pages};
use crate::error::{Error, Result};

/// Bytes that a [`Mapping`](super::Mapping) can hand to a device and back. A `Box<[u8]>` on whole pages, so that a
/// device that reaches the bytes reaches nothing else.
pub struct Buffer {
    // The CPU owns them, and nobody else has a way to write to them: the domain has dropped its share, or the device
    // cannot reach them, since it was shut down.
    pages: Arc<Pages>,
    len: usize,
}

impl Buffer {
    /// `len` zeroed bytes.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `len` is 0;
    /// - `ENOMEM` if there is no memory.
    pub fn zeroed(len: usize) -> Result<Self> {
        Self::over(Pages::zeroed(len)?, len)
    }

    /// `len` zeroed bytes on pages that the IOMMU of `domain` can map, should its pages be larger than the CPU's.
    ///
    /// # Errors
    ///
    /// As [`zeroed`](Self::zeroed).
    pub fn for_domain(domain: &Domain, len: usize) -> Result<Self> {
        Self::over(domain.pages(len)?, len)
    }

    /// `len` zeroed bytes in huge pages.
    ///
    /// # Errors
    ///
    /// As [`zeroed`](Self::zeroed), and as [`Pages::huge`].
    pub fn huge(len: usize) -> Result<Self> {
        Self::over(Pages::huge(len)?, len)
    }

    /// A copy of `data`.
    ///
    /// # Errors
    ///
    /// As [`zeroed`](Self::zeroed).
    pub fn copy_of(data: &[u8]) -> Result<Self> {
        let mut buffer = Self::zeroed(data.len())?;
        buffer.copy_from_slice(data);
        Ok(buffer)
    }

    fn over(pages: Pages, len: usize) -> Result<Self> {
        if len == 0 {
            return Err(Error::invalid("cannot allocate", "a DMA buffer", "it has no bytes"));
        }
        Ok(Self::owned(Arc::new(pages), len))
    }

    /// The buffer of `len` bytes in `pages`, which no device reaches, or which the caller keeps it from.
    pub(super) fn owned(pages: Arc<Pages>, len: usize) -> Self {
        pages.give_to_cpu();
        Self { pages, len }
    }

    pub(super) fn into_parts(self) -> (Arc<Pages>, usize) {
        (self.pages, self.len)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let slice = NonNull::slice_from_raw_parts(self.pages.at(0, self.len), self.len);
        // SAFETY: the bytes are in the pages, the CPU owns these, and the only way to them is this buffer, which is
        // borrowed.
        unsafe { slice.as_ref() }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let mut slice = NonNull::slice_from_raw_parts(self.pages.at(0, self.len), self.len);
        // SAFETY: as in `deref`; the buffer is borrowed alone.
        unsafe { slice.as_mut() }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}
