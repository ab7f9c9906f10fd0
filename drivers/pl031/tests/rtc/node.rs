//! The driver behind a node, with clients that are programs of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use pl031::Pl031;
use pl031_model::Options;
use uio_core::chardev::{self, NodeKind};
use uio_core::driver::{Bound, Probe, Registry};
use uio_core::pci::IrqTypes;

use super::bench::{Bare, NOON, bare, wait_until};

/// A driver that is bound, and its node. In the order of their release.
struct Rig {
    driver: Arc<dyn Bound>,
    bare: Bare,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let bare = bare(Options { start: NOON, ..Options::default() });
        let dir = tempfile::tempdir().unwrap();
        let mut node = chardev::Options::new("");
        (node.kind, node.dir) = (NodeKind::Fuse, dir.path().to_owned());
        let registry = Registry::new().with::<Pl031>();
        let name = registry.find(&bare.device, None).unwrap();
        let probe = Probe {
            device: &bare.device,
            softirqs: bare.softirqs(),
            node: &node,
            irq_types: IrqTypes::ALL,
            instance: 0,
        };
        let driver = registry.bind(name, &probe).unwrap();
        Self { driver, bare, _dir: dir }
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

    fn wait_for_readers(&self, count: usize) {
        wait_until("all to wait", || self.driver.node().stats().waiting_readers == count);
    }
}

#[test]
fn it_is_found_by_its_name_and_publishes_its_registers() {
    let rig = Rig::new();
    assert_eq!(rig.driver.name(), "pl031");
    assert!(rig.node().ends_with("rtcuio0"));
    let map = rig.driver.registers().swap_remove(0);
    let at = |name: &str| map.registers.iter().find(|info| info.name == name).map(|it| it.offset);
    assert_eq!((at("Rtcdr"), at("Rtcicr"), at("Rtcpcellid3")), (Some(0), Some(0x1C), Some(0xFFC)));
}

#[test]
fn head_and_echo_and_cat() {
    let rig = Rig::new();
    let now = rig.shell(r#"head -n 1 "$NODE""#);
    assert_eq!(now.stdout, b"2026-11-21T12:00:00\n", "{now:?}");
    let set = rig.shell(r#"echo 2026-12-24T18:00:00 > "$NODE" && head -n 1 "$NODE""#);
    assert_eq!(set.stdout, b"2026-12-24T18:00:00\n", "{set:?}");
    let reader = rig.start(r#"head -n 2 "$NODE""#);
    rig.wait_for_readers(1);
    assert!(rig.shell(r#"echo +5 > "$NODE""#).status.success());
    rig.bare.world.advance(5);
    let told = reader.wait_with_output().unwrap();
    assert_eq!(told.stdout, b"2026-12-24T18:00:00\n2026-12-24T18:00:05 alarm\n", "{told:?}");
    let word = rig.start(r#"dd if="$NODE" bs=8 count=1 status=none | od -An -tu8"#);
    rig.wait_for_readers(1);
    assert!(rig.shell(r#"echo +0 > "$NODE""#).status.success());
    let word = word.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&word.stdout).trim(), "416", "{word:?}");
}

#[test]
fn wrong_input_is_an_invalid_argument() {
    let rig = Rig::new();
    for line in ["tomorrow", "1795262400", "2026-02-30T00:00:00"] {
        let refused = rig.shell(&format!(r#"/bin/echo {line} > "$NODE""#));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains("Invalid argument"), "{text}");
    }
}

#[test]
fn a_device_that_goes_away_ends_every_reader_with_enodev() {
    let rig = Rig::new();
    let readers: Vec<Child> = [r#"cat "$NODE""#, r#"dd if="$NODE" bs=8 count=1"#, r#"cat "$NODE""#]
        .map(|script| rig.start(script))
        .into();
    rig.wait_for_readers(3);
    rig.bare.world.unplug();
    for reader in readers {
        let end = reader.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&end.stderr).into_owned();
        assert!(!end.status.success() && text.contains("No such device"), "{text}");
    }
    let late = rig.shell(r#"echo +5 > "$NODE""#);
    assert!(!late.status.success(), "{late:?}");
    assert!(rig.bare.device.is_gone());
}
