//! Memory mappings: of a device node, of nothing, and their replacement when the device goes away.
#![expect(
    unsafe_code,
    reason = "mapping memory over a mapping is beyond what the compiler can check"
)]

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::unistd::{SysconfVar, sysconf};

use super::sigbus::{FaultMark, Watch, replace_by_ones};
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
    /// Before `pages`, for fields are dropped in order: the handler of faults forgets the pages, then they go.
    _watch: Option<Watch>,
    pages: MmapRaw,
    len: usize,
    gone: Arc<AtomicBool>,
}

impl Mapping {
    /// Maps `len` bytes of `fd` at `offset`, shared, readable and writable, with every page present; `thing` is
    /// what is mapped, for messages.
    ///
    /// An access that finds no memory, since the device is being unplugged or reset, sets `mark` and reads as
    /// ones; see [`sigbus`](super::sigbus). All mappings of a device share its mark.
    ///
    /// # Errors
    ///
    /// What the kernel says; `ENODEV` if the device went away just now: a page that is touched first by a
    /// call can fail (`EFAULT`). Memory of a bus has its pages from the start, and knows no such call
    /// (`EINVAL`). `ENOSPC` if the process has as many mappings of devices as it may have.
    pub(crate) fn shared(
        fd: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        mark: &Arc<FaultMark>,
        thing: &dyn fmt::Display,
    ) -> Result<Self> {
        let failed = |error: io::Error| Error::from_io(&error, "cannot map", thing);
        let pages = MmapOptions::new().offset(offset).len(len).map_raw(&fd).map_err(failed)?;
        match pages.advise(Advice::PopulateWrite) {
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                return Err(Error::new(Errno::ENODEV, "cannot map", thing));
            }
            _ => {}
        }
        let (start, end) = whole_pages(pages.as_ptr().addr(), len);
        // SAFETY: the pages are ours until `pages` is dropped, after the watch. They are accessed through
        // pointers only, by those who hold this mapping.
        let watch = unsafe { Watch::new(start, end, mark, thing) }?;
        Ok(Self { _watch: Some(watch), pages, len, gone: Arc::clone(mark.gone()) })
    }

    /// Zeroed memory that stands in for a device.
    pub(crate) fn anonymous(len: usize) -> Result<Self> {
        let failed = |error: &io::Error| Error::from_io(error, "cannot allocate", "a fake region");
        let pages =
            MmapOptions::new().len(len.max(1)).map_anon().map_err(|error| failed(&error))?;
        let gone = Arc::new(AtomicBool::new(false));
        Ok(Self { _watch: None, pages: pages.into(), len, gone })
    }

    /// Whether the device behind it is gone. An access that faulted says so from its own end on.
    #[inline(always)]
    pub(crate) fn is_gone(&self) -> bool {
        // Relaxed: the flag is only ever set, and comes with nothing else.
        self.gone.load(Ordering::Relaxed)
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
    /// A UIO mapping is not revoked when its driver is unbound, and would go on to reach the device.
    pub(crate) fn replace_by_ones(&self) -> Result<(), Errno> {
        let (start, end) = whole_pages(self.base().as_ptr().addr(), self.len);
        // SAFETY: these are exactly the pages that `self.pages` owns and unmaps on drop.
        unsafe { replace_by_ones(start, end) }
    }
}

/// The pages in which `len` bytes at `start` lie: the first address, and one past the last.
fn whole_pages(start: usize, len: usize) -> (usize, usize) {
    let page = page_size();
    (start - start % page, (start + len.max(1)).next_multiple_of(page))
}
