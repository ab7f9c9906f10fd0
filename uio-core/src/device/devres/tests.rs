//! A test per rule of `Documentation/driver-api/driver-model/devres.rst`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::sim::{Model, Models, SimLine};
use super::super::{Device, DeviceSpec};
use super::*;
use crate::io::RegionModel;
use crate::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};

struct OnlyALine(Arc<SimLine>);

impl Model for OnlyALine {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.0))
    }
}

fn open() -> (Dispatcher, Arc<SimLine>, Arc<Device>) {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let line = SimLine::new().unwrap();
    let made = Arc::clone(&line);
    let models = Models::new().with("line", move || Ok(OnlyALine(Arc::clone(&made))));
    let spec = DeviceSpec::Sim("line".to_owned());
    let device = Device::open(&spec, &dispatcher, &models).unwrap();
    (dispatcher, line, device)
}

/// Says in a list that it was dropped.
struct Noted(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

struct Count(AtomicU64);

impl Handler for Count {
    fn handle(&self) -> IrqReturn {
        self.0.fetch_add(1, Ordering::SeqCst);
        IrqReturn::Handled
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

/// Three managed values, and the list of those that were released.
fn three(device: &Arc<Device>) -> (Vec<Devres<Noted>>, Arc<Mutex<Vec<&'static str>>>) {
    let list = Arc::new(Mutex::new(Vec::new()));
    let manage = |name| device.manage(Noted(name, Arc::clone(&list))).unwrap();
    (["first", "second", "third"].map(manage).into(), list)
}

#[test]
fn unbind_releases_in_reverse_order_and_ends_access() {
    let (_dispatcher, _line, device) = open();
    let (values, list) = three(&device);
    assert_eq!(values[0].try_access().unwrap().0, "first");
    device.release_managed();
    assert_eq!(*list.lock().unwrap(), ["third", "second", "first"]);
    assert!(values.iter().all(|value| value.try_access().is_none()));
    let again = device.manage(7).unwrap();
    assert_eq!(*again.try_access().unwrap(), 7, "the next driver starts anew");
}

#[test]
fn the_drop_of_the_device_releases_in_reverse_order() {
    let (_dispatcher, _line, device) = open();
    let (values, list) = three(&device);
    drop(device);
    assert_eq!(*list.lock().unwrap(), ["third", "second", "first"]);
    assert!(!values[0].is_available());
}

#[test]
fn a_device_that_goes_away_releases_in_reverse_order_and_manages_nothing_any_more() {
    let (_dispatcher, line, device) = open();
    let (_values, list) = three(&device);
    let handler = Arc::new(Count(AtomicU64::new(0)));
    let irq = device.line(0).unwrap();
    let held = Registration::request(&irq, Flags::empty(), "test", handler).unwrap();
    let registration = device.manage(held).unwrap();
    line.unplug();
    wait_until("the release", || list.lock().unwrap().len() == 3);
    assert_eq!(*list.lock().unwrap(), ["third", "second", "first"]);
    assert!(registration.try_access().is_none() && irq.handlers().is_empty());
    assert_eq!(device.manage(7).unwrap_err().errno(), Errno::ENODEV);
}

#[test]
fn a_managed_interrupt_is_freed_at_unbind() {
    let (_dispatcher, line, device) = open();
    let handler = Arc::new(Count(AtomicU64::new(0)));
    let irq = device.line(0).unwrap();
    let held = Registration::request(&irq, Flags::empty(), "test", handler.clone()).unwrap();
    let _managed = device.manage(held).unwrap();
    line.raise();
    wait_until("the interrupt", || handler.0.load(Ordering::SeqCst) == 1);
    device.release_managed();
    line.raise();
    assert!(irq.handlers().is_empty());
    assert_eq!(Arc::strong_count(&handler), 1, "nothing of the driver is held");
}

#[test]
fn unbind_waits_for_an_access() {
    let (_dispatcher, _line, device) = open();
    let (values, list) = three(&device);
    std::thread::scope(|scope| {
        let access = values[1].try_access().unwrap();
        let unbind = scope.spawn(|| device.release_managed());
        // All are revoked before the first is released.
        wait_until("the first release", || !list.lock().unwrap().is_empty());
        assert!(!values[0].is_available());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(*list.lock().unwrap(), ["third"], "the order is kept");
        assert!(!unbind.is_finished());
        drop(access);
    });
    assert_eq!(*list.lock().unwrap(), ["third", "second", "first"]);
}

#[test]
fn a_handle_that_is_dropped_releases_its_value_early() {
    let (_dispatcher, _line, device) = open();
    let (mut values, list) = three(&device);
    drop(values.remove(1));
    assert_eq!(*list.lock().unwrap(), ["second"]);
    device.release_managed();
    assert_eq!(*list.lock().unwrap(), ["second", "third", "first"]);
}
