//! Memory for devices: pages of this process that are there before anyone asks for them.
//!
//! See `mmap(2)` and `madvise(2)`; for huge pages `Documentation/admin-guide/mm/hugetlbpage.rst`.
#![expect(unsafe_code, reason = "memory is unmapped, and first touched, through pointers")]

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use super::mmap::page_size;

/// Size of a huge page, in bytes.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// Zeroed pages of this process, unmapped on drop. Every page is present and private.
#[derive(Debug)]
pub(crate) struct PopulatedPages {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the pages belong to the process, and the pointer is only read.
unsafe impl Send for PopulatedPages {}
// SAFETY: as above; who accesses what is behind the pointer answers for it.
unsafe impl Sync for PopulatedPages {}

impl PopulatedPages {
    /// `len` bytes, a multiple of the page, at a multiple of `align`, a power of two.
    pub(crate) fn normal(len: usize, align: usize) -> Result<Self, Errno> {
        let extra = align.saturating_sub(page_size());
        let mut pages = Self::map(len.checked_add(extra).ok_or(Errno::ENOMEM)?, MapFlags::empty())?;
        let front = pages.base.as_ptr().addr().next_multiple_of(align) - pages.address();
        pages.cut_front(front)?;
        pages.cut_back(pages.len - len)?;
        pages.populate(page_size())
    }

    /// `len` bytes, a multiple of [`HUGE_PAGE`], in huge pages.
    pub(crate) fn huge(len: usize) -> Result<Self, Errno> {
        Self::map(len, MapFlags::MAP_HUGETLB | MapFlags::MAP_HUGE_2MB)?.populate(HUGE_PAGE)
    }

    /// Where they begin.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn address(&self) -> usize {
        self.base.as_ptr().addr()
    }

    fn map(len: usize, more: MapFlags) -> Result<Self, Errno> {
        let length = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the place, so nothing that is mapped is touched.
        let base = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE | more) }?;
        Ok(Self { base: base.cast(), len })
    }

    /// Unmaps the first `len` bytes.
    fn cut_front(&mut self, len: usize) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        // SAFETY: they belong to the mapping, and nobody has a pointer to them.
        unsafe { munmap(self.base.cast(), len) }?;
        // SAFETY: more than `len` bytes were mapped.
        self.base = unsafe { self.base.add(len) };
        self.len -= len;
        Ok(())
    }

    /// Unmaps the last `len` bytes.
    fn cut_back(&mut self, len: usize) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        // SAFETY: the offset is inside the mapping.
        let end = unsafe { self.base.add(self.len - len) };
        // SAFETY: they belong to the mapping, and nobody has a pointer to them.
        unsafe { munmap(end.cast(), len) }?;
        self.len -= len;
        Ok(())
    }

    /// Has every page present and written to, and kept from children.
    ///
    /// A huge page that is missing would be a SIGBUS at the first touch; here it is an error. A page that was only
    /// read is the kernel's common page of zeros: pinned for a device that reads, it would stay the zeros that it
    /// is while this process writes to another. A child that shared the pages would make the next write of either
    /// go to a copy, of which the device knows nothing: `MADV_DONTFORK`.
    fn populate(self, page: usize) -> Result<Self, Errno> {
        match self.advise(MmapAdvise::MADV_POPULATE_WRITE) {
            // Kernels before 5.14 do not know it.
            Err(Errno::EINVAL) => self.touch(page),
            other => other?,
        }
        self.advise(MmapAdvise::MADV_DONTFORK)?;
        Ok(self)
    }

    fn advise(&self, advice: MmapAdvise) -> Result<(), Errno> {
        let base: NonNull<c_void> = self.base.cast();
        // SAFETY: the range is the mapping; neither advice changes what is in it.
        unsafe { madvise(base, self.len, advice) }
    }

    fn touch(&self, page: usize) {
        for offset in (0..self.len).step_by(page) {
            // SAFETY: the offset is inside the mapping.
            let at = unsafe { self.base.add(offset) };
            // SAFETY: the byte is mapped, and nobody else knows of it yet. The mapping reserved its huge pages.
            unsafe { at.write_volatile(0) };
        }
    }
}

impl Drop for PopulatedPages {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping, and whoever accessed it is done, for it is borrowed from here.
        let unmapped = unsafe { munmap(self.base.cast(), self.len) };
        debug_assert_eq!(unmapped, Ok(()), "a mapping of this process can be unmapped");
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs;

    use super::*;

    /// The lines about the mapping at `address` in the kernel's list.
    fn smaps(address: usize) -> String {
        let all = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = all.lines().skip_while(|line| {
            let range = line.split_once('-').map(|(from, rest)| (from, rest.split(' ').next()));
            let Some((from, Some(to))) = range else { return true };
            let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
            !(number(from)..number(to)).contains(&address)
        });
        let first = lines.next().unwrap_or_default().to_owned();
        let rest = lines.take_while(|line| !line.starts_with("VmFlags"));
        let mut found = vec![first];
        found.extend(rest.map(str::to_owned));
        found.join("\n")
    }

    fn flags(address: usize) -> String {
        let all = fs::read_to_string("/proc/self/smaps").unwrap();
        let at = all.find(smaps(address).lines().next().unwrap()).unwrap();
        let line = all[at..].lines().find(|line| line.starts_with("VmFlags")).unwrap();
        line.to_owned()
    }

    #[test]
    fn pages_are_there_from_the_start_and_not_in_children() {
        let pages = PopulatedPages::normal(1 << 20, page_size()).unwrap();
        assert_eq!(pages.len(), 1 << 20);
        assert!(flags(pages.address()).contains(" dc"), "{}", flags(pages.address()));
        let present = smaps(pages.address());
        let resident = present.lines().find(|line| line.starts_with("Rss:")).unwrap();
        let kib: usize = resident.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kib >= 1024, "{present}");
    }

    #[test]
    fn pages_are_aligned_as_asked() {
        for order in 12..22 {
            let align = 1 << order;
            let pages = PopulatedPages::normal(page_size(), align.max(page_size())).unwrap();
            assert_eq!((pages.address() % align, pages.len()), (0, page_size()));
        }
    }

    #[test]
    fn what_cannot_be_had_is_an_error_and_no_signal() {
        let half_of_all = 1 << 46;
        assert_eq!(PopulatedPages::normal(half_of_all, page_size()).unwrap_err(), Errno::ENOMEM);
        assert_eq!(PopulatedPages::normal(usize::MAX, 1 << 20).unwrap_err(), Errno::ENOMEM);
        assert!(PopulatedPages::huge(half_of_all).is_err());
        assert_eq!(PopulatedPages::normal(0, page_size()).unwrap_err(), Errno::EINVAL);
    }
}
