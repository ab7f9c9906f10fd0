//! Blocks of a memory that stands in for a carve-out, and the rules of who may touch them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::*;
use crate::io::{AccessError, RegionModel, Width};
use crate::mem::dma::Direction;

/// Memory that notes the width of each access.
struct Ram {
    bytes: Mutex<Vec<u8>>,
    widths: Mutex<Vec<(usize, usize)>>,
}

impl Ram {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap()
    }
}

impl RegionModel for Ram {
    fn size(&self) -> usize {
        self.bytes().len()
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        self.widths.lock().unwrap().push((offset, width as usize));
        let mut word = [0; 8];
        word[..width as usize].copy_from_slice(&self.bytes()[offset..offset + width as usize]);
        u64::from_le_bytes(word)
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        self.widths.lock().unwrap().push((offset, width as usize));
        self.bytes()[offset..offset + width as usize]
            .copy_from_slice(&value.to_le_bytes()[..width as usize]);
    }
}

const BUS: Iova = Iova(0x3000_0000);

fn memory(len: usize) -> (ReservedMemory, Arc<Ram>, Arc<AtomicBool>) {
    let ram = Arc::new(Ram { bytes: Mutex::new(vec![0xEE; len]), widths: Mutex::default() });
    let gone = Arc::new(AtomicBool::new(false));
    let region = IoRegion::model(Arc::clone(&ram) as _, Arc::clone(&gone));
    (ReservedMemory::uncached("buf of a card", BUS, region).unwrap(), ram, gone)
}

#[test]
fn a_block_is_where_the_device_has_it() {
    let (memory, ram, _) = memory(0x1000);
    let first = memory.alloc(5, 1).unwrap();
    let second = memory.alloc(0x100, 0x400).unwrap();
    assert_eq!((first.iova(), second.iova()), (BUS, Iova(0x3000_0400)));
    second.write_bytes(3, b"bytes").unwrap();
    assert_eq!(ram.bytes()[0x403..0x408], *b"bytes");
    let mut back = [0; 5];
    second.read_bytes(3, &mut back).unwrap();
    assert_eq!(&back, b"bytes");
}

#[test]
fn blocks_share_no_cache_line_and_come_back_with_the_drop() {
    let (memory, ..) = memory(0x1000);
    let blocks: Vec<Block> = (0..32).map(|_| memory.alloc(1, 1).unwrap()).collect();
    assert!(blocks.iter().all(|block| block.iova().0.is_multiple_of(LINE as u64)));
    assert_eq!(memory.free(), 0);
    let error = memory.alloc(1, 1).unwrap_err();
    assert_eq!(error.errno(), Errno::ENOMEM);
    assert!(
        error.to_string().contains("1 bytes in buf of a card: the largest free piece has 0 bytes"),
        "{error}"
    );
    drop(blocks);
    assert_eq!(memory.alloc(0x1000, 0x1000).unwrap().iova(), BUS);
}

#[test]
fn a_block_without_bytes_or_with_an_odd_alignment_is_refused() {
    let (memory, ..) = memory(0x1000);
    for (len, align) in [(0, 1), (1, 0), (1, 3), (usize::MAX, 1), (0x1001, 1)] {
        assert!(memory.alloc(len, align).is_err(), "{len} {align}");
    }
    assert_eq!(memory.free(), 0x1000);
}

#[test]
fn an_access_outside_or_across_never_reaches_the_memory() {
    let (memory, ram, _) = memory(0x1000);
    let block = memory.alloc(12, 1).unwrap();
    assert!(matches!(block.read32(12), Err(AccessError::OutOfBounds { size: 12, .. })));
    assert!(matches!(block.read64(8), Err(AccessError::OutOfBounds { .. })));
    assert!(matches!(block.write32(2, 0), Err(AccessError::Misaligned { .. })));
    assert!(block.read_bytes(usize::MAX, &mut [0; 2]).is_err());
    assert!(block.write_bytes(8, &[0; 5]).is_err());
    assert!(block.fill(0, 0, 13).is_err());
    assert!(ram.widths.lock().unwrap().is_empty());
}

#[test]
fn a_word_is_one_access_of_its_width() {
    let (memory, ram, _) = memory(0x1000);
    let block = memory.alloc(64, 1).unwrap();
    block.write64(8, 0x0102_0304_0506_0708).unwrap();
    block.write32(4, 7).unwrap();
    block.write16(2, 7).unwrap();
    assert_eq!((block.read64(8), block.read8(8)), (Ok(0x0102_0304_0506_0708), Ok(8)));
    assert_eq!(*ram.widths.lock().unwrap(), [(8, 8), (4, 4), (2, 2), (8, 8), (8, 1)]);
}

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Descriptor {
    address: u64,
    len: u32,
    control: u32,
}

