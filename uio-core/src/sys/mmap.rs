//! Memory mappings: of a device node, of nothing, and their replacement when the device goes away.
#![expect(
    unsafe_code,
    reason = "mapping memory over a mapping is beyond what the compiler can check"
)]

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::unistd::{SysconfVar, sysconf};

use crate::error::{Error, Result};

/// Size of a page of this machine, in bytes.
pub(crate) fn page_size() -> usize {
    // PANIC: POSIX has `_SC_PAGESIZE` on every system, with a positive value.
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().expect("the page size is known");
    usize::try_from(size).expect("the page size is positive")
}

/// Pages of this process's address space, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    pages: MmapRaw,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of `fd` at `offset`, shared, readable and writable, with every page present.
    ///
    /// A page that is touched for the first time after the device went away would be a SIGBUS, so the pages
    /// are faulted in by a call that can fail: `EFAULT` means that the device went away just now. Memory of a
    /// bus has its pages from the start, and knows no such call (`EINVAL`).
    pub(crate) fn shared(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let pages = MmapOptions::new().offset(offset).len(len).map_raw(&fd)?;
        match pages.advise(Advice::PopulateWrite) {
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                Err(io::Error::from_raw_os_error(libc::ENODEV))
            }
            _ => Ok(Self { pages, len }),
        }
    }

    /// Zeroed memory that stands in for a device.
    pub(crate) fn anonymous(len: usize) -> Result<Self> {
        let failed = |error: &io::Error| Error::from_io(error, "cannot allocate", "a fake region");
        let pages =
            MmapOptions::new().len(len.max(1)).map_anon().map_err(|error| failed(&error))?;
        Ok(Self { pages: pages.into(), len })
    }

    /// Where the mapping starts; aligned to a page.
    pub(crate) fn base(&self) -> NonNull<u8> {
        // PANIC: `mmap` never places a mapping at address 0 unless told to.
        NonNull::new(self.pages.as_mut_ptr()).expect("a mapping is not at address 0")
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts ordinary memory full of ones in the place of the pages, atomically: from then on reads yield
    /// ones, as from a bus where nothing answers, and writes touch nothing real.
    ///
    /// A UIO mapping is not revoked when its driver is unbound, and a page that was not present is a SIGBUS.
    pub(crate) fn replace_by_ones(&self) -> Result<(), Errno> {
        let page = page_size();
        let len = self.len.max(1).next_multiple_of(page);
        let file = File::from(memfd_create("gone", MFdFlags::MFD_CLOEXEC)?);
        let ones = vec![0xFF; page];
        for _ in 0..len / page {
            (&file)
                .write_all(&ones)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        }
        let at = NonZeroUsize::new(self.base().as_ptr().addr());
        // PANIC: `len` is at least a page.
        let length = NonZeroUsize::new(len).expect("a mapping has a page");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED | MapFlags::MAP_POPULATE;
        // SAFETY: the range is exactly the pages that `self.pages` owns and unmaps on drop; the kernel swaps
        // them in one step, so another thread's access meets either the old or the new pages.
        unsafe { mmap(at, length, access, flags, &file, 0) }?;
        Ok(())
    }
}
