//! The driver on a clock whose time passes by hand, and a client of its node.

use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pl031_model::{Controls, Options, Pl031};
use uio_core::chardev::{self, NodeKind};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::driver::{Probe, Registry};
use uio_core::irq::Dispatcher;
use uio_core::pci::IrqTypes;
use uio_core::softirq::Softirqs;

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A clock, and what its owner does to it.
fn clock(dispatcher: &Dispatcher) -> (Arc<Device>, Controls) {
    let made = Arc::new(OnceLock::new());
    let tell = Arc::clone(&made);
    let models = Models::new().with("pl031", move || {
        let model = Pl031::with(Options::default())?;
        tell.set(model.controls()).unwrap();
        Ok(model)
    });
    let spec = DeviceSpec::Sim("pl031".to_owned());
    let device = Device::open(&spec, dispatcher, &models).unwrap();
    (device, made.get().unwrap().clone())
}

#[test]
fn every_second_is_a_line() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    let (device, world) = clock(&dispatcher);
    let dir = tempfile::tempdir().unwrap();
    let mut node = chardev::Options::new("");
    (node.kind, node.dir) = (NodeKind::Fuse, dir.path().to_owned());
    let registry = Registry::new().with::<ticker::Ticker>();
    let probe = Probe {
        device: &device,
        softirqs: &softirqs,
        node: &node,
        irq_types: IrqTypes::ALL,
        instance: 0,
    };
    let driver = registry.bind("ticker", &probe).unwrap();
    assert!(world.is_unmasked());

    let mut head = Command::new("head");
    head.args(["-n", "3"]).arg(driver.node().path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let head = head.spawn().unwrap();
    for _ in 0..3 {
        wait_until("the next tick", || world.match_value() == world.time() + 1);
        world.advance(1);
    }
    let output = head.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "tick 1\ntick 2\ntick 3\n");

    drop(driver);
    assert!(!world.is_unmasked(), "the device is left quiet");
    assert_eq!(world.mistakes(), 0);
}
