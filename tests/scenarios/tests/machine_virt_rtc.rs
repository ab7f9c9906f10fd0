//! The real-time clock of the board `virt`, a PL031 that an overlay has made a UIO device: from its node in the device
//! tree to `cat`, with clients that know no more than a shell does.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use scenarios::client::{self, Client};
use scenarios::daemon::{Daemon, Launch};
use scenarios::{fd, programs, task, wait, world};

/// The clock, by what it is compatible with, by its node, and by its UIO name.
const COMPATIBLE: &str = "of:arm,pl031";
const NODE: &str = "of:/pl031@9010000";
const NAMED: &str = "uio:rtc0";

/// The name that the overlay gives the UIO device.
const UIO_NAME: &str = "rtc0";

/// Room for a line.
const PAGE: usize = 4096;

/// A word of one alarm: RTC_IRQF and RTC_AF.
const ONE_ALARM: [u8; 8] = 0x1A0_u64.to_ne_bytes();

fn launch(device: &str) -> Launch {
    world::require_machine("virt");
    Launch::with(&["run", device, "--node-kind", world::node_kind().name()])
}

fn daemon() -> Daemon {
    launch(COMPATIBLE).start()
}

/// The first line: the time.
fn time(node: &Path) -> String {
    let line = fd::read(&fd::reader(node), PAGE).expect("the time");
    String::from_utf8(line).expect("text").trim_end().to_owned()
}

/// The device of the platform bus, by its UIO device.
fn platform_device() -> Option<PathBuf> {
    let entries = fs::read_dir("/sys/class/uio").expect("UIO").flatten();
    let named = |dir: &PathBuf| {
        fs::read_to_string(dir.join("name")).is_ok_and(|name| name.trim() == UIO_NAME)
    };
    let dir = entries.map(|entry| entry.path()).find(named)?;
    fs::canonicalize(dir.join("device")).ok()
}

/// The kernel's driver takes it back when this is dropped.
struct Unbound(String);

const DRIVER: &str = "/sys/bus/platform/drivers/uio_pdrv_genirq";

impl Unbound {
    /// Takes the driver from the clock.
    fn now() -> Self {
        let device = platform_device().expect("the clock is a UIO device");
        let name = device.file_name().expect("a name").to_string_lossy().into_owned();
        fs::write(format!("{DRIVER}/unbind"), &name).expect("it was bound");
        Self(name)
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        fs::write(format!("{DRIVER}/bind"), &self.0).expect("it was unbound");
        wait::until("the UIO device", || platform_device().is_some());
    }
}

