//! MSI-X on a real kernel: vectors by number, more of them while others are in use, and the table in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scenarios::edu::open_device;
use scenarios::{pci, wait};
use uio_core::Errno;
use uio_core::io::Io;
use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};
use uio_core::pci::{IrqType, IrqTypes, cap_id};

/// Counts, and is content.
#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Handler for Counter {
    fn handle(&self) -> IrqReturn {
        self.0.fetch_add(1, Ordering::SeqCst);
        IrqReturn::Handled
    }
}

#[test]
fn each_vector_is_a_line_and_more_can_be_added_while_others_are_in_use() {
    let dispatcher = Dispatcher::start("irq/story").unwrap();
    let function = pci::nvme();
    let _bound = pci::bind(function, "vfio-pci");
    let device = open_device(function, &dispatcher);
    let most = device.vector_count(IrqType::MsiX);
    assert!(most > 8, "{most}");
    let mut vectors = device.alloc_irq_vectors(2, 3, IrqTypes::ALL).unwrap();
    assert_eq!((vectors.kind(), vectors.len()), (IrqType::MsiX, 3));
    let request = |line| {
        let counter = Arc::new(Counter::default());
        let handler = Arc::clone(&counter) as Arc<dyn Handler>;
        (Registration::request(&line, Flags::empty(), "story", handler).unwrap(), counter)
    };
    let mut held: Vec<_> = (0..3).map(|index| request(vectors.line(index).unwrap())).collect();
    vectors.inject(2).unwrap();
    wait::until("vector 2", || held[2].1.get() == 1);
    assert_eq!((held[0].1.get(), held[1].1.get()), (0, 0));

    vectors.add(4).unwrap();
    assert_eq!((vectors.len(), device.all_lines().len()), (7, 7));
    held.extend((3..7).map(|index| request(vectors.line(index).unwrap())));
    for index in [6, 0, 3, 1] {
        let before = held[index].1.get();
        vectors.inject(index).unwrap();
        wait::until("an injected interrupt", || held[index].1.get() > before);
    }
    let counts: Vec<_> = held.iter().map(|(_, counter)| counter.get()).collect();
    println!("interrupts: {counts:?}");
    assert_eq!(counts[4] + counts[5], 0, "nobody else's");

    let error = vectors.add(most).unwrap_err();
    assert_eq!(error.errno(), Errno::ENOSPC, "{error}");
    assert_eq!(vectors.inject(7).unwrap_err().errno(), Errno::EINVAL);
    drop(held);
    drop(vectors);
    let vectors = device.alloc_irq_vectors(1, most, IrqTypes::MSIX).unwrap();
    println!("{} of {most} vectors at once", vectors.len());
}

#[test]
fn registers_beside_the_table_are_reached() {
    let dispatcher = Dispatcher::start("irq/story").unwrap();
    let function = pci::nvme();
    let _bound = pci::bind(function, "vfio-pci");
    let device = open_device(function, &dispatcher);
    let config = device.config().unwrap();
    let msix = config.find_capability(cap_id::MSIX).unwrap();
    let table = config.read32(msix.offset + 4).unwrap();
    let registers = device.region(0, 0x1000).unwrap();
    println!("table {table:#x} in {registers:?}");
    let version = registers.read32(8);
    assert!(version != 0 && version != u32::MAX, "{version:#x}");
    assert_eq!(device.map_region::<0x1000>(0).unwrap().read32(8), version);
    let all: Vec<_> = config.capabilities().map(|one| one.id).collect();
    let extended: Vec<_> = config.ext_capabilities().map(|one| one.id).collect();
    println!("capabilities {all:x?}, extended {extended:x?} in {} bytes", config.size());
    assert!(all.contains(&cap_id::MSIX.into()) && all.contains(&cap_id::EXPRESS.into()));
}
