//! The VFIO backend on a real kernel, with devices that have no driver here: registers, configuration space, interrupts
//! of every kind, DMA, reset.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::sync::Arc;

use nix::poll::PollFlags;
use nix::sys::resource::{Resource, setrlimit};
use scenarios::edu::{Edu, open_device, try_open_device};
use scenarios::pci::{self, Function};
use scenarios::trace::Trace;
use scenarios::world::NOBODY;
use scenarios::{fd, process, wait};
use uio_core::Errno;
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec, OpenOptions};
use uio_core::io::Io;
use uio_core::irq::Dispatcher;
use uio_core::mem::dma::{CoherentBox, Direction, Iova, Mask, Pages};
use uio_core::pci::{Command, IrqType, IrqTypes, cap_id};

const INTERRUPTS: u64 = 100;

fn dispatcher() -> Dispatcher {
    Dispatcher::start("irq/story").unwrap()
}

fn bound(function: Function) -> pci::Bound {
    pci::bind(function, "vfio-pci")
}

#[test]
fn registers_are_mapped_and_the_header_tells_who_it_is() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    assert_eq!(edu.device.name(), format!("{function} (1234:11e8)"));
    assert_eq!((edu.device.label(), edu.device.backend()), ("1234:11e8", "vfio"));
    assert_eq!(edu.id(), 0x0100_00ED);
    assert_eq!(edu.inverted(0x1234_5678), !0x1234_5678);
    let config = edu.device.config().unwrap();
    assert_eq!(config.header().unwrap().id.to_string(), "1234:11e8");
    assert!(config.find_capability(cap_id::MSI).is_some());
    assert!(config.command().unwrap().contains(Command::MEMORY));
    assert!(!config.command().unwrap().contains(Command::MASTER), "it is the driver's to set");
    edu.device.set_master().unwrap();
    assert!(config.command().unwrap().contains(Command::MASTER));
    let memory = edu.device.map_region::<0x100>(0).unwrap();
    assert_eq!(memory.read32(0), 0x0100_00ED);
}

#[test]
fn an_interrupt_by_message_is_one_system_call() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    edu.device.set_master().unwrap();
    let vectors = edu.device.alloc_irq_vectors(1, 1, IrqTypes::ALL).unwrap();
    assert_eq!(vectors.kind(), IrqType::Msi);
    let (_held, counter) = edu.count_on(&vectors.line(0).unwrap());
    assert_eq!(edu.factorial(5), 120);
    counter.wait_for(1);

    let trace = Trace::of_own("irq/story");
    for number in 2..INTERRUPTS + 2 {
        edu.raise();
        counter.wait_for(number);
    }
    let mut calls = trace.stop();
    let waits = calls.remove("epoll_wait").unwrap_or(0) + calls.remove("epoll_pwait").unwrap_or(0);
    println!("{INTERRUPTS} messages: {waits} waits, else {calls:?}");
    assert!((INTERRUPTS - 1..=INTERRUPTS + 1).contains(&waits), "{waits} waits");
    assert!(calls.is_empty(), "more than a wait: {calls:?}");
}

#[test]
fn an_interrupt_by_the_pin_is_two_system_calls() {
    let dispatcher = dispatcher();
    let function = pci::edu(1);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    let (held, counter) = edu.count_on(&edu.device.line(0).unwrap());
    edu.raise();
    counter.wait_for(1);
    let refused = edu.device.alloc_irq_vectors(1, 1, IrqTypes::MSI).unwrap_err();
    assert_eq!(refused.errno(), Errno::EBUSY, "{refused}");

    let trace = Trace::of_own("irq/story");
    for number in 2..INTERRUPTS + 2 {
        edu.raise();
        counter.wait_for(number);
    }
    let mut calls = trace.stop();
    let waits = calls.remove("epoll_wait").unwrap_or(0) + calls.remove("epoll_pwait").unwrap_or(0);
    let writes = calls.remove("write").unwrap_or(0);
    println!("{INTERRUPTS} by the pin: {waits} waits, {writes} writes, else {calls:?}");
    assert!((INTERRUPTS - 1..=INTERRUPTS + 1).contains(&waits), "{waits} waits");
    assert!(writes <= INTERRUPTS + 1, "{writes} writes");
    assert!(calls.is_empty(), "more than a wait and a write: {calls:?}");

    // The pin and messages take turns.
    drop(held);
    edu.device.set_master().unwrap();
    let vectors = edu.device.alloc_irq_vectors(1, 1, IrqTypes::MSI).unwrap();
    let (held, counter) = edu.count_on(&vectors.line(0).unwrap());
    edu.raise();
    counter.wait_for(1);
    drop(held);
    drop(vectors);
    let (_held, counter) = edu.count_on(&edu.device.line(0).unwrap());
    edu.raise();
    counter.wait_for(1);
}

