//! A device over a small model: what every backend promises.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::sim::{Model, Models, SimLine};
use super::*;
use crate::io::{AccessError, RegionModel, Width};
use crate::irq::{Flags, Handler, IrqReturn, Registration};

mod vectors;

struct Cell(AtomicU64);

impl RegionModel for Cell {
    fn size(&self) -> usize {
        8
    }

    fn read(&self, offset: usize, _width: Width) -> u64 {
        self.0.load(Ordering::SeqCst) >> (offset * 8)
    }

    fn write(&self, _offset: usize, _width: Width, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }
}

struct Toy(Option<Arc<SimLine>>);

impl Model for Toy {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        vec![("cell".to_owned(), Arc::new(Cell(AtomicU64::new(7))))]
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        self.0.clone()
    }

    fn of_node(&self) -> Option<of::Node> {
        Some(of::Node::new("/toy@1000").with_compatible(&["acme,toy"]))
    }
}

struct Ignore;

impl Handler for Ignore {
    fn handle(&self) -> IrqReturn {
        IrqReturn::Handled
    }
}

fn open(line: Option<Arc<SimLine>>) -> (Dispatcher, Arc<Device>) {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let models = Models::new().with("toy", move || Ok(Toy(line.clone())));
    let device = Device::open(&DeviceSpec::Sim("toy".to_owned()), &dispatcher, &models).unwrap();
    (dispatcher, device)
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

#[test]
fn a_region_is_found_by_number_and_its_size_is_proven() {
    let (_dispatcher, device) = open(None);
    assert_eq!(device.region(0, 8).unwrap().read32(0), 7);
    let error = device.region(0, 9).unwrap_err().to_string();
    assert!(error.contains("region 0 of sim:toy") && error.contains("needs 0x9"), "{error}");
}

#[test]
fn a_region_that_does_not_exist_is_refused_with_those_that_do() {
    let (_dispatcher, device) = open(None);
    let error = device.region(3, 0).unwrap_err().to_string();
    assert!(error.contains("region 3 of sim:toy") && error.contains("0 (cell)"), "{error}");
    assert!(device.map_region::<4>(3).is_err());
}

#[test]
fn a_simulated_region_cannot_be_mapped_as_memory() {
    let (_dispatcher, device) = open(None);
    assert_eq!(device.map_region::<4>(0).unwrap_err().errno(), Errno::EOPNOTSUPP);
}

#[test]
fn a_device_without_an_interrupt_says_so() {
    let (_dispatcher, device) = open(None);
    let error = device.line(0).unwrap_err();
    assert_eq!(error.errno(), Errno::ENXIO);
    assert!(error.to_string().contains("sim:toy has no interrupt"), "{error}");
}

#[test]
fn an_unknown_model_is_refused_with_those_that_exist() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let models = Models::new().with("toy", || Ok(Toy(None)));
    let spec = DeviceSpec::Sim("tyo".to_owned());
    let error = Device::open(&spec, &dispatcher, &models).unwrap_err();
    assert_eq!(error.errno(), Errno::ENODEV);
    assert!(error.to_string().ends_with("the models are: toy"), "{error}");
}

#[test]
fn what_is_raised_while_masked_is_counted_and_fires_after_the_unmask() {
    let sim = SimLine::new().unwrap();
    let (_dispatcher, device) = open(Some(Arc::clone(&sim)));
    (0..3).for_each(|_| sim.raise());
    let line = device.line(0).unwrap();
    let _held = Registration::request(&line, Flags::empty(), "test", Arc::new(Ignore)).unwrap();
    wait_until("the count", || line.stats().raised == 3);
    (0..1000).for_each(|_| sim.raise());
    wait_until("every interrupt", || line.stats().raised == sim.raised());
    // A round is counted when its handlers have returned, after its events.
    wait_until("the last round", || {
        let stats = line.stats();
        stats.handled + stats.missed == 1003
    });
    assert_eq!(line.stats().raised, 1003);
}

#[test]
fn a_level_that_is_asserted_fires_at_every_unmask_until_it_is_let_go() {
    let sim = SimLine::new().unwrap();
    let source = sim.source();
    sim.set_level(true);
    assert_eq!(source.take(), Ok(0), "masked");
    for _ in 0..3 {
        source.unmask().unwrap();
        assert_eq!(source.take(), Ok(1));
    }
    sim.set_level(false);
    source.unmask().unwrap();
    assert_eq!(source.take(), Ok(0));
    sim.set_level(true);
    sim.set_level(true);
    assert_eq!(source.take(), Ok(1), "it masks itself when it fires");
    sim.set_level(false);
    assert_eq!(sim.raised(), 4);
}

#[test]
fn an_unplugged_device_is_gone_for_everybody_and_hooks_are_called_once() {
    let sim = SimLine::new().unwrap();
    let (_dispatcher, device) = open(Some(Arc::clone(&sim)));
    let region = device.region(0, 8).unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    device.on_gone(move |errno| {
        assert_eq!(errno, Errno::ENODEV);
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let line = device.line(0).unwrap();
    let _held = Registration::request(&line, Flags::empty(), "test", Arc::new(Ignore)).unwrap();
    sim.unplug();
    wait_until("the hook", || calls.load(Ordering::SeqCst) == 1);
    assert!(device.is_gone() && region.is_gone());
    assert_eq!(region.try_read32(0), Err(AccessError::Gone));
    let late = Arc::clone(&calls);
    device.on_gone(move |_| {
        late.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(calls.load(Ordering::SeqCst), 2, "a late hook is called at once");
}

#[test]
fn a_device_of_the_device_tree_has_its_node() {
    let (_dispatcher, device) = open(None);
    let node = device.of_node().unwrap();
    assert_eq!(node.path(), "/toy@1000");
    assert!(of::DeviceId::new("acme,toy").matches(node));
}

#[test]
fn a_region_is_found_by_its_name() {
    let (_dispatcher, device) = open(None);
    assert_eq!(device.region_index("cell"), Some(0));
    assert_eq!(device.region_index("none"), None);
}

#[cfg(not(loom))]
#[test]
fn a_driver_is_found_by_what_the_node_is_compatible_with() {
    use crate::driver::Registry;
    let (_dispatcher, device) = open(None);
    let registry = Registry::new().with::<Platform>();
    assert_eq!(registry.find(&device, None).unwrap(), "platform");
}

#[cfg(not(loom))]
struct Platform;

#[cfg(not(loom))]
impl crate::driver::Driver for Platform {
    const NAME: &'static str = "platform";
    const ID_TABLE: &'static [&'static str] = &[];
    const OF_ID_TABLE: &'static [of::DeviceId] = &[of::DeviceId::new("acme,toy")];

    fn probe(_probe: &crate::driver::Probe<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn node(&self) -> &crate::chardev::Registration {
        unreachable!("nothing asks for it here")
    }

    fn rings(&self) -> Vec<crate::driver::RingFill> {
        Vec::new()
    }
}
