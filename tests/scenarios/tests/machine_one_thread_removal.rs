//! A function that VFIO has goes away: the kernel asks for it, or it is pulled. It is given back at once, and whoever
//! still holds it finds it gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use scenarios::edu::{Edu, open_device};
use scenarios::hotplug::Bay;
use scenarios::pci::{self, Function};
use scenarios::wait::{self, SOON};
use scenarios::{process, task};
use uio_core::io::{AccessError, Io};
use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};
use uio_core::pci::IrqTypes;

fn vfio_descriptors() -> usize {
    let own = i32::try_from(std::process::id()).unwrap();
    process::descriptors(own).iter().filter(|name| name.contains("vfio")).count()
}

fn vfio_mappings() -> usize {
    let own = i32::try_from(std::process::id()).unwrap();
    process::mappings(own).iter().filter(|line| line.contains("vfio-device")).count()
}

fn unbind(function: Function) -> task::Task<()> {
    let path = "/sys/bus/pci/drivers/vfio-pci/unbind";
    task::spawn(move || std::fs::write(path, function.to_string()).expect("the unbind"))
}

#[test]
fn a_device_that_the_kernel_wants_back_is_stopped_and_closed_while_its_user_lives() {
    let dispatcher = Dispatcher::start("irq/story").unwrap();
    let function = pci::edu(0);
    let bound = pci::bind(function, "vfio-pci");
    let edu = Edu::open(function, &dispatcher);
    let vectors = edu.device.alloc_irq_vectors(1, 1, IrqTypes::MSI).unwrap();
    let (held, _counter) = edu.count_on(&vectors.line(0).unwrap());
    let (asked, alive, gone) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (count, seen, regs) = (Arc::clone(&asked), Arc::clone(&alive), edu.regs.clone());
    edu.device.on_remove_requested(move || {
        count.fetch_add(1, Ordering::SeqCst);
        seen.store(regs.try_read32(0) == Ok(0x0100_00ED), Ordering::SeqCst);
    });
    let count = Arc::clone(&gone);
    edu.device.on_gone(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!((vfio_descriptors(), vfio_mappings()), (3, 1));

    let start = Instant::now();
    unbind(function).finish("the unbind of a device that is in use");
    let took = start.elapsed();
    println!("unbound after {took:.1?}");
    // The kernel asks again after ten seconds: this was the first time.
    assert!(took < SOON, "{took:?}");
    assert_eq!((asked.load(Ordering::SeqCst), gone.load(Ordering::SeqCst)), (1, 1));
    assert!(alive.load(Ordering::SeqCst), "its user was asked while it could still stop it");
    assert_eq!(edu.regs.try_read32(0), Err(AccessError::Gone));
    assert_eq!(edu.regs.read32(0), u32::MAX);
    assert!(edu.device.is_gone() && edu.device.config().unwrap().read32(0).is_err());
    assert!(edu.device.set_master().is_err() && vectors.inject(0).is_err());
    wait::until("the descriptors to be closed", || vfio_descriptors() == 0);
    assert_eq!(vfio_mappings(), 0);
    drop((held, vectors, edu, bound));
}

#[test]
fn a_user_that_does_not_stop_its_device_holds_nobody_up() {
    let dispatcher = Dispatcher::start("irq/story").unwrap();
    let function = pci::edu(0);
    let _bound = pci::bind(function, "vfio-pci");
    let edu = Edu::open(function, &dispatcher);
    let release = Arc::new(AtomicBool::new(false));
    let released = Arc::clone(&release);
    edu.device.on_remove_requested(move || {
        wait::until("the end of the story", || released.load(Ordering::SeqCst));
    });
    let start = Instant::now();
    unbind(function).finish("the unbind of a device whose user hangs");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(edu.regs.try_read32(0), Err(AccessError::Gone));
    release.store(true, Ordering::SeqCst);
}

#[test]
fn another_device_goes_on() {
    let dispatcher = Dispatcher::start("irq/story").unwrap();
    let (first, second) = (pci::edu(0), pci::edu(1));
    let _bound = [pci::bind(first, "vfio-pci"), pci::bind(second, "vfio-pci")];
    let (lost, kept) = (Edu::open(first, &dispatcher), Edu::open(second, &dispatcher));
    let (_held, counter) = kept.count_on(&kept.device.line(0).unwrap());
    unbind(first).finish("the unbind");
    wait::until("the first to be gone", || lost.device.is_gone());
    kept.raise();
    counter.wait_for(1);
    assert_eq!(kept.inverted(7), !7);
}

/// Counts, and is content.
struct Content;

impl Handler for Content {
    fn handle(&self) -> IrqReturn {
        IrqReturn::Handled
    }
}

const ROUNDS: usize = 100;

#[test]
fn a_hundred_devices_are_pulled_under_access_and_nothing_is_left_of_them() {
    let dispatcher = Dispatcher::start("irq/story").unwrap();
    let bay = Bay::nvme();
    let own = i32::try_from(std::process::id()).unwrap();
    let mut before = None;
    let start = Instant::now();
    for round in 0..ROUNDS {
        let bound = pci::bind(bay.device(), "vfio-pci");
        let device = open_device(bay.device(), &dispatcher);
        device.set_master().unwrap();
        let regs = device.region(0, 0x1000).unwrap();
        let version = regs.read32(8);
        assert!(version != u32::MAX && version != 0);
        let vectors = device.alloc_irq_vectors(1, 4, IrqTypes::MSIX).unwrap();
        let line = vectors.line(0).unwrap();
        let held =
            Registration::request(&line, Flags::empty(), "story", Arc::new(Content)).unwrap();
        let access = task::spawn(move || {
            let gone = || regs.try_read32(8) == Err(AccessError::Gone);
            wait::until("an access that says that it is gone", || (0..1000).any(|_| gone()));
        });
        bay.surprise_remove();
        access.finish("the accesses");
        assert!(device.is_gone());
        drop((held, line, vectors, device, bound));
        bay.plug();
        let now = (process::descriptors(own).len(), vfio_mappings(), process::threads(own).len());
        // The first round has made what is made once.
        let first = *before.get_or_insert(now);
        assert!(now.0 <= first.0 && now.1 == 0 && now.2 <= first.2, "{round}: {now:?}, {first:?}");
    }
    println!("{ROUNDS} rounds in {:.1?}", start.elapsed());
}