#[test]
fn plain_values_and_slices_of_them_go_in_and_out() {
    let (memory, ..) = memory(0x1000);
    let block = memory.alloc(256, 1).unwrap();
    let written = Descriptor { address: 0x3000_0000, len: 64, control: 2 };
    block.write(16, &written).unwrap();
    assert_eq!(block.read::<Descriptor>(16), Ok(written));
    block.write_slice(32, &[1_u16, 2, 3]).unwrap();
    let mut back = [0_u16; 3];
    block.read_slice(32, &mut back).unwrap();
    assert_eq!(back, [1, 2, 3]);
}

#[test]
fn the_device_owns_a_block_between_the_hand_overs() {
    let (memory, ram, _) = memory(0x1000);
    let block = memory.alloc(256, 1).unwrap();
    block.fill(0, 0, 256).unwrap();
    let owned = block.for_device(Direction::FromDevice).unwrap();
    assert_eq!((owned.iova(), owned.len(), owned.direction()), (BUS, 256, Direction::FromDevice));
    assert_eq!(memory.free(), 0x1000 - 256, "it is held meanwhile");
    ram.bytes()[..4].copy_from_slice(b"data");
    let block = owned.for_cpu().unwrap();
    assert_eq!(block.read32(0), Ok(u32::from_le_bytes(*b"data")));
    drop(block);
    assert_eq!(memory.free(), 0x1000);
}

/// Rules that note what they are asked.
struct Noted(Arc<Mutex<Vec<String>>>);

impl CacheSync for Noted {
    fn coherence(&self) -> Coherence {
        Coherence::ByHand
    }

    fn for_device(&self, offset: usize, len: usize, direction: Direction) -> Result<()> {
        self.0.lock().unwrap().push(format!("device {offset:#x} {len} {direction:?}"));
        if len == 7 { Err(Error::invalid("cannot", "sync", "seven")) } else { Ok(()) }
    }

    fn for_cpu(&self, offset: usize, len: usize, direction: Direction) -> Result<()> {
        self.0.lock().unwrap().push(format!("cpu {offset:#x} {len} {direction:?}"));
        Ok(())
    }
}

#[test]
fn caches_are_synced_at_each_hand_over_and_such_a_block_is_never_shared() {
    let notes = Arc::new(Mutex::default());
    let ram = Ram { bytes: Mutex::new(vec![0; 0x1000]), widths: Mutex::default() };
    let region = IoRegion::model(Arc::new(ram), Arc::default());
    let sync = Box::new(Noted(Arc::clone(&notes)));
    let memory = ReservedMemory::new("cached".to_owned(), BUS, region, sync).unwrap();
    let _before = memory.alloc(1, 1).unwrap();
    let owned = memory.alloc(100, 1).unwrap().for_device(Direction::ToDevice).unwrap();
    let block = owned.for_cpu().unwrap();
    assert_eq!(*notes.lock().unwrap(), ["device 0x80 100 ToDevice", "cpu 0x80 100 ToDevice"]);
    assert_eq!(block.into_shared().unwrap_err().errno(), Errno::EOPNOTSUPP);
    assert!(memory.alloc(7, 1).unwrap().for_device(Direction::ToDevice).is_err());
    assert_eq!(memory.free(), 0x1000 - LINE, "what could not be handed over is free again");
}

#[test]
fn memory_of_a_device_that_is_gone_says_so() {
    let (memory, _, gone) = memory(0x1000);
    let shared = memory.alloc(64, 1).unwrap().into_shared().unwrap();
    shared.write32(0, 1).unwrap();
    gone.store(true, Ordering::Relaxed);
    assert_eq!(shared.read32(0), Err(AccessError::Gone));
    assert_eq!(shared.write_bytes(0, &[1]), Err(AccessError::Gone));
}

#[test]
fn what_is_no_piece_of_memory_is_refused() {
    for (bus, len) in [(0, 0), (u64::MAX, 2)] {
        let ram = Ram { bytes: Mutex::new(vec![0; len]), widths: Mutex::default() };
        let region = IoRegion::model(Arc::new(ram), Arc::default());
        assert!(ReservedMemory::uncached("odd", Iova(bus), region).is_err(), "{bus} {len}");
    }
}
