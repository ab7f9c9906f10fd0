//! Memory of the module `u-dma-buf`, cached or not.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{CacheSync, Coherence, Ordered, ReservedMemory};
use crate::error::{Errno, Error, Result};
use crate::io::{IoMem, IoRegion};
use crate::mem::dma::{Direction, Iova, dma_rmb, dma_wmb};
use crate::sys::mmap::Mapping;
use crate::sys::sigbus::FaultMark;
use crate::sys::u_dma_buf::{Caching, UDmaBuf};

impl ReservedMemory {
    /// The memory `/dev/NAME` of the module `u-dma-buf`: cached if `is_cached`.
    ///
    /// Cached memory is fast for the CPU; unless devices see the caches on this machine, blocks of it are synced at each
    /// hand-over, by calls of the kernel.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if there is no such memory: the text says what to load;
    /// - `EINVAL` if it cannot be had uncached as the module is set up: the text says what to write;
    /// - what the kernel says when it is opened and mapped.
    pub fn u_dma_buf(name: &str, is_cached: bool) -> Result<Self> {
        let wanted = if is_cached { Caching::On } else { Caching::Off };
        Self::of_u_dma_buf(Path::new("/sys/class/u-dma-buf"), Path::new("/dev"), name, wanted)
    }

    fn of_u_dma_buf(class: &Path, dev: &Path, name: &str, wanted: Caching) -> Result<Self> {
        let buf = UDmaBuf::open(class, dev, name, wanted)?;
        let title = format!("u-dma-buf {name}");
        let len = usize::try_from(buf.size)
            .map_err(|_| Error::new(Errno::EOVERFLOW, "cannot map", &title))?;
        let mark = FaultMark::new()?;
        let mapping = Arc::new(Mapping::shared(buf.as_fd(), 0, len, &mark, &title)?);
        let region = IoRegion::mapped(IoMem::new(mapping, 0, len)?, Arc::clone(mark.gone()));
        let (bus, caching, is_coherent) = (Iova(buf.address), buf.caching, buf.is_coherent);
        let sync: Box<dyn CacheSync> = match (caching, is_coherent) {
            (Caching::Off, _) => Box::new(Ordered(Coherence::Uncached)),
            (Caching::On, true) => Box::new(Ordered(Coherence::Coherent)),
            (Caching::On, false) => Box::new(ByAttributes { buf: Mutex::new(buf) }),
        };
        Self::new(title, bus, region, sync)
    }
}

/// Caches that are synced by what is written to sysfs.
struct ByAttributes {
    /// Held over the writes that belong together: the module has one place for what they are about.
    buf: Mutex<UDmaBuf>,
}

impl ByAttributes {
    fn sync(&self, what: &str, offset: usize, len: usize, direction: Direction) -> Result<()> {
        let buf = self.buf.lock().unwrap_or_else(PoisonError::into_inner);
        let direction = match direction {
            Direction::Bidirectional => 0,
            Direction::ToDevice => 1,
            Direction::FromDevice => 2,
        };
        // CAST: a usize has at most 64 bits on Linux.
        buf.write("sync_offset", offset as u64)?;
        buf.write("sync_size", len as u64)?;
        buf.write("sync_direction", direction)?;
        buf.write(what, 1)
    }
}

impl CacheSync for ByAttributes {
    fn coherence(&self) -> Coherence {
        Coherence::ByHand
    }

    fn for_device(&self, offset: usize, len: usize, direction: Direction) -> Result<()> {
        dma_wmb();
        self.sync("sync_for_device", offset, len, direction)
    }

    fn for_cpu(&self, offset: usize, len: usize, direction: Direction) -> Result<()> {
        self.sync("sync_for_cpu", offset, len, direction)?;
        dma_rmb();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Files that stand in for the module's.
    struct Fake(tempfile::TempDir);

    impl Fake {
        fn new(mode: &str, is_coherent: &str) -> Self {
            let fake = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(fake.0.path().join("class/udmabuf0")).unwrap();
            for (name, value) in [
                ("phys_addr", "0x70000000\n"),
                ("size", "16384\n"),
                ("sync_mode", mode),
                ("dma_coherent", is_coherent),
            ] {
                fs::write(fake.attribute(name), value).unwrap();
            }
            fs::write(fake.0.path().join("udmabuf0"), vec![0; 16384]).unwrap();
            fake
        }

        fn attribute(&self, name: &str) -> std::path::PathBuf {
            self.0.path().join("class/udmabuf0").join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.attribute(name)).unwrap()
        }

        fn open(&self, wanted: Caching) -> Result<ReservedMemory> {
            let dir = self.0.path();
            ReservedMemory::of_u_dma_buf(&dir.join("class"), dir, "udmabuf0", wanted)
        }
    }

    #[test]
    fn the_memory_is_where_the_module_says_and_is_its_node() {
        let fake = Fake::new("1\n", "0\n");
        let memory = fake.open(Caching::Off).unwrap();
        assert_eq!((memory.bus_address(), memory.len()), (Iova(0x7000_0000), 16384));
        let _front = memory.alloc(4096, 1).unwrap();
        let block = memory.alloc(8, 1).unwrap().into_shared().unwrap();
        block.write32(0, 0x0102_0304).unwrap();
        let node = fs::read(fake.0.path().join("udmabuf0")).unwrap();
        assert_eq!(node[4096..4100], [4, 3, 2, 1]);
    }

    #[test]
    fn how_it_is_opened_and_set_up_decides_about_the_caches() {
        use Coherence::{ByHand, Coherent, Uncached};
        for (mode, coherent, wanted, found) in [
            ("1", "0", Caching::Off, Uncached),
            ("1", "0", Caching::On, ByHand),
            ("0", "1", Caching::On, Coherent),
            ("4", "0", Caching::On, ByHand),
            ("5", "0", Caching::On, Uncached),
            ("7", "0", Caching::Off, Uncached),
        ] {
            let memory = Fake::new(mode, coherent).open(wanted).unwrap();
            assert_eq!(memory.coherence(), found, "{mode} {coherent} {wanted:?}");
        }
        let fake = Fake::new("0", "0");
        let error = fake.open(Caching::Off).unwrap_err();
        assert!(error.to_string().contains("echo 1 > ") && error.to_string().contains("sync_mode"));
    }

    #[test]
    fn a_hand_over_syncs_the_block_and_no_other() {
        let fake = Fake::new("0", "0");
        let memory = fake.open(Caching::On).unwrap();
        let _front = memory.alloc(4096, 1).unwrap();
        let owned = memory.alloc(100, 1).unwrap().for_device(Direction::FromDevice).unwrap();
        let about = ["sync_offset", "sync_size", "sync_direction", "sync_for_device"];
        assert_eq!(about.map(|name| fake.read(name)), ["4096", "100", "2", "1"]);
        assert!(!fake.attribute("sync_for_cpu").exists());
        let block = owned.for_cpu().unwrap();
        assert_eq!(fake.read("sync_for_cpu"), "1");
        drop(block.for_device(Direction::ToDevice).unwrap());
        assert_eq!(fake.read("sync_direction"), "1");
    }

    #[test]
    fn memory_that_is_not_there_is_explained() {
        let fake = Fake::new("0", "0");
        let dir = fake.0.path();
        let open = ReservedMemory::of_u_dma_buf(&dir.join("class"), dir, "udmabuf9", Caching::On);
        let error = open.unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT);
        assert!(error.to_string().contains("load the module u-dma-buf"), "{error}");
        fs::write(fake.attribute("size"), "many").unwrap();
        assert!(fake.open(Caching::On).unwrap_err().to_string().contains("`many` is no number"));
    }
}
