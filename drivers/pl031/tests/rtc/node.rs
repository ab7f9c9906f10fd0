//! The driver behind a node, with clients that are programs of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use pl031::Pl031;
use pl031_model::{Options, Time};
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
        Self::with(Options { start: NOON, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let bare = bare(options);
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
fn one_that_waits_for_the_alarm_keeps_the_time_from_nobody() {
    let rig = Rig::new();
    let mut waits = rig.start(r#"exec cat "$NODE""#);
    rig.wait_for_readers(1);
    let now = rig.shell(r#"timeout 60 head -n 1 "$NODE""#);
    assert_eq!(now.stdout, b"2026-11-21T12:00:00\n", "{now:?}");
    waits.kill().unwrap();
    waits.wait().unwrap();
}

/// What a program does that knows `/dev/rtc`, by the numbers of `linux/rtc.h`.
const PROGRAM: &str = r#"
import fcntl, os, select, struct
fd = os.open(os.environ["NODE"], os.O_RDONLY)
RD_TIME, WKALM_SET, WKALM_RD, AIE_OFF = 0x80247009, 0x4028700F, 0x80287010, 0x7002
time = struct.unpack("9i", fcntl.ioctl(fd, RD_TIME, bytes(36)))
assert time == (0, 0, 12, 21, 10, 126, 6, 324, 0), time
poll = select.poll()
poll.register(fd, select.POLLIN)
assert poll.poll(0) == []
alarm = (10, *time[1:])
fcntl.ioctl(fd, WKALM_SET, struct.pack("BBxx9i", 1, 0, *alarm))
assert struct.unpack("BBxx9i", fcntl.ioctl(fd, WKALM_RD, bytes(40))) == (1, 0, *alarm)
print("armed", flush=True)
assert poll.poll(60000) == [(fd, select.POLLIN)]
assert struct.unpack("L", os.read(fd, 8)) == (0x1A0,)
assert poll.poll(0) == []
fcntl.ioctl(fd, AIE_OFF)
try:
    fcntl.ioctl(fd, 0x8008700D, bytes(8))
except OSError as error:
    print(error.strerror)
"#;

#[test]
fn a_program_that_knows_the_kernels_clocks_knows_this_one() {
    let rig = Rig::new();
    let program = rig.start(&format!("exec python3 -c '{PROGRAM}'"));
    wait_until("the alarm", || rig.bare.world.is_unmasked());
    rig.bare.world.advance(10);
    let end = program.wait_with_output().unwrap();
    assert_eq!(end.stdout, b"armed\nInappropriate ioctl for device\n", "{end:?}");
}

#[test]
fn with_the_real_time_an_alarm_comes_by_itself() {
    let rig = Rig::with(Options { start: NOON, time: Time::Real, ..Options::default() });
    let reader = rig.start(r#"head -n 2 "$NODE""#);
    rig.wait_for_readers(1);
    assert!(rig.shell(r#"echo +2 > "$NODE""#).status.success());
    let told = reader.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.starts_with("2026-11-21T12:") && text.ends_with(" alarm\n"), "{told:?}");
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
