//! The driver behind a node, with clients that are programs of their own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pl061_model::{Controls, Options, Wiring};
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
    fn new() -> Self {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let softirqs = Softirqs::attach(&dispatcher);
        let made = Arc::new(OnceLock::new());
        let tell = Arc::clone(&made);
        let models = Models::new().with("pl061", move || {
            let options = Options { wiring: Wiring::Looped, ..Options::default() };
            let model = pl061_model::Pl061::with_options(options)?;
            tell.set(model.controls()).unwrap();
            Ok(model)
        });
        let spec = DeviceSpec::Sim("pl061".to_owned());
        let device = Device::open(&spec, &dispatcher, &models).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut node = chardev::Options::new("");
        (node.kind, node.dir) = (NodeKind::Fuse, dir.path().to_owned());
        let registry = Registry::new().with::<pl061::Pl061>();
        let name = registry.find(&device, None).unwrap();
        let (device_ref, softirqs, irq_types) = (&device, &softirqs, IrqTypes::ALL);
        let probe = Probe { device: device_ref, softirqs, node: &node, irq_types, instance: 0 };
        let driver = registry.bind(name, &probe).unwrap();
        let controls = made.get().unwrap().clone();
        Self { driver, device, controls, _dispatcher: dispatcher, _dir: dir }
    }

    fn node(&self) -> PathBuf {
        self.driver.node().path().to_owned()
    }

    fn start(&self, program: &str, args: &[&str]) -> Child {
        let mut command = Command::new(program);
        command.args(args).env("NODE", self.node()).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn shell(&self, script: &str) -> Output {
        self.start("sh", &["-c", script]).wait_with_output().unwrap()
    }

    fn waiting_readers(&self) -> usize {
        self.driver.node().stats().waiting_readers
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
fn the_driver_is_named_after_the_block_and_publishes_its_registers() {
    let rig = Rig::new();
    assert_eq!(rig.driver.name(), "pl061");
    assert!(rig.node().ends_with("gpiouio0"));
    assert_eq!(rig.driver.registers()[0].registers.len(), 8 + 18);
    assert_eq!((rig.driver.rings()[0].name, rig.driver.rings()[0].bytes), ("events", 0));
}

#[test]
fn cat_prints_a_line_for_each_edge_as_it_comes() {
    let rig = Rig::new();
    assert!(rig.shell(r#"echo "0 in both; 4 out 0" > "$NODE""#).status.success());
    let mut cat = rig.start("sh", &["-c", r#"exec cat "$NODE""#]);
    let mut lines = BufReader::new(cat.stdout.take().unwrap()).lines();
    eventually("cat to wait", || rig.waiting_readers() == 1);
    for (level, edge) in [(1, "rising"), (0, "falling"), (1, "rising")] {
        assert!(rig.shell(&format!(r#"echo 4 set {level} > "$NODE""#)).status.success());
        let line = lines.next().unwrap().unwrap();
        assert!(line.ends_with(&format!(" line 0 {edge}")), "{line}");
    }
    cat.kill().unwrap();
    cat.wait().unwrap();
}

#[test]
fn a_shell_reads_line_by_line_and_asks_how_the_lines_stand() {
    let rig = Rig::new();
    let said = rig.shell(
        r#"exec 3<> "$NODE"; echo "2 in rising; 6 out 1" >&3
           read -r time line number edge <&3; echo "$line $number $edge"
           echo show >&3; for _ in 1 2 3; do read -r it <&3; done; echo "$it""#,
    );
    let text = String::from_utf8_lossy(&said.stdout);
    assert_eq!(text, "line 2 rising\nline 2 in 1 rising\n", "{said:?}");
}

#[test]
fn a_reader_that_waits_holds_up_nobody_who_has_something_to_read() {
    let rig = Rig::new();
    let first = rig.start("sh", &["-c", r#"exec head -n 1 "$NODE""#]);
    eventually("the first to wait", || rig.waiting_readers() == 1);
    // The second has an answer before it, and nobody has an event.
    let said = rig.shell(r#"exec 3<> "$NODE"; echo show >&3; read -r it <&3; echo "$it""#);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "line 0 in 0\n", "{said:?}");
    // One that comes late to an event that both have.
    let late = rig.shell(
        r#"exec 3<> "$NODE"; echo "0 in both; 4 out 1" >&3
           read -r one <&3; echo "4 set 0" >&3; read -r two <&3; echo "${two#* }""#,
    );
    assert_eq!(String::from_utf8_lossy(&late.stdout), "line 0 falling\n", "{late:?}");
    let said = first.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).ends_with(" line 0 rising\n"), "{said:?}");
}

#[test]
fn a_wrong_command_is_an_invalid_argument() {
    let rig = Rig::new();
    for (script, cause) in [
        (r#"echo 3 uot 1 | dd of="$NODE" status=none"#, "Invalid argument"),
        (r#"echo 3 set 1 | dd of="$NODE" status=none"#, "Operation not permitted"),
    ] {
        let said = rig.shell(script);
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && text.contains(cause), "{text}");
    }
    assert_eq!(rig.controls.outputs().driven, 0);
}

/// Waits in `poll`, says what came of it and of the read after it.
const POLLER: &str = r#"
import os, select
node = os.open(os.environ["NODE"], os.O_RDONLY | os.O_NONBLOCK)
try:
    os.read(node, 4096)
except BlockingIOError:
    print("nothing yet", flush=True)
poll = select.poll()
poll.register(node, select.POLLIN)
for _, events in poll.poll():
    print(bool(events & select.POLLIN), bool(events & (select.POLLERR | select.POLLHUP)))
try:
    print(os.read(node, 4096).decode().split()[1:])
except OSError as error:
    print(os.strerror(error.errno))
"#;

#[test]
fn poll_tells_of_an_event_and_of_the_end_of_the_device() {
    for ends in [false, true] {
        let rig = Rig::new();
        assert!(rig.shell(r#"echo "1 in both" > "$NODE""#).status.success());
        let poller = rig.start("python3", &["-c", POLLER]);
        eventually("the poller to wait", || rig.driver.node().stats().pollers == 1);
        if ends {
            rig.controls.line().unplug();
        } else {
            rig.controls.set(1, true);
        }
        let end = poller.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&end.stdout).into_owned();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("nothing yet"), "{end:?}");
        if ends {
            assert!(lines.next().is_some_and(|line| line.ends_with("True")), "{end:?}");
            assert_eq!(lines.next(), Some("No such device"), "{end:?}");
        } else {
            assert_eq!(lines.next(), Some("True False"), "{end:?}");
            assert_eq!(lines.next(), Some("['line', '1', 'rising']"), "{end:?}");
        }
    }
}

/// The program of the manual, for the node of a rig.
fn program_of_the_manual(rig: &Rig) -> String {
    let manual = include_str!("../../../docs/pl061.md");
    let (_, rest) = manual.split_once("```python\n").expect("a program");
    let (program, _) = rest.split_once("```").expect("its end");
    let program = program.replace("/dev/gpiouio0", &rig.node().display().to_string());
    program + "print(what, line, seqno, line_seqno, time > 0)\n"
}

#[test]
fn the_program_of_the_manual_does_what_it_says() {
    let rig = Rig::new();
    let program = rig.start("python3", &["-c", &program_of_the_manual(&rig)]);
    // It waits for an event on line 3, with line 4 low and line 5 high after it has set them the other way round.
    eventually("the program to wait", || rig.driver.node().stats().pollers == 1);
    let outputs = rig.controls.outputs();
    assert_eq!((outputs.driven, outputs.levels), (0x30, 0x20));
    rig.controls.set(3, true);
    let end = program.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&end.stdout).into_owned();
    // Lines 0 and 1 are wired to 4 and 5.
    assert_eq!(text, "(34, 255)\n1 3 1 1 True\n", "{end:?}");
}

#[test]
fn a_device_that_goes_away_ends_every_blocked_reader_with_enodev() {
    let rig = Rig::new();
    assert!(rig.shell(r#"echo "all in both" > "$NODE""#).status.success());
    let readers: Vec<Child> =
        (0..4).map(|_| rig.start("sh", &["-c", r#"exec cat "$NODE""#])).collect();
    eventually("all to wait", || rig.waiting_readers() == 4);
    rig.controls.line().unplug();
    for reader in readers {
        let end = reader.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&end.stderr).into_owned();
        assert!(!end.status.success() && text.contains("No such device"), "{text}");
    }
    assert!(rig.device.is_gone());
}
