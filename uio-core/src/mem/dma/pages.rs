//! [`Pages`]: memory that is mapped for a device as a whole.
//!
//! # Vocabulary
//!
//! - **owner**: who may reach the pages now, the device or the CPU. It changes by `sync_for_cpu` and
//!   `sync_for_device`; coherent memory, once shared, is the device's for good, and the CPU reaches it by volatile
//!   accesses beside it.
//!
//! # Why a reference never meets a write of the device
//!
//! References into pages exist only while the CPU owns them. A device that is a model in this process comes in by
//! [`Pages::read`] and [`Pages::write`], which hold `owner` for reading while they copy; the owner changes with it
//! held for writing. So no copy is under way when the CPU becomes the owner, and none begins until it is no more:
//! what the model reads in between is all ones, and what it writes is dropped, as by an IOMMU that says no. It is
//! counted ([`Pages::refused`]), for on real hardware it is a silent bug. A real device is kept out by the driver
//! alone: that is the contract of `dma_sync_*`, here as in the kernel.
#![expect(unsafe_code, reason = "memory that a device writes is reached through pointers only")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use nix::errno::Errno;

use super::{explain, volatile};
use crate::error::{Error, Result};
use crate::sys::mmap::page_size;
use crate::sys::pages::{HUGE_PAGE, PopulatedPages};
#[cfg(not(loom))]
use crate::sys::vfio::DmaMemory;

/// Who may reach the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Cpu,
    Device,
}

/// Zeroed memory of whole pages, which are present from the start. What a device may be writing is never behind a
/// reference: it is copied in and out, by volatile accesses.
///
/// The pages are not in children of this process: after a `fork`, whoever writes first gets a copy, and that could
/// be the parent, whose device would then go on with pages that nobody reads.
pub struct Pages {
    memory: PopulatedPages,
    page: usize,
    owner: RwLock<Owner>,
    refused: AtomicU64,
}

impl Pages {
    /// At least `len` bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    pub fn zeroed(len: usize) -> Result<Self> {
        Self::aligned(len, 1)
    }

    /// At least `len` bytes, rounded up to whole pages and to `granule`, a power of two, and aligned to both.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    ///
    /// # Panics
    ///
    /// If `granule` is not a power of two.
    pub fn aligned(len: usize, granule: usize) -> Result<Self> {
        assert!(granule.is_power_of_two(), "a granule is a power of two, not {granule:#x}");
        let align = granule.max(page_size());
        let memory = rounded(len, align).and_then(|len| PopulatedPages::normal(len, align));
        let memory = memory.map_err(|errno| {
            Error::new(errno, "cannot allocate", format!("{len} bytes of DMA memory"))
        })?;
        Ok(Self::new(memory, page_size()))
    }

    /// At least `len` bytes in huge pages of 2 MiB, rounded up to whole ones.
    ///
    /// A huge page takes one entry of the IOMMU and of the CPU's address cache where normal pages take 512. They
    /// are set aside by the administrator. That one is missing shows here, and not as a SIGBUS later.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there are not so many free huge pages: the text says how many are missing, and where to add
    /// them. There is no silent way back to normal pages: whoever can do with these says so, by calling
    /// [`zeroed`](Self::zeroed).
    pub fn huge(len: usize) -> Result<Self> {
        let memory = rounded(len, HUGE_PAGE).and_then(PopulatedPages::huge);
        let memory = memory.map_err(|errno| explain::no_huge_pages(errno, len))?;
        Ok(Self::new(memory, HUGE_PAGE))
    }

    fn new(memory: PopulatedPages, page: usize) -> Self {
        Self { memory, page, owner: RwLock::new(Owner::Device), refused: AtomicU64::new(0) }
    }

    /// Where they are in this process; aligned to a page.
    pub fn address(&self) -> NonNull<u8> {
        self.memory.base()
    }

    /// Size in bytes, a multiple of the page.
    #[expect(clippy::len_without_is_empty, reason = "there is always a page")]
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// Size of a page in bytes: the machine's, or 2 MiB of huge pages.
    pub fn page_size(&self) -> usize {
        self.page
    }

    /// Copies out as many bytes as `buf` has: a device's read, when the device is a model. All ones while the CPU
    /// owns the pages.
    ///
    /// # Panics
    ///
    /// If they are not all inside: the caller has checked.
    pub fn read(&self, offset: usize, buf: &mut [u8]) {
        let start = self.at(offset, buf.len());
        let owner = self.owner.read().unwrap_or_else(PoisonError::into_inner);
        if *owner == Owner::Cpu {
            self.refused.fetch_add(1, Ordering::Relaxed);
            buf.fill(u8::MAX);
            return;
        }
        // SAFETY: the bytes are inside the mapping, which `at` checked; and while the owner is the device, and held
        // to be, there is no reference to them.
        unsafe { volatile::load(start, buf) };
    }

    /// Copies `data` in: a device's write, when the device is a model. Nothing is written while the CPU owns the
    /// pages.
    ///
    /// # Panics
    ///
    /// If the bytes are not all inside: the caller has checked.
    pub fn write(&self, offset: usize, data: &[u8]) {
        let start = self.at(offset, data.len());
        let owner = self.owner.read().unwrap_or_else(PoisonError::into_inner);
        if *owner == Owner::Cpu {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // SAFETY: as in `read`.
        unsafe { volatile::store(start, data) };
    }

    /// How many reads and writes of a model came while the CPU owned the pages: bugs, of the driver or the model.
    pub fn refused(&self) -> u64 {
        // Relaxed: a figure.
        self.refused.load(Ordering::Relaxed)
    }

    /// From now on the CPU may have references into the pages. Waits for a copy that is under way.
    pub(super) fn give_to_cpu(&self) {
        *self.owner.write().unwrap_or_else(PoisonError::into_inner) = Owner::Cpu;
    }

    /// From now on there is no reference into the pages.
    pub(super) fn give_to_device(&self) {
        *self.owner.write().unwrap_or_else(PoisonError::into_inner) = Owner::Device;
    }

    /// Where `len` bytes at `offset` are.
    ///
    /// # Panics
    ///
    /// If they are not all inside.
    #[inline(always)]
    pub(super) fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len());
        assert!(inside, "{len} bytes at {offset} are outside {} bytes of pages", self.len());
        // SAFETY: `offset` is inside the mapping.
        unsafe { self.address().add(offset) }
    }
}

fn rounded(len: usize, to: usize) -> Result<usize, Errno> {
    len.max(1).checked_next_multiple_of(to).ok_or(Errno::ENOMEM)
}

// SAFETY: the memory is the pages' own as long as they live. References into it exist only while the CPU owns it,
// which is while the device does not reach it; see the module.
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
        f.debug_struct("Pages")
            .field("len", &self.len())
            .field("page_size", &self.page)
            .finish_non_exhaustive()
    }
}
