//! Memory full of ones that takes the place of a device's registers.
//!
//! It is one file in memory, filled beforehand, for a page that nobody filled reads as zeroes and filling it is
//! nothing for a signal handler. The file is as large as the largest mapping, but at most [`MOST`]: a larger
//! mapping gets it several times in a row. So a graphics card with 256 MiB of registers costs 2 MiB of memory
//! and, when it goes away, 128 calls of `mmap`, instead of 256 MiB from its first mapping on.
//!
//! The mapping is private: what the driver writes after the device went away goes to a copy of the page, and
//! nowhere else. The same mapping reads it back, and the other ones do not.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};

/// The most bytes that the file has: a whole number of pages, whatever their size.
const MOST: usize = 2 << 20;
/// How many bytes are filled at a time: the smallest page there is.
const PIECE: usize = 4096;

/// The file, once there is one; it is never closed.
static FILE: OnceLock<File> = OnceLock::new();
/// How many bytes of it are ones: whole pages.
static FILLED: AtomicUsize = AtomicUsize::new(0);

/// Makes ready what can replace `len` bytes, which are whole pages. Only one caller at a time.
///
/// # Errors
///
/// What the kernel says when it gives out a file in memory, or pages for it.
pub(super) fn prepare(len: usize) -> Result<(), Errno> {
    let file = match FILE.get() {
        Some(file) => file,
        None => {
            let new = File::from(memfd_create("gone", MFdFlags::MFD_CLOEXEC)?);
            FILE.get_or_init(|| new)
        }
    };
    let failed = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let wanted = len.min(MOST);
    // Relaxed: callers take turns.
    let filled = FILLED.load(Ordering::Relaxed);
    for offset in (filled..wanted).step_by(PIECE) {
        file.write_all_at(&[0xFF; PIECE], offset as u64).map_err(failed)?;
    }
    // Release: pairs with the load in `replace`; what is counted is filled.
    FILLED.store(filled.max(wanted), Ordering::Release);
    Ok(())
}

/// Whether there are some, as many as `replace` needs for any length.
pub(super) fn are_ready() -> bool {
    // Acquire: pairs with the store in `prepare`.
    FILLED.load(Ordering::Acquire) > 0
}

/// Replaces the pages from `start` to `end`, for which `prepare` was called, by ones. Each mapping of the file
/// is put in its place in one step, so that another thread's access meets either the old or the new pages.
///
/// For a signal handler too: it makes system calls and nothing else.
///
/// # Errors
///
/// What the kernel says to both ways, a mapping of the file and one of nothing, which would read as zeroes.
///
/// # Safety
///
/// The addresses are whole pages, and nothing but volatile accesses to a device goes there.
pub(super) unsafe fn replace(start: usize, end: usize) -> Result<(), Errno> {
    // Acquire: pairs with the store in `prepare`.
    let step = FILLED.load(Ordering::Acquire);
    let (Some(file), 1..) = (FILE.get(), step) else { return Err(Errno::EBADF) };
    let mut at = start;
    while at < end {
        let len = step.min(end - at);
        // SAFETY: a part of the range that the caller gives up.
        if unsafe { put(at, len, Some(file)) }.is_err() {
            // The process has as many mappings as it may have, perhaps: one for all the rest still fits.
            // SAFETY: as above.
            return unsafe { put(at, end - at, None) };
        }
        at += len;
    }
    Ok(())
}

/// Maps the file, or else zeroes, over `len` bytes at `at`.
///
/// # Safety
///
/// As [`replace`].
unsafe fn put(at: usize, len: usize, file: Option<&File>) -> Result<(), Errno> {
    let (Some(at), Some(len)) = (NonZeroUsize::new(at), NonZeroUsize::new(len)) else {
        return Err(Errno::EINVAL);
    };
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // Nobody means to write there; so no memory is set aside for it.
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED | MapFlags::MAP_NORESERVE;
    match file {
        // SAFETY: by the caller's promise, whatever was mapped there may go.
        Some(file) => unsafe { mmap(Some(at), len, access, flags, file, 0) },
        // SAFETY: as above.
        None => unsafe { mmap_anonymous(Some(at), len, access, flags) },
    }
    .map(drop)
}
