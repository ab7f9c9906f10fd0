//! The driver behind a node, with clients that are programs of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use edu_model::{Controls, Options};
use uio_core::chardev::{self, NodeKind};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::driver::{Bound, Probe, Registry};
use uio_core::irq::Dispatcher;
use uio_core::pci::IrqTypes;
use uio_core::softirq::Softirqs;

/// How long anything may take that is to happen.
const LONG: Duration = Duration::from_secs(30);

/// A driver that is bound, and its node. In the order of their release.
struct Rig {
    driver: Arc<dyn Bound>,
    device: Arc<Device>,
    controls: Controls,
    _dispatcher: Dispatcher,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(irq_types: IrqTypes) -> Self {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let softirqs = Softirqs::attach(&dispatcher);
        let made = Arc::new(OnceLock::new());
        let tell = Arc::clone(&made);
        let models = Models::new().with("edu", move || {
            let model = edu_model::Edu::with(Options::default())?;
            tell.set(model.controls()).unwrap();
            Ok(model)
        });
        let spec = DeviceSpec::Sim("edu".to_owned());
        let device = Device::open(&spec, &dispatcher, &models).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut node = chardev::Options::new("");
        (node.kind, node.dir) = (NodeKind::Fuse, dir.path().to_owned());
        let registry = Registry::new().with::<edu::Edu>();
        let name = registry.find(&device, None).unwrap();
        let (device_ref, softirqs) = (&device, &softirqs);
        let probe = Probe { device: device_ref, softirqs, node: &node, irq_types, instance: 0 };
        let driver = registry.bind(name, &probe).unwrap();
        let controls = made.get().unwrap().clone();
        Self { driver, device, controls, _dispatcher: dispatcher, _dir: dir }
    }

    fn node(&self) -> PathBuf {
        self.driver.node().path().to_owned()
    }

    fn start(&self, script: &str) -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).env("NODE", self.node()).env("LC_ALL", "C");
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn shell(&self, script: &str) -> Output {
        self.start(script).wait_with_output().unwrap()
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in {LONG:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_driver_is_found_by_the_id_of_the_function_and_named_after_itself() {
    let rig = Rig::new(IrqTypes::ALL);
    assert_eq!(rig.driver.name(), "edu");
    assert!(rig.node().ends_with("edu0"));
    assert_eq!(rig.driver.registers()[0].registers.len(), 11);
}

#[test]
fn echo_and_cat_and_dd_and_cmp() {
    for types in [IrqTypes::MSI, IrqTypes::INTX] {
        let rig = Rig::new(types);
        let said = rig.shell(r#"cat "$NODE"; echo Hello > "$NODE" && cat "$NODE" "$NODE""#);
        assert_eq!(said.stdout, b"Hello\nHello\n", "{said:?}");
        let copied = rig.shell(
            r#"f=$(mktemp) && head -c 2048 /dev/urandom > "$f" &&
               dd if="$f" of="$NODE" bs=100 status=none && dd if="$NODE" bs=300 status=none | cmp - "$f"; r=$?
               rm "$f"; exit $r"#,
        );
        assert!(copied.status.success(), "{copied:?}");
        let full = rig.shell(r#"head -c 3000 /dev/zero > "$NODE""#);
        let text = String::from_utf8_lossy(&full.stderr).into_owned();
        assert!(!full.status.success() && text.contains("No space left"), "{text}");
    }
}

#[test]
fn a_device_that_is_pulled_out_during_a_transfer_ends_every_client_with_enodev() {
    for types in [IrqTypes::MSI, IrqTypes::INTX] {
        let rig = Rig::new(types);
        assert!(rig.shell(r#"echo Hello > "$NODE""#).status.success());
        rig.controls.stall(true);
        let clients: Vec<Child> = (0..4)
            .flat_map(|_| [r#"cat "$NODE""#, r#"echo again > "$NODE""#])
            .map(|script| rig.start(script))
            .collect();
        let waits = |rig: &Rig| rig.driver.node().stats();
        eventually("all to wait", || {
            let stats = waits(&rig);
            stats.waiting_readers + stats.waiting_writers == 8
        });
        rig.controls.unplug();
        for client in clients {
            let end = client.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&end.stderr).into_owned();
            assert!(!end.status.success(), "{end:?}");
            assert!(text.contains("No such device") || text.contains("I/O error"), "{text}");
        }
        assert!(rig.device.is_gone());
    }
}

#[test]
fn an_error_that_the_bus_noticed_hangs_up() {
    let rig = Rig::new(IrqTypes::ALL);
    rig.driver.error_detected();
    let end = rig.shell(r#"cat "$NODE""#);
    assert!(String::from_utf8_lossy(&end.stderr).contains("Input/output error"), "{end:?}");
}
