//! Vectors, configuration space and DMA of a device on a simulated PCI bus.

use super::super::sim::{DmaBus, SimConfig, SimVector};
use super::*;
use crate::mem::dma::{Coherent, Direction, Iova, Pages};
use crate::pci::{Command, ConfigAccess, DeviceId, Id, IrqType, IrqTypes};

const ID: Id = Id {
    vendor: 0x1234,
    device: 0x11E8,
    subvendor: 0,
    subdevice: 0,
    class: 0xFF_00_00,
    revision: 1,
};

/// A PCI function with a pin and two vectors.
struct Function {
    config: Arc<SimConfig>,
    line: Arc<SimLine>,
    vectors: Vec<Arc<SimVector>>,
    bus: Arc<DmaBus>,
}

impl Function {
    fn new() -> Self {
        Self {
            config: SimConfig::new(&ID, true),
            line: SimLine::new().unwrap(),
            vectors: vec![SimVector::new(), SimVector::new()],
            bus: DmaBus::new(),
        }
    }
}

impl Model for Arc<Function> {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.line))
    }

    fn pci_id(&self) -> Option<Id> {
        Some(ID)
    }

    fn config(&self) -> Option<Arc<dyn ConfigAccess>> {
        Some(Arc::clone(&self.config) as Arc<dyn ConfigAccess>)
    }

    fn vectors(&self) -> Vec<Arc<SimVector>> {
        self.vectors.clone()
    }

    fn dma(&self) -> Option<Arc<DmaBus>> {
        Some(Arc::clone(&self.bus))
    }
}

fn open_function() -> (Dispatcher, Arc<Device>, Arc<Function>) {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let function = Arc::new(Function::new());
    let model = Arc::clone(&function);
    let models = Models::new().with("function", move || Ok(Arc::clone(&model)));
    let spec = DeviceSpec::Sim("function".to_owned());
    let device = Device::open(&spec, &dispatcher, &models).unwrap();
    (dispatcher, device, function)
}

#[test]
fn messages_are_preferred_and_each_vector_is_a_line() {
    let (_dispatcher, device, function) = open_function();
    let vectors = device.alloc_irq_vectors(1, 8, IrqTypes::ALL).unwrap();
    assert_eq!((vectors.kind(), vectors.len()), (IrqType::Msi, 2));
    let line = vectors.line(1).unwrap();
    let irq = Registration::request(&line, Flags::empty(), "toy", Arc::new(Ignore)).unwrap();
    function.vectors[1].fire();
    wait_until("an interrupt of vector 1", || line.stats().handled == 1);
    assert_eq!(device.all_lines().len(), 2);
    drop(irq);
    drop(vectors);
    assert!(!function.vectors[1].is_enabled());
    assert_eq!(device.all_lines().len(), 1);
}

#[test]
fn a_device_that_is_pulled_out_says_so_by_its_vector() {
    let (_dispatcher, device, function) = open_function();
    let vectors = device.alloc_irq_vectors(1, 1, IrqTypes::MSI).unwrap();
    let line = vectors.line(0).unwrap();
    let irq = Registration::request(&line, Flags::empty(), "toy", Arc::new(Ignore)).unwrap();
    function.vectors[0].unplug();
    wait_until("the device to be gone", || device.is_gone());
    drop(irq);
}

#[test]
fn the_line_of_a_device_counts_as_intx() {
    let (_dispatcher, device, _) = open_function();
    let vectors = device.alloc_irq_vectors(1, 1, IrqTypes::INTX).unwrap();
    assert_eq!((vectors.kind(), vectors.line(0).unwrap().name()), (IrqType::Intx, device.name()));
}

#[test]
fn vectors_are_allocated_once_and_never_too_few() {
    let (_dispatcher, device, _) = open_function();
    let errno = |min, max, types| {
        device.alloc_irq_vectors(min, max, types).map(drop).map_err(|error| error.errno())
    };
    assert_eq!(errno(3, 4, IrqTypes::ALL), Err(Errno::ENOSPC));
    assert_eq!(errno(0, 1, IrqTypes::ALL), Err(Errno::EINVAL));
    let vectors = device.alloc_irq_vectors(2, 2, IrqTypes::MSI).unwrap();
    assert_eq!(errno(1, 1, IrqTypes::ALL), Err(Errno::EBUSY));
    assert_eq!(vectors.line(2).unwrap_err().errno(), Errno::EINVAL);
    drop(vectors);
    assert_eq!(errno(1, 1, IrqTypes::ALL), Ok(()));
}

