//! `/proc/self/pagemap`: which physical page is behind an address of this process.
//!
//! An entry of 8 bytes for each page of the machine's size: bits 0 to 54 are the number of the page frame, bit 62 says
//! that it is swapped out, bit 63 that it is present. Without `CAP_SYS_ADMIN` the frame reads as 0, which is no
//! error and no address. See `Documentation/admin-guide/mm/pagemap.rst`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::mmap::page_size;
use crate::error::{Error, Result};

const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The file, opened once.
#[derive(Debug)]
pub(crate) struct Pagemap {
    file: File,
    path: PathBuf,
    page: usize,
}

impl Pagemap {
    /// That of this process.
    pub(crate) fn open() -> Result<Self> {
        Self::open_at(Path::new("/proc/self/pagemap"), page_size())
    }

    /// That at `path`, of pages of `page` bytes.
    pub(crate) fn open_at(path: &Path, page: usize) -> Result<Self> {
        let file = File::open(path)
            .map_err(|error| Error::from_io(&error, "cannot open", path.display()))?;
        Ok(Self { file, path: path.to_owned(), page })
    }

    /// Bytes of a page.
    pub(crate) fn page(&self) -> usize {
        self.page
    }

    /// The physical address of the page at `address`, which is a multiple of the page.
    ///
    /// # Errors
    ///
    /// - `EPERM` if the kernel hides it: it would read as page 0, to which no device may be sent;
    /// - `EFAULT` if the page is not present.
    pub(crate) fn physical(&self, address: usize) -> Result<u64> {
        let refuse = |errno, cause| {
            let thing = format!("the physical address of {address:#x}");
            Error::new(errno, "cannot find", thing).with_cause(cause)
        };
        let mut entry = [0; 8];
        // CAST: a usize has at most 64 bits on Linux, here and below.
        let place = (address / self.page) as u64 * 8;
        self.file
            .read_exact_at(&mut entry, place)
            .map_err(|error| Error::from_io(&error, "cannot read", self.path.display()))?;
        let entry = u64::from_ne_bytes(entry);
        if entry & PRESENT == 0 {
            return Err(refuse(Errno::EFAULT, "the page is not in memory now"));
        }
        if entry & FRAME == 0 {
            let error = refuse(Errno::EPERM, "the kernel hides it: it says page 0");
            return Err(error.with_hint("run as root, with CAP_SYS_ADMIN"));
        }
        (entry & FRAME)
            .checked_mul(self.page as u64)
            .ok_or_else(|| refuse(Errno::EOVERFLOW, "it does not fit into 64 bits"))
    }
}
