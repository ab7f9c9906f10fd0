//! [`Pages`]: memory that is mapped for a device as a whole.
#![expect(unsafe_code, reason = "memory that a device writes is reached through pointers only")]

use std::fmt;
use std::ptr::NonNull;

use crate::error::Result;
use crate::sys::mmap::{Mapping, page_size};
#[cfg(not(loom))]
use crate::sys::vfio::DmaMemory;

/// Zeroed memory of whole pages. What a device may be writing is never behind a reference: it is copied in and
/// out, by volatile accesses.
pub struct Pages {
    mapping: Mapping,
}

impl Pages {
    /// At least `len` bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    pub fn zeroed(len: usize) -> Result<Self> {
        Ok(Self { mapping: Mapping::anonymous(len.max(1).next_multiple_of(page_size()))? })
    }

    /// Where they are in this process; aligned to a page.
    pub fn address(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    /// Size in bytes, a multiple of the page.
    #[expect(clippy::len_without_is_empty, reason = "there is always a page")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Copies out as many bytes as `buf` has.
    ///
    /// # Panics
    ///
    /// If they are not all inside: the caller has checked.
    pub fn read(&self, offset: usize, buf: &mut [u8]) {
        let start = self.at(offset, buf.len());
        for (index, byte) in buf.iter_mut().enumerate() {
            // SAFETY: `start + index` is inside the mapping, which `at` checked.
            *byte = unsafe { start.add(index).read_volatile() };
        }
    }

    /// Copies `data` in.
    ///
    /// # Panics
    ///
    /// If the bytes are not all inside: the caller has checked.
    pub fn write(&self, offset: usize, data: &[u8]) {
        let start = self.at(offset, data.len());
        for (index, &byte) in data.iter().enumerate() {
            // SAFETY: `start + index` is inside the mapping, which `at` checked.
            unsafe { start.add(index).write_volatile(byte) };
        }
    }

    fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len());
        assert!(inside, "{len} bytes at {offset} are outside {} bytes of pages", self.len());
        // SAFETY: `offset` is inside the mapping.
        unsafe { self.address().add(offset) }
    }
}

// SAFETY: the mapping is the pages' own as long as they live, and is reached by volatile accesses only.
#[cfg(not(loom))]
unsafe impl DmaMemory for Pages {
    fn address(&self) -> NonNull<u8> {
        Self::address(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("len", &self.len()).finish_non_exhaustive()
    }
}
