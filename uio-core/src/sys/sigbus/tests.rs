//! Real SIGBUS without a device: the file behind a shared mapping is cut off, and its pages are gone.

mod foreign;
mod storm;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Barrier};

use nix::sys::eventfd::EventFd;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::*;
use crate::io::{AccessError, Io, IoMem, IoRegion};
use crate::sys::mmap::{Mapping, page_size};

/// What the registers of a device that is there read as.
const ALIVE: u32 = 0x5A5A_5A5A;

/// One mapping of a device, which a call takes away.
struct Victim {
    file: File,
    mark: Arc<FaultMark>,
    io: IoMem<64>,
    region: IoRegion,
}

fn memory(len: usize) -> File {
    let file = File::from(memfd_create("device", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(len as u64).unwrap();
    file
}

fn map(file: &File, len: usize, mark: &Arc<FaultMark>) -> Result<Mapping> {
    Mapping::shared(file.as_fd(), 0, len, mark, &"region 0 of a test")
}

impl Victim {
    fn of(len: usize, mark: Arc<FaultMark>) -> Self {
        let file = memory(len);
        let io = IoMem::new(Arc::new(map(&file, len, &mark).unwrap()), 0, len).unwrap();
        io.memset_io(0, 0x5A, len).unwrap();
        let region = IoRegion::mapped(io.sized().unwrap(), Arc::clone(mark.gone()));
        Self { file, mark, io, region }
    }

    fn new() -> Self {
        Self::of(4 * page_size(), FaultMark::new().unwrap())
    }

    /// As the kernel takes the pages of a device away.
    fn unplug(&self) {
        self.file.set_len(0).unwrap();
    }

    /// How often the mark was signalled.
    fn signals(&self) -> u64 {
        let event = self.mark.event().try_clone_to_owned().unwrap();
        // SAFETY: it is an eventfd.
        let event = unsafe { EventFd::from_owned_fd(event) };
        // Without a count it says EAGAIN.
        event.read().unwrap_or(0)
    }
}

#[test]
fn a_read_that_finds_no_memory_yields_ones_and_sets_the_flag() {
    let victim = Victim::new();
    assert_eq!((victim.io.read32(0), victim.signals()), (ALIVE, 0));
    assert!(!victim.mark.gone().load(std::sync::atomic::Ordering::Relaxed));
    victim.unplug();
    assert_eq!(victim.io.read32(4), u32::MAX);
    assert!(victim.mark.gone().load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(victim.signals(), 1);
}

#[test]
fn a_write_that_finds_no_memory_goes_nowhere_and_sets_the_flag() {
    let (victim, other) = (Victim::new(), Victim::new());
    victim.unplug();
    victim.io.write32(4, 7);
    assert!(victim.region.is_gone());
    other.unplug();
    assert_eq!(other.io.read32(4), u32::MAX, "what one driver wrote is not what another reads");
    victim.file.set_len(8).unwrap();
    let mut there = [1; 8];
    victim.file.read_exact_at(&mut there, 0).unwrap();
    assert_eq!(there, [0; 8], "the device that comes back has not seen it");
}

#[test]
fn every_width_at_every_page_is_ones_from_the_first_fault_on() {
    let victim = Victim::new();
    victim.unplug();
    assert_eq!(victim.io.read8(1), u8::MAX);
    for page in 0..4 {
        let at = page * page_size();
        assert_eq!(victim.io.read16(at + 2), u16::MAX);
        assert_eq!(victim.io.read32(at + 4), u32::MAX);
        assert_eq!(victim.io.read64(at + 8), u64::MAX);
    }
    assert_eq!(victim.signals(), 1, "the mapping is replaced whole");
}

#[test]
fn the_access_that_finds_the_device_gone_is_the_first_to_say_so() {
    let read = Victim::new();
    read.unplug();
    assert_eq!(read.io.try_read32(0), Err(AccessError::Gone));
    let write = Victim::new();
    write.unplug();
    assert_eq!(write.io.try_write32(0, 1), Err(AccessError::Gone));
    assert_eq!(
        write.io.try_read32(0),
        Err(AccessError::Gone),
        "it reads as written, and says Gone"
    );
    let copy = Victim::new();
    copy.unplug();
    assert_eq!(copy.io.memcpy_fromio(3, &mut [0; 100]), Err(AccessError::Gone));
    let region = Victim::new();
    region.unplug();
    assert_eq!(region.region.try_read8(0), Err(AccessError::Gone));
    region.region.write32(0, 1);
    assert_eq!(region.region.read32(0), u32::MAX);
}

#[test]
fn a_fault_in_one_mapping_of_a_device_ends_them_all_and_no_other_device() {
    let (one, stranger) = (Victim::new(), Victim::new());
    let two = Victim::of(page_size(), Arc::clone(&one.mark));
    one.unplug();
    assert_eq!(one.io.read32(0), u32::MAX);
    assert_eq!(two.io.try_read32(0), Err(AccessError::Gone));
    assert_eq!(two.io.read32(0), ALIVE, "its pages are there until the device's end takes them");
    assert_eq!(stranger.io.try_read32(0), Ok(ALIVE));
    assert_eq!(stranger.signals(), 0);
}

#[test]
fn a_mapping_larger_than_the_file_of_ones_is_replaced_to_its_last_page() {
    let len = (5 << 20) + page_size();
    let victim = Victim::of(len, FaultMark::new().unwrap());
    victim.unplug();
    assert_eq!(victim.io.read32(len - 4), u32::MAX);
    for at in (0..len).step_by(page_size()) {
        assert_eq!(victim.io.read64(at), u64::MAX, "at {at:#x}");
    }
    assert_eq!(victim.signals(), 1);
}

#[test]
fn a_part_of_a_file_that_starts_inside_a_page_is_replaced_with_its_pages() {
    let victim = Victim::new();
    let part = Mapping::shared(victim.file.as_fd(), 64, 128, &victim.mark, &"a part").unwrap();
    let io = IoMem::<128>::new(Arc::new(part), 0, 128).unwrap();
    assert_eq!(io.read32(0), ALIVE);
    victim.unplug();
    assert_eq!(io.read32(124), u32::MAX);
}

#[test]
fn threads_that_fault_at_the_same_moment_all_read_ones() {
    for _ in 0..50 {
        let (victim, start) = (Victim::new(), Barrier::new(8));
        victim.unplug();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (victim, start) = (&victim, &start);
                scope.spawn(move || {
                    start.wait();
                    assert_eq!(victim.io.read32(thread * page_size() / 2), u32::MAX);
                    assert!(victim.region.is_gone());
                });
            }
        });
        assert_eq!(victim.signals(), 1);
    }
}

#[test]
fn a_handler_that_ran_leaves_errno_as_it_was() {
    let victim = Victim::new();
    victim.unplug();
    Errno::set_raw(4321);
    let value = victim.io.read32(0);
    let errno = Errno::last_raw();
    assert_eq!((value, errno), (u32::MAX, 4321));
}

#[test]
fn a_mapping_that_was_dropped_is_in_no_slot() {
    let victim = Victim::new();
    let mapping = map(&victim.file, 64, &victim.mark).unwrap();
    let address = mapping.base().as_ptr().addr();
    let held = std::ptr::from_ref(&*victim.mark);
    let is_ours = || TABLE.find(address).is_some_and(|hit| hit.mark.as_ptr().cast_const() == held);
    assert!(is_ours());
    drop(mapping);
    assert!(!is_ours());
}