#[test]
fn an_injected_interrupt_comes_as_one_of_the_device() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    let vectors = edu.device.alloc_irq_vectors(1, 1, IrqTypes::MSI).unwrap();
    let line = vectors.line(0).unwrap();
    let (_held, counter) = edu.count_on(&line);
    for number in 1..=3 {
        vectors.inject(0).unwrap();
        wait::until("the injected interrupt", || line.stats().none >= number);
    }
    assert_eq!(counter.count(), 0, "the device itself said nothing");
    assert_eq!(vectors.inject(1).unwrap_err().errno(), Errno::EINVAL);
}

#[test]
fn dma_goes_both_ways_and_nowhere_else() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    edu.device.set_master().unwrap();
    let domain = edu.device.dma().unwrap();
    let iommu = domain.iommu();
    println!(
        "ranges {:x?}, granule {}, left {:?}",
        iommu.ranges().unwrap(),
        iommu.granule(),
        iommu.available()
    );
    let left = iommu.available();
    let pages = || Arc::new(Pages::zeroed(4096).unwrap());
    let (source, target, canary) = (pages(), pages(), pages());
    let pattern: Vec<u8> = (0..1024_u32).map(|number| (number * 7 + 3) as u8).collect();
    source.write(0, &pattern);
    canary.write(0, &[0xC5; 4096]);
    iommu.map(Iova(0x10_0000), &source, Direction::ToDevice).unwrap();
    iommu.map(Iova(0x20_0000), &target, Direction::FromDevice).unwrap();
    iommu.map(Iova(0x30_0000), &canary, Direction::ToDevice).unwrap();
    assert_eq!(iommu.available(), left.map(|left| left - 3));

    edu.read_memory(0x10_0000, 1024);
    edu.write_memory(0x20_0000, 1024);
    let mut seen = vec![0; 4096];
    target.read(0, &mut seen);
    assert_eq!(&seen[..1024], &pattern[..]);
    assert!(seen[1024..].iter().all(|byte| *byte == 0));

    // Where nothing is mapped, and where the device may only read.
    edu.write_memory(0x40_0000, 1024);
    edu.write_memory(0x30_0000, 1024);
    iommu.unmap(Iova(0x20_0000), 4096).unwrap();
    edu.read_memory(0x30_0000, 1024);
    edu.write_memory(0x20_0000, 1024);
    canary.read(0, &mut seen);
    assert!(seen.iter().all(|byte| *byte == 0xC5), "the canary lives");
    target.read(0, &mut seen);
    assert_eq!(&seen[..1024], &pattern[..], "what was taken away is not written any more");
    wait::until("the kernel's notice of the faults", || {
        kernel_log().lines().any(|line| line.contains("DMAR") && line.contains("fault"))
    });
    assert_eq!(
        iommu.map(Iova(0x10_0000), &canary, Direction::ToDevice).unwrap_err().errno(),
        Errno::EEXIST
    );
}

fn kernel_log() -> String {
    let output = std::process::Command::new("dmesg").output().expect("dmesg");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_buffer_of_the_domain_is_what_the_device_reads_and_writes() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let edu = Edu::open(function, &dispatcher);
    let domain = edu.device.dma().unwrap();
    domain.set_mask(Mask::bits(28)).unwrap();
    let mut source = CoherentBox::<[u8]>::zeroed_slice(&domain, 512).unwrap();
    source.iter_mut().zip(1..).for_each(|(byte, number): (&mut u8, u32)| *byte = number as u8);
    let expected: Vec<u8> = source.to_vec();
    let source = source.into_coherent();
    let target = CoherentBox::<[u8]>::zeroed_slice(&domain, 512).unwrap().into_coherent();
    assert!(source.iova().0 < 1 << 28 && target.iova().0 < 1 << 28);
    edu.device.set_master().unwrap();
    edu.read_memory(source.iova().0, 512);
    edu.write_memory(target.iova().0, 512);
    let mut seen = vec![0; 512];
    target.read_bytes(0, &mut seen).unwrap();
    assert_eq!(seen, expected);
}