#[test]
fn bus_mastering_is_off_until_the_driver_sets_it() {
    let (_dispatcher, device, function) = open_function();
    assert!(!function.config.command().contains(Command::MASTER));
    device.set_master().unwrap();
    assert!(function.config.command().contains(Command::MASTER));
    device.clear_master().unwrap();
    assert!(!function.config.command().contains(Command::MASTER));
    assert!(device.pci_id().is_some_and(|id| DeviceId::from_id(0x1234, 0x11E8).matches(id)));
}

#[test]
fn a_device_reaches_memory_through_its_domain() {
    let (_dispatcher, device, function) = open_function();
    let domain = device.dma().unwrap();
    let pages = Arc::new(Pages::zeroed(1).unwrap());
    domain.iommu().map(Iova(0x1000), &pages, Direction::FromDevice).unwrap();
    function.bus.write(Iova(0x1000), b"hello").unwrap();
    let mut seen = [0; 5];
    pages.read(0, &mut seen);
    assert_eq!(&seen, b"hello");
}

#[test]
fn a_device_that_is_released_masters_no_bus_and_reaches_no_memory() {
    let (_dispatcher, device, function) = open_function();
    let held = Coherent::<u32>::zeroed(&device.dma().unwrap()).unwrap();
    let (iova, domain) = (held.iova(), Arc::clone(held.domain()));
    device.set_master().unwrap();
    function.bus.write(iova, &[7]).unwrap();
    drop(device);
    assert!(!function.config.command().contains(Command::MASTER));
    assert!(function.bus.write(iova, &[9]).is_err(), "what a driver holds on to is unmapped");
    assert!(domain.is_shut_down());
    assert_eq!(held.read(), 7, "and lives on as plain memory");
}

#[test]
fn a_device_that_is_not_on_pci_says_so() {
    let (_dispatcher, device) = open(None);
    for error in
        [device.config().map(drop), device.set_master(), device.dma().map(drop), device.reset()]
    {
        assert_eq!(error.unwrap_err().errno(), Errno::EOPNOTSUPP);
    }
    assert!(device.pci_id().is_none());
}

/// A configuration space where nothing answers, as that of a device that was pulled out.
struct Silence;

impl ConfigAccess for Silence {
    fn size(&self) -> usize {
        256
    }

    fn read(&self, _at: usize, buf: &mut [u8]) -> Result<(), Errno> {
        buf.fill(0xFF);
        Ok(())
    }

    fn write(&self, _at: usize, _data: &[u8]) -> Result<(), Errno> {
        Ok(())
    }
}

struct Silent;

impl Model for Silent {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        None
    }

    fn config(&self) -> Option<Arc<dyn ConfigAccess>> {
        Some(Arc::new(Silence))
    }
}

#[test]
fn a_device_is_present_as_long_as_a_vendor_answers() {
    let (_dispatcher, device, _) = open_function();
    assert!(device.presence().check());
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let models = Models::new().with("silent", || Ok(Silent));
    let spec = DeviceSpec::Sim("silent".to_owned());
    let silent = Device::open(&spec, &dispatcher, &models).unwrap();
    assert!(!silent.presence().check());
}

#[test]
fn a_device_that_is_not_on_pci_is_present_until_it_is_gone() {
    let line = SimLine::new().unwrap();
    let (_dispatcher, device) = open(Some(Arc::clone(&line)));
    let presence = device.presence();
    assert!(presence.check());
    let own = device.line(0).unwrap();
    let _irq = Registration::request(&own, Flags::empty(), "toy", Arc::new(Ignore)).unwrap();
    line.unplug();
    wait_until("the device to be gone", || !presence.check());
}
