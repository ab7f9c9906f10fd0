//! The second way to a PCI function, the kernel's `uio_pci_generic`: registers, ports, the pin; and what it refuses.

use nix::poll::PollFlags;
use scenarios::edu::{Edu, open_device, try_open_device};
use scenarios::pci::{self, Function};
use scenarios::trace::Trace;
use scenarios::{fd, process, task, wait};
use uio_core::Errno;
use uio_core::device::OpenOptions;
use uio_core::io::{AccessError, Io};
use uio_core::irq::Dispatcher;
use uio_core::pci::{Command, IrqType, IrqTypes};

const INTERRUPTS: u64 = 100;

fn dispatcher() -> Dispatcher {
    Dispatcher::start("irq/story").unwrap()
}

fn bound(function: Function) -> pci::Bound {
    pci::bind(function, "uio_pci_generic")
}

#[test]
fn registers_are_mapped_and_the_node_is_opened_once() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    assert_eq!((edu.device.label(), edu.device.backend()), ("1234:11e8", "uio_pci"));
    assert_eq!(edu.id(), 0x0100_00ED);
    assert_eq!(edu.inverted(0x1234_5678), !0x1234_5678);
    let memory = edu.device.map_region::<0x100>(0).unwrap();
    assert_eq!(memory.read32(0), 0x0100_00ED);
    let own = i32::try_from(std::process::id()).unwrap();
    let nodes =
        || process::descriptors(own).iter().filter(|name| name.starts_with("/dev/uio")).count();
    let line = edu.device.line(0).unwrap();
    assert_eq!(nodes(), 1);
    drop(line);
    drop(edu);
    assert_eq!(nodes(), 0);
}

#[test]
fn an_interrupt_is_two_system_calls() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    let vectors = edu.device.alloc_irq_vectors(1, 1, IrqTypes::ALL).unwrap();
    assert_eq!(vectors.kind(), IrqType::Intx);
    let (held, counter) = edu.count_on(&vectors.line(0).unwrap());
    assert_eq!(edu.factorial(6), 720);
    counter.wait_for(1);

    let trace = Trace::of_own("irq/story");
    for number in 2..INTERRUPTS + 2 {
        edu.raise();
        counter.wait_for(number);
    }
    let mut calls = trace.stop();
    let waits = calls.remove("epoll_wait").unwrap_or(0) + calls.remove("epoll_pwait").unwrap_or(0);
    let writes = calls.remove("pwrite64").unwrap_or(0);
    println!("{INTERRUPTS} by the pin: {waits} waits, {writes} writes, else {calls:?}");
    assert!((INTERRUPTS - 1..=INTERRUPTS + 1).contains(&waits), "{waits} waits");
    assert!(writes <= INTERRUPTS + 1, "{writes} writes");
    assert!(calls.is_empty(), "more than a wait and a write: {calls:?}");

    // What a driver does to the command register meanwhile does not touch the line.
    let config = edu.device.config().unwrap();
    for number in INTERRUPTS + 2..INTERRUPTS + 12 {
        edu.raise();
        config.update_command(Command::SERR, Command::empty()).unwrap();
        config.update_command(Command::empty(), Command::SERR).unwrap();
        counter.wait_for(number);
    }
    drop(held);
    assert!(
        config.command().unwrap().contains(Command::INTX_DISABLE),
        "it is quiet without a handler"
    );
}

#[test]
fn bus_mastering_is_refused_until_the_risk_is_accepted() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    let error = edu.device.set_master().unwrap_err();
    println!("{error}");
    assert_eq!(error.errno(), Errno::EPERM);
    assert!(
        error.to_string().contains("--i-accept-dma-risk") && error.to_string().contains("vfio-pci")
    );
    let config = edu.device.config().unwrap();
    assert_eq!(config.write16(4, 0x0407), Err(Errno::EPERM));
    assert!(!config.command().unwrap().contains(Command::MASTER));
    let error = edu.device.dma().unwrap_err();
    assert!(error.to_string().contains("vfio-pci"), "{error}");
    drop(edu);

    let accepted = OpenOptions::default().accept_dma_risk(true);
    let device = try_open_device(function, &accepted, &dispatcher).unwrap();
    device.set_master().unwrap();
    assert!(device.config().unwrap().command().unwrap().contains(Command::MASTER));
    assert!(device.dma().is_err(), "there is no IOMMU all the same");
    drop(device);
    let config = std::fs::read(function.dir().join("config")).unwrap();
    assert_eq!(config[4] & 4, 0, "it ends with the device");
}

#[test]
fn ports_are_reached_by_the_kernel() {
    let dispatcher = dispatcher();
    let function = pci::serial(0);
    let _bound = bound(function);
    let end = pci::open_serial_end(0);
    let device = open_device(function, &dispatcher);
    let ports = device.region(0, 8).unwrap();
    assert_eq!(ports.read8(5) & 0x60, 0x60);
    ports.write8(7, 0xA5);
    assert_eq!(ports.read8(7), 0xA5);
    ports.write8(0, b'U');
    wait::until("the byte at the other end", || {
        fd::ready(&end, PollFlags::POLLIN).contains(PollFlags::POLLIN)
    });
    assert_eq!(fd::read(&end, 16).unwrap(), b"U");
}

#[test]
fn a_device_that_is_unbound_is_gone() {
    let dispatcher = dispatcher();
    let (first, second) = (pci::edu(0), pci::edu(1));
    let _bound = [bound(first), bound(second)];
    let (lost, kept) = (Edu::open(first, &dispatcher), Edu::open(second, &dispatcher));
    let (_held, counter) = lost.count_on(&lost.device.line(0).unwrap());
    lost.raise();
    counter.wait_for(1);
    let unbind = first.dir().join("driver/unbind");
    let unbinding = task::spawn(move || std::fs::write(unbind, first.to_string()).unwrap());
    unbinding.finish("the unbind");
    wait::until("the device to be gone", || lost.device.is_gone());
    assert_eq!(lost.regs.try_read32(0), Err(AccessError::Gone));
    assert_eq!(lost.regs.read32(0), u32::MAX);
    assert_eq!(lost.device.config().unwrap().read32(0), Err(Errno::ENODEV));
    assert_eq!(kept.inverted(7), !7, "the other goes on");
}