#[test]
fn ports_are_reached_by_the_kernel() {
    let dispatcher = dispatcher();
    let function = pci::serial(0);
    let _bound = bound(function);
    let end = pci::open_serial_end(0);
    let device = open_device(function, &dispatcher);
    let ports = device.region(0, 8).unwrap();
    // Line status: the transmitter is empty. Scratch: takes what is written.
    assert_eq!(ports.read8(5) & 0x60, 0x60);
    ports.write8(7, 0xA5);
    assert_eq!(ports.read8(7), 0xA5);
    ports.write8(0, b'U');
    wait::until("the byte at the other end", || {
        fd::ready(&end, PollFlags::POLLIN).contains(PollFlags::POLLIN)
    });
    assert_eq!(fd::read(&end, 16).unwrap(), b"U");
    assert_eq!(device.map_region::<8>(0).unwrap_err().errno(), Errno::EOPNOTSUPP);
    assert!(ports.try_read16(3).is_err() && ports.try_read8(8).is_err());
}

#[test]
fn every_descriptor_is_closed_on_exec_and_none_is_left() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let _bound = bound(function);
    let own = std::process::id() as i32;
    let vfio = || {
        let all = process::descriptors(own);
        all.into_iter().filter(|name| name.contains("vfio")).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        let edu = Edu::open(function, &dispatcher);
        assert_eq!(vfio().len(), 3, "{:?}", vfio());
        // What a child finds.
        let child = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output();
        let seen = String::from_utf8_lossy(&child.unwrap().stdout).into_owned();
        assert!(!seen.contains("vfio") && !seen.contains("eventfd"), "{seen}");
        drop(edu);
        assert_eq!(vfio(), Vec::<String>::new());
        let maps = process::mappings(own);
        assert!(!maps.iter().any(|line| line.contains("vfio-device")), "{maps:?}");
    }
}

/// Set in the environment of the child that has little memory to lock.
const CHILD: &str = "STORY_MEMLOCK";
const LIMIT: u64 = 64 << 10;

#[test]
fn a_shortage_of_locked_memory_names_the_limit_and_by_how_much_it_falls_short() {
    if std::env::var_os(CHILD).is_some() {
        return map_more_than_may_be_locked();
    }
    let function = pci::edu(0);
    let _bound = bound(function);
    let node = format!("/dev/vfio/{}", function.group().unwrap());
    fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let name = "a_shortage_of_locked_memory_names_the_limit_and_by_how_much_it_falls_short";
    child.args(["--exact", name, "--nocapture"]).env(CHILD, "1");
    let output = child.uid(NOBODY.0).gid(NOBODY.1).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}{err}");
    assert!(output.status.success());
}

fn map_more_than_may_be_locked() {
    setrlimit(Resource::RLIMIT_MEMLOCK, LIMIT, LIMIT).unwrap();
    let dispatcher = dispatcher();
    let edu = Edu::open(pci::edu(0), &dispatcher);
    let domain = edu.device.dma().unwrap();
    let small = CoherentBox::<[u8]>::zeroed_slice(&domain, 4096).unwrap();
    let error = CoherentBox::<[u8]>::zeroed_slice(&domain, 128 << 10).unwrap_err();
    println!("{error}");
    assert_eq!(error.errno(), Errno::ENOMEM);
    let text = error.to_string();
    assert!(text.contains("RLIMIT_MEMLOCK") && text.contains("68 KiB too few"), "{text}");
    drop(small);
}

#[test]
fn who_may_not_open_it_is_told_what_to_do() {
    let dispatcher = dispatcher();
    let function = pci::edu(0);
    let refused = || {
        let opened = try_open_device(function, &OpenOptions::default(), &dispatcher);
        let error = opened.unwrap_err().to_string();
        println!("{error}");
        error
    };
    let error = refused();
    assert!(
        error.contains("no driver") && error.contains(&format!("uioctl bind {function} vfio-pci")),
        "{error}"
    );
    let bound = bound(function);
    let first = Edu::open(function, &dispatcher);
    let error = refused();
    assert!(error.contains("another process has it open"), "{error}");
    drop(first);
    drop(bound);
    let _bound = pci::bind(pci::serial(1), "vfio-pci");
    let missing: DeviceSpec = "pci:00:1e.7".parse().unwrap();
    let error = Device::open(&missing, &dispatcher, &Models::new()).unwrap_err().to_string();
    assert!(error.contains("no such PCI function"), "{error}");
}

#[test]
fn a_reset_leaves_the_device_without_bus_mastering() {
    let dispatcher = dispatcher();
    let function = pci::nvme();
    let _bound = bound(function);
    let device = open_device(function, &dispatcher);
    device.set_master().unwrap();
    device.reset().unwrap();
    assert!(!device.config().unwrap().command().unwrap().contains(Command::MASTER));
    // The version register of NVMe.
    assert_ne!(device.region(0, 0x1000).unwrap().read32(8), 0);
}
