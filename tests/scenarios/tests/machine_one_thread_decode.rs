//! Memory decode that is switched off under a driver: the kernel takes the device's pages away, and the next
//! access is a SIGBUS, which must end the device and nothing else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use scenarios::{pci, wait};
use uio_core::Errno;
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::{AccessError, Io, IoMem, IoRegion};
use uio_core::irq::Dispatcher;
use uio_core::pci::Command;

/// What edu's first register says.
const EDU: u32 = 0x0100_00ED;
const ROUNDS: usize = 20;
const THREADS: usize = 4;

/// An edu, and the news of its end.
struct Edu {
    device: Arc<Device>,
    news: Receiver<Errno>,
}

impl Edu {
    fn open(number: u8, dispatcher: &Dispatcher) -> Self {
        let spec = DeviceSpec::Pci(pci::edu(number).address());
        // A device that has just been lost is closed when its last user has let go, on a thread of its own.
        let device = wait::until_some("the device is free", || {
            match Device::open(&spec, dispatcher, &Models::new()) {
                Err(error) if error.errno() == Errno::EBUSY => None,
                opened => Some(opened.unwrap()),
            }
        });
        let (send, news) = channel();
        device.on_gone(move |errno| send.send(errno).unwrap());
        Self { device, news }
    }

    fn region(&self) -> IoRegion {
        self.device.region(0, 0x100).unwrap()
    }

    fn decode_off(&self) {
        let config = self.device.config().unwrap();
        config.update_command(Command::empty(), Command::MEMORY).unwrap();
    }

    /// On the dispatcher, without an interrupt.
    fn hears_of_its_end(&self) {
        assert_eq!(self.news.recv_timeout(wait::DEADLINE), Ok(Errno::ENODEV));
    }
}

#[test]
fn an_access_reads_ones_and_ends_that_device_and_no_other() {
    let _bound = [0, 1].map(|number| pci::bind(pci::edu(number), "vfio-pci"));
    let dispatcher = Dispatcher::start("irq/decode").unwrap();
    let (lost, kept) = (Edu::open(0, &dispatcher), Edu::open(1, &dispatcher));
    let (region, other) = (lost.region(), kept.region());
    assert_eq!((region.read32(0), other.read32(0)), (EDU, EDU));
    lost.decode_off();
    assert_eq!(region.try_read32(0), Err(AccessError::Gone));
    assert!(lost.device.is_gone());
    lost.hears_of_its_end();
    assert_eq!((region.read32(4), other.try_read32(0)), (u32::MAX, Ok(EDU)));
    assert!(!kept.device.is_gone());
}

#[test]
fn a_page_that_nobody_had_touched_reads_ones_too() {
    let _bound = pci::bind(pci::edu(0), "vfio-pci");
    let dispatcher = Dispatcher::start("irq/decode").unwrap();
    let edu = Edu::open(0, &dispatcher);
    let memory: IoMem<0x100> = edu.device.map_region(0).unwrap();
    edu.decode_off();
    memory.write32(4, 1);
    assert!(edu.device.is_gone(), "a write found nothing");
    edu.hears_of_its_end();
    assert_eq!(memory.read32(0), u32::MAX);
    assert_eq!(memory.try_read32(0), Err(AccessError::Gone));
}

#[test]
fn a_device_that_is_opened_again_is_there_again_however_many_threads_it_was_lost_under() {
    let _bound = [0, 1].map(|number| pci::bind(pci::edu(number), "vfio-pci"));
    let dispatcher = Dispatcher::start("irq/decode").unwrap();
    for round in 0..ROUNDS {
        let edus = [0, 1].map(|number| Edu::open(number, &dispatcher));
        let regions = edus.each_ref().map(Edu::region);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| regions.iter().for_each(use_until_gone));
            }
            edus[round % 2].decode_off();
            edus[(round + 1) % 2].decode_off();
        });
        edus.iter().for_each(Edu::hears_of_its_end);
    }
}

fn use_until_gone(region: &IoRegion) {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < wait::DEADLINE, "the device is still there");
        match region.try_read32(0) {
            Ok(value) => assert_eq!(value, EDU),
            Err(error) => return assert_eq!(error, AccessError::Gone),
        }
    }
}
