//! Pages of this process as memory for DMA, by the addresses that `/proc/self/pagemap` tells: the raw-physical way.
//!
//! # What is wrong with it
//!
//! The kernel does not know that a device uses the pages. They are huge pages, because these are contiguous in
//! themselves, are never swapped out, and are left alone by compaction. That is not pinning, and `mlock` would not be it
//! either: it keeps a page from being swapped out, not from being moved. A huge page too is moved when its memory is
//! taken offline, when `move_pages` or `migratepages` is told to, or when a contiguous allocation wants its place. And when
//! this process ends, the page is given to somebody else at once, whatever the device still does with it. So this is
//! for a bring-up on a board, and nothing hands it out without the user's word.
//!
//! # Caches
//!
//! The pages are cached. Where the device sees the caches (x86; `dma-coherent` in the device tree) nothing is to be
//! done. On arm64 the caches are cleaned and invalidated by address, which the kernel lets processes do. Elsewhere it
//! is refused.

use std::sync::Arc;

use nix::errno::Errno;

use super::{CacheSync, Coherence, Ordered, ReservedMemory};
use crate::error::{Error, Result};
use crate::io::{AccessError, IoRegion, RegionAccess, Width};
use crate::mem::dma::{Iova, Pages};
use crate::sys::pagemap::Pagemap;

/// Memory of at least `len` bytes in huge pages, of which the device sees the caches if it `is_coherent`.
///
/// The caller has the user's word.
pub(crate) fn huge_pages(len: usize, is_coherent: bool) -> Result<ReservedMemory> {
    let pages = Arc::new(Pages::huge(len)?);
    let bus = contiguous(&Pagemap::open()?, pages.address().as_ptr().addr(), pages.len())?;
    let sync = rules(&pages, is_coherent || cfg!(target_arch = "x86_64"))?;
    let region = IoRegion::access(Arc::new(Behind(pages)), Arc::default());
    ReservedMemory::new("huge pages of this process".to_owned(), bus, region, sync)
}

/// The physical address of `len` bytes at `address`, if all of it is present and in one piece.
fn contiguous(pagemap: &Pagemap, address: usize, len: usize) -> Result<Iova> {
    let first = pagemap.physical(address)?;
    for offset in (0..len).step_by(pagemap.page()) {
        // CAST: a usize has at most 64 bits on Linux.
        let expected = first.checked_add(offset as u64);
        if expected != Some(pagemap.physical(address + offset)?) {
            return Err(Error::new(
                Errno::ENOMEM,
                "cannot use for DMA",
                format!("{len} bytes of this process"),
            )
            .with_cause(format!(
                "they are not contiguous: the piece from {first:#x} on ends after {offset} bytes"
            ))
            .with_hint("ask for one huge page, or have a carve-out in the device tree"));
        }
    }
    Ok(Iova(first))
}

fn rules(pages: &Arc<Pages>, is_coherent: bool) -> Result<Box<dyn CacheSync>> {
    if is_coherent {
        return Ok(Box::new(Ordered(Coherence::Coherent)));
    }
    #[cfg(target_arch = "aarch64")]
    return Ok(Box::new(super::cache::ByAddress(Arc::clone(pages))));
    #[cfg(not(target_arch = "aarch64"))]
    {
        let _ = pages;
        Err(Error::new(Errno::EOPNOTSUPP, "cannot use for DMA", "cached pages")
            .with_cause(
                "the device does not see the caches, and a process may not write them back here",
            )
            .with_hint("have a carve-out in the device tree, which is not cached"))
    }
}

/// Pages as a region.
struct Behind(Arc<Pages>);

impl RegionAccess for Behind {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn read(&self, offset: usize, width: Width) -> Result<u64, AccessError> {
        let mut word = [0; 8];
        self.0.read(offset, &mut word[..width as usize]);
        Ok(u64::from_le_bytes(word))
    }

    fn write(&self, offset: usize, width: Width, value: u64) -> Result<(), AccessError> {
        self.0.write(offset, &value.to_le_bytes()[..width as usize]);
        Ok(())
    }

    fn copy_out(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError> {
        self.0.read(offset, buf);
        Ok(())
    }

    fn copy_in(&self, offset: usize, data: &[u8]) -> Result<(), AccessError> {
        self.0.write(offset, data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::mem::dma::Direction;

    const PRESENT: u64 = 1 << 63;

    /// A pagemap that says so of the pages from 16 on, of `page` bytes each.
    fn pagemap(page: usize, entries: &[u64]) -> (tempfile::TempDir, Pagemap) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pagemap");
        let file = File::create(&path).unwrap();
        for (index, entry) in entries.iter().enumerate() {
            file.write_all_at(&entry.to_ne_bytes(), (16 + index as u64) * 8).unwrap();
        }
        (dir, Pagemap::open_at(&path, page).unwrap())
    }

    #[test]
    fn pages_in_a_row_are_one_piece_whatever_the_size_of_a_page() {
        for page in [4096, 16 << 10, 64 << 10] {
            let (_dir, map) = pagemap(page, &[PRESENT | 7, PRESENT | 1 << 55 | 8, PRESENT | 9]);
            let bus = contiguous(&map, 16 * page, 3 * page).unwrap();
            assert_eq!(bus, Iova(7 * page as u64), "what other bits say is no address");
        }
    }

    #[test]
    fn a_page_frame_of_zero_is_refused() {
        for entries in [[PRESENT, PRESENT], [PRESENT | 7, PRESENT]] {
            let (_dir, map) = pagemap(4096, &entries);
            let error = contiguous(&map, 16 * 4096, 2 * 4096).unwrap_err();
            assert_eq!(error.errno(), Errno::EPERM);
            assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
        }
    }

    #[test]
    fn pages_that_are_not_there_or_not_in_a_row_are_refused() {
        let absent = [PRESENT | 7, 1 << 62 | 8];
        let elsewhere = [PRESENT | 7, PRESENT | 9];
        for (entries, errno) in [(absent, Errno::EFAULT), (elsewhere, Errno::ENOMEM)] {
            let (_dir, map) = pagemap(4096, &entries);
            let error = contiguous(&map, 16 * 4096, 2 * 4096).unwrap_err();
            assert_eq!(error.errno(), errno, "{error}");
        }
        let (_dir, map) = pagemap(4096, &[PRESENT | 7]);
        assert!(contiguous(&map, 17 * 4096, 4096).is_err(), "behind the end of the file");
    }

    #[test]
    fn pages_are_read_and_written_as_a_region() {
        let pages = Arc::new(Pages::zeroed(4096).unwrap());
        let region = IoRegion::access(Arc::new(Behind(pages)), Arc::default());
        let sync = Box::new(Ordered(Coherence::Coherent));
        let memory = ReservedMemory::new("pages".to_owned(), Iova(0), region, sync).unwrap();
        let block = memory.alloc(64, 1).unwrap();
        block.write32(4, 0x0102_0304).unwrap();
        assert_eq!(block.read8(4), Ok(4));
        block.write_bytes(9, b"bytes").unwrap();
        let block = block.for_device(Direction::ToDevice).unwrap().for_cpu().unwrap();
        let mut back = [0; 5];
        block.read_bytes(9, &mut back).unwrap();
        assert_eq!(&back, b"bytes");
    }
}