#[test]
fn cat_is_told_the_time_and_hwclock_too() {
    let daemon = daemon();
    // QEMU has set it to the time of the host.
    let now = time(daemon.node());
    assert!(now.len() == 19 && now.as_str() > "2025", "{now}");
    client::shell(daemon.node(), r#"echo 2030-01-02T03:04:05 > "$NODE""#).text();
    assert!(time(daemon.node()).starts_with("2030-01-02T03:0"));
    let shown = client::shell(daemon.node(), r#"hwclock -u -r -f "$NODE""#).text();
    assert!(shown.starts_with("Wed Jan  2 03:0") && shown.contains(" 2030 "), "{shown}");
}

#[test]
fn hwclock_sets_it() {
    let daemon = daemon();
    // The machine gets its own time back: others measure by it.
    let script = r#"was=$(date +%s)
        date -u -s "2031-05-06 07:08:09" > /dev/null && hwclock -u -w -f "$NODE"
        done=$?; date -s @$was > /dev/null; exit $done"#;
    client::shell(daemon.node(), script).text();
    let now = time(daemon.node());
    assert!(now.starts_with("2031-05-06T07:"), "{now}");
}

#[test]
fn an_alarm_wakes_readers_and_pollers_by_one_interrupt() {
    let daemon = launch(NODE).start();
    let cat = Client::shell(daemon.node(), r#"head -n 2 "$NODE""#);
    let (word, polled) = (fd::reader(daemon.node()), fd::reader(daemon.node()));
    let reading = task::spawn(move || fd::read(&word, 8));
    let polling = task::spawn(move || fd::ready_within(&polled, PollFlags::POLLIN, wait::DEADLINE));
    daemon.await_readers(2);
    daemon.await_pollers(1);
    client::shell(daemon.node(), r#"echo 2030-01-02T03:04:05 > "$NODE"; echo +2 > "$NODE""#).text();
    assert_eq!(reading.finish("the reader"), Ok(ONE_ALARM.to_vec()));
    assert_eq!(polling.finish("the poller"), PollFlags::POLLIN);
    let told = cat.finish("head").text();
    // The machine may be slow between the two writes.
    assert!(told.contains("\n2030-01-02T03:0") && told.ends_with(" alarm\n"), "{told}");
    wait::until("the count", || daemon.status().line("handled") == 1);
    assert_eq!(daemon.status().line("raised"), 1);
}

#[test]
fn an_alarm_for_now_or_before_comes_at_once() {
    let daemon = launch(NAMED).start();
    for line in ["+0", "alarm @0"] {
        let file = fd::both(daemon.node());
        fd::write(&file, line.as_bytes()).expect("an alarm");
        assert_eq!(fd::read(&file, 8), Ok(ONE_ALARM.to_vec()), "{line}");
    }
    assert_eq!(daemon.status().line("raised"), 0, "no interrupt is needed for it");
}

#[test]
fn the_time_set_over_an_alarm_rings_it() {
    let daemon = daemon();
    let file = fd::both(daemon.node());
    fd::write(&file, b"2030-01-01T00:00:00").expect("a time");
    fd::write(&file, b"alarm 2030-06-01T00:00:00").expect("an alarm");
    let nonblocking = fd::nonblocking(daemon.node());
    assert_eq!(fd::read(&nonblocking, 8), Err(Errno::EAGAIN));
    fd::write(&file, b"2030-12-01T00:00:00").expect("a time");
    assert_eq!(fd::read(&nonblocking, 8), Ok(ONE_ALARM.to_vec()));
    // Ahead of the alarm by moments: the hardware's own comparator rings this one.
    fd::write(&file, b"alarm 2031-01-01T00:00:00").expect("an alarm");
    fd::write(&file, b"2030-12-31T23:59:58").expect("a time");
    let reader = fd::reader(daemon.node());
    let told = task::spawn(move || [fd::read(&reader, PAGE), fd::read(&reader, PAGE)]);
    let [_, alarm] = told.finish("the alarm");
    assert_eq!(alarm.expect("a line"), b"2031-01-01T00:00:00 alarm\n");
}

#[test]
fn wrong_input_is_refused_and_told() {
    let daemon = daemon();
    for line in ["tomorrow", "2030-02-30T00:00:00", "2107-01-01T00:00:00"] {
        let ended = client::shell(daemon.node(), &format!(r#"/bin/echo {line} > "$NODE""#));
        assert!(!ended.status.success(), "{line}");
        wait::until("the reason in the log", || daemon.log().contains(&format!("{line:?}")));
    }
}

#[test]
fn unbinding_ends_blocked_clients_with_enodev_and_another_daemon_works_afterwards() {
    let daemon = daemon();
    client::shell(daemon.node(), r#"echo +3600 > "$NODE""#).text();
    let (word, text, polled) =
        (fd::reader(daemon.node()), fd::reader(daemon.node()), fd::reader(daemon.node()));
    fd::read(&text, PAGE).expect("the time");
    let reading =
        [task::spawn(move || fd::read(&word, 8)), task::spawn(move || fd::read(&text, PAGE))];
    let polling = task::spawn(move || fd::ready_within(&polled, PollFlags::POLLIN, wait::DEADLINE));
    daemon.await_readers(2);
    daemon.await_pollers(1);
    let unbound = Unbound::now();
    for reading in reading {
        assert_eq!(reading.finish("a reader"), Err(Errno::ENODEV));
    }
    let told = polling.finish("the poller");
    assert!(told.contains(PollFlags::POLLERR | PollFlags::POLLHUP), "{told:?}");
    let end = daemon.wait_for_end();
    assert_eq!(end.status.code(), Some(1), "{}", end.log);
    assert!(end.log.contains("is gone"), "{}", end.log);
    launch(COMPATIBLE).refused().assert(1, &["pl031@9010000", "no UIO device belongs to the node"]);
    drop(unbound);
    let next = self::daemon();
    let script = r#"echo +1 > "$NODE" & head -n 2 "$NODE" | tail -n 1"#;
    assert!(client::shell(next.node(), script).text().ends_with(" alarm\n"));
}

#[test]
fn a_daemon_that_was_killed_leaves_its_alarm_to_the_next() {
    let first = daemon();
    let script = r#"echo 2030-01-01T00:00:00 > "$NODE"; echo alarm 2030-01-02T00:00:00 > "$NODE""#;
    client::shell(first.node(), script).text();
    first.end(Signal::SIGKILL);
    let second = daemon();
    let file = fd::both(second.node());
    fd::write(&file, b"2030-01-01T23:59:58").expect("a time");
    let reading = task::spawn(move || fd::read(&file, 8));
    assert_eq!(reading.finish("the alarm"), Ok(ONE_ALARM.to_vec()));
}

#[test]
fn its_registers_are_shown_by_name() {
    let daemon = daemon();
    client::shell(daemon.node(), r#"echo @1000000000 > "$NODE""#).text();
    let mut uioctl = std::process::Command::new(programs::uioctl());
    uioctl.args(["dump", COMPATIBLE, "--run-dir"]).arg(daemon.home().run());
    let text = Client::start(uioctl).finish("uioctl").text();
    for words in ["Rtclr", "0x3b9aca00", "Rtcpcellid3", "0x000000b1"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn another_block_is_refused_with_what_it_is() {
    let refusal = launch("of:arm,pl061").flag("--driver", "pl031").refused();
    refusal.assert(1, &["PrimeCell 0x061", "compatible"]);
}
