//! A device over a file in memory: cutting the file off takes its registers away.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::super::{Backend, RegionInfo};
use super::*;
use crate::io::{AccessError, Io, IoMem, IoRegion};
use crate::irq::{EventFdSource, Flags, Handler, IrqReturn, LineSource, Registration};
use crate::sys::mmap::Mapping;
use crate::sys::sigbus::FaultMark;

const LONG: Duration = Duration::from_secs(60);

struct InMemory {
    regions: Vec<RegionInfo>,
    mappings: Vec<Arc<Mapping>>,
    mark: Arc<FaultMark>,
    revoked: Arc<AtomicBool>,
}

impl Backend for InMemory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn regions(&self) -> &[RegionInfo] {
        &self.regions
    }

    fn region(&self, index: usize, gone: &Arc<AtomicBool>) -> Result<IoRegion> {
        Ok(IoRegion::mapped(self.memory(index)?, Arc::clone(gone)))
    }

    fn memory(&self, index: usize) -> Result<IoMem> {
        IoMem::new(Arc::clone(&self.mappings[index]), 0, 64)
    }

    fn lines(&self) -> usize {
        1
    }

    fn line(&self, _index: usize) -> Result<Box<dyn LineSource>> {
        Ok(Box::new(EventFdSource::new()?))
    }

    fn fault_mark(&self) -> Option<&Arc<FaultMark>> {
        Some(&self.mark)
    }

    fn revoke(&self) {
        self.mappings.iter().for_each(|mapping| mapping.replace_by_ones().unwrap());
        self.revoked.store(true, Ordering::SeqCst);
    }
}

/// A device with two regions, the file behind the first of them, and whether it was revoked.
fn open(dispatcher: &Dispatcher) -> (Arc<Device>, File, Arc<AtomicBool>) {
    let mark = FaultMark::new().unwrap();
    let files = [0, 1].map(|_| File::from(memfd_create("bar", MFdFlags::empty()).unwrap()));
    let map = |file: &File| {
        file.set_len(64).unwrap();
        Arc::new(Mapping::shared(file.as_fd(), 0, 64, &mark, &"a file").unwrap())
    };
    let info =
        |index| RegionInfo { index, name: String::new(), address: None, size: 64, offset: 0 };
    let revoked = Arc::new(AtomicBool::new(false));
    let backend = InMemory {
        regions: [0, 1].map(info).to_vec(),
        mappings: files.iter().map(map).collect(),
        mark: Arc::clone(&mark),
        revoked: Arc::clone(&revoked),
    };
    let device = Device::build(
        "m".into(),
        "m".into(),
        Box::new(backend),
        &crate::device::OpenOptions::default(),
        dispatcher,
    )
    .unwrap();
    let [first, _] = files;
    (device, first, revoked)
}

struct Ignore;

impl Handler for Ignore {
    fn handle(&self) -> IrqReturn {
        IrqReturn::Handled
    }
}

#[test]
fn an_access_that_finds_no_memory_ends_the_device_once() {
    let dispatcher = Dispatcher::start("irq/fault").unwrap();
    let (device, file, revoked) = open(&dispatcher);
    let (lost, other) = (device.region(0, 64).unwrap(), device.region(1, 64).unwrap());
    let bare = device.map_region::<64>(1).unwrap();
    let line = device.line(0).unwrap();
    let held = Registration::request(&line, Flags::empty(), "test", Arc::new(Ignore)).unwrap();
    let (send, told) = channel();
    let (hooks, send) = (AtomicU64::new(0), Mutex::new(send));
    device.on_gone(move |errno| {
        let call = hooks.fetch_add(1, Ordering::SeqCst);
        send.lock().unwrap().send((errno, call)).unwrap();
    });
    file.set_len(0).unwrap();
    assert_eq!(lost.read32(0), u32::MAX);
    assert!(device.is_gone());
    assert_eq!(other.try_read32(0), Err(AccessError::Gone));
    assert_eq!(told.recv_timeout(LONG), Ok((Errno::ENODEV, 0)));
    // Hooks come after these.
    assert!(revoked.load(Ordering::SeqCst));
    assert_eq!(bare.read32(0), u32::MAX, "the memory of the other region is replaced too");
    drop(held);
    let late = Registration::request(&line, Flags::empty(), "late", Arc::new(Ignore)).unwrap_err();
    assert_eq!(late.errno(), Errno::ENODEV, "its line takes no more handlers");
    // The hook, and its sender, have gone: nobody calls it again.
    drop(device);
    assert!(told.recv_timeout(LONG).is_err());
}

#[test]
fn a_device_that_is_closed_is_watched_no_more() {
    let dispatcher = Dispatcher::start("irq/fault").unwrap();
    let (device, file, revoked) = open(&dispatcher);
    let region = device.region(0, 64).unwrap();
    drop(device);
    file.set_len(0).unwrap();
    assert_eq!(region.try_read32(0), Err(AccessError::Gone), "its last user is safe all the same");
    // Another device of the same dispatcher, which serves descriptors in order of their signals.
    let (next, file, ended) = open(&dispatcher);
    let (send, told) = channel();
    next.on_gone(move |_| send.send(()).unwrap());
    file.set_len(0).unwrap();
    assert_eq!(next.region(0, 64).unwrap().read32(0), u32::MAX);
    told.recv_timeout(LONG).unwrap();
    assert!(ended.load(Ordering::SeqCst) && !revoked.load(Ordering::SeqCst));
}
