//! The GPIO block of the board `virt`, a PL061 that an overlay has made a UIO device. Its line 3 is the power button, which
//! QEMU presses: the line is high for a tenth of a second. The other lines are connected to nothing.

use std::fs::{self, File};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::PollFlags;
use scenarios::client::{self, Client};
use scenarios::daemon::{Daemon, Launch};
use scenarios::monitor::press_power_button;
use scenarios::{fd, programs, task, wait, world};

/// The block, by what it is compatible with, and by its node.
const COMPATIBLE: &str = "of:arm,pl061";
const NODE: &str = "of:/pl061@9030000";

/// The name that the overlay gives the UIO device.
const UIO_NAME: &str = "gpio0";

/// How often the button is pressed to see that nothing is lost.
const PRESSES: usize = 50;

/// Room for some lines.
const PAGE: usize = 4096;

fn launch(device: &str) -> Launch {
    world::require_machine("virt");
    Launch::with(&["run", device, "--node-kind", world::node_kind().name()])
}

fn daemon() -> Daemon {
    launch(COMPATIBLE).start()
}

/// A file of the node, after a command.
fn after(daemon: &Daemon, command: &str) -> File {
    let file = fd::both(daemon.node());
    assert_eq!(fd::write(&file, command.as_bytes()), Ok(command.len()), "{command}");
    file
}

/// The events that there are when there is one, by poll and read: nanoseconds, and what happened.
fn events(file: &File) -> Vec<(u64, String)> {
    let ready = fd::ready_within(file, PollFlags::POLLIN, wait::DEADLINE);
    assert_eq!(ready, PollFlags::POLLIN, "no event came");
    let text = String::from_utf8(fd::read(file, PAGE).expect("events")).expect("text");
    text.lines().map(event).collect()
}

fn event(line: &str) -> (u64, String) {
    let (time, what) = line.trim_start().split_once(' ').expect("a time and an event");
    (time.replace('.', "").parse().expect("nanoseconds"), what.to_owned())
}

/// So many events.
fn events_of(file: &File, count: usize) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(events(file));
    }
    all
}

fn what(events: &[(u64, String)]) -> Vec<&str> {
    events.iter().map(|(_, what)| what.as_str()).collect()
}

/// How the lines stand, as text.
fn show(daemon: &Daemon) -> Vec<String> {
    let file = after(daemon, "show");
    let text = String::from_utf8(fd::read(&file, PAGE).expect("an answer")).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// How line 3 stands, without its name.
fn button(daemon: &Daemon) -> String {
    let line = show(daemon).swap_remove(3);
    line.strip_suffix(" \"power-button\"").expect("the name that the overlay gives it").to_owned()
}

#[test]
fn cat_shows_that_the_button_is_pressed_and_let_go() {
    let daemon = launch(NODE).start();
    client::shell(daemon.node(), r#"echo "3 in both" > "$NODE""#).text();
    let head = Client::shell(daemon.node(), r#"head -n 2 "$NODE""#);
    daemon.await_readers(1);
    press_power_button();
    let text = head.finish("head").text();
    let events: Vec<_> = text.lines().map(event).collect();
    assert_eq!(what(&events), ["line 3 rising", "line 3 falling"], "{text}");
    // On the processor's clock, which the kernel's log has too, the guest is less than two hours old.
    assert!(events[1].0 < 7_200_000_000_000, "{text}");
}

#[test]
fn every_press_is_told_by_both_edges_and_no_more() {
    let daemon = daemon();
    let (file, other) = (after(&daemon, "3 in both"), fd::reader(daemon.node()));
    let mut seen = Vec::new();
    for _ in 0..PRESSES {
        press_power_button();
        // Not before it is let go: QEMU would hold it on.
        seen.extend(events_of(&file, 2));
    }
    assert_eq!(seen.len(), 2 * PRESSES);
    for (index, press) in seen.chunks(2).enumerate() {
        assert_eq!(what(press), ["line 3 rising", "line 3 falling"], "press {index}");
        // A guest that is held up for the tenth of a second takes both at once.
        assert!(press[0].0 <= press[1].0, "press {index}: {press:?}");
    }
    let presses: Vec<u64> = seen.chunks(2).map(|press| press[0].0).collect();
    assert!(presses.is_sorted_by(|a, b| a < b), "{presses:?}");
    // Another reader has had the same, and nobody has more.
    assert_eq!(events_of(&other, 2 * PRESSES), seen);
    for file in [&file, &other] {
        fd::set_nonblocking(file, true);
        assert_eq!(fd::read(file, PAGE), Err(Errno::EAGAIN));
    }
    let interrupts = daemon.status().line("raised");
    let most = 2 * PRESSES as u64;
    assert!((most / 2..=most).contains(&interrupts), "{interrupts} interrupts");
}

#[test]
fn one_kind_of_edge_is_told_alone() {
    let daemon = daemon();
    let file = after(&daemon, "3 in falling");
    press_power_button();
    assert_eq!(what(&events(&file)), ["line 3 falling"]);
    fd::write(&file, b"3 in rising").expect("a command");
    press_power_button();
    assert_eq!(what(&events(&file)), ["line 3 rising"]);
    wait::until("the button to be let go", || button(&daemon) == "line 3 in 0 rising");
    fd::set_nonblocking(&file, true);
    assert_eq!(fd::read(&file, PAGE), Err(Errno::EAGAIN), "nor the end of that press");
}

#[test]
fn a_level_that_stays_interrupts_once() {
    let daemon = daemon();
    let file = after(&daemon, "3 in level-low");
    assert_eq!(what(&events(&file)), ["line 3 level-low"]);
    wait::until("the count", || daemon.status().line("handled") == 1);
    assert_eq!(button(&daemon), "line 3 in 0 level-low fired");
    // Two more by hand; between them nothing comes, or the edges would not be the next.
    fd::write(&file, b"3 in level-low").expect("a command");
    assert_eq!(what(&events(&file)), ["line 3 level-low"]);
    fd::write(&file, b"3 in level-high").expect("a command");
    press_power_button();
    assert_eq!(what(&events(&file)), ["line 3 level-high"]);
    wait::until("the button to be let go", || button(&daemon) == "line 3 in 0 level-high fired");
    fd::write(&file, b"3 in both").expect("a command");
    press_power_button();
    assert_eq!(what(&events_of(&file, 2)), ["line 3 rising", "line 3 falling"]);
    assert!(daemon.status().line("raised") <= 5, "a storm");
}

#[test]
fn directions_and_levels_are_the_blocks() {
    let daemon = daemon();
    assert_eq!(show(&daemon)[5], "line 5 in 0");
    after(&daemon, "5 out 1; 6-7 out 0");
    assert_eq!(show(&daemon)[4..], ["line 4 in 0", "line 5 out 1", "line 6 out 0", "line 7 out 0"]);
    after(&daemon, "5 set 0\n6 set 1\n");
    assert_eq!(show(&daemon)[5..], ["line 5 out 0", "line 6 out 1", "line 7 out 0"]);
    let mut uioctl = std::process::Command::new(programs::uioctl());
    uioctl.args(["dump", COMPATIBLE, "--run-dir"]).arg(daemon.home().run());
    let text = Client::start(uioctl).finish("uioctl").text();
    let registers =
        [("GpioDir", "0x000000e0"), ("GpioData6", "0x00000040"), ("GpioPCellId3", "0x000000b1")];
    for (name, value) in registers {
        let row =
            text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
        assert!(row.is_some_and(|row| row.contains(value)), "{name}: {text}");
    }
    after(&daemon, "5-7 in");
    assert_eq!(show(&daemon)[7], "line 7 in 0");
}

#[test]
fn wrong_input_changes_nothing_and_is_told() {
    let daemon = daemon();
    let before = show(&daemon);
    let file = fd::writer(daemon.node());
    for (command, errno) in [
        ("4 out 1; 5 uot 1", Errno::EINVAL),
        ("4 out 1; 5 set 1", Errno::EPERM),
        ("4 out 1; 8 out 1", Errno::EINVAL),
    ] {
        assert_eq!(fd::write(&file, command.as_bytes()), Err(errno), "{command}");
    }
    assert_eq!(show(&daemon), before);
    for words in
        ["`uot` is none of in, out and set", "line 5: an input has no level", "`8` is no line"]
    {
        wait::until("the reason in the log", || daemon.log().contains(words));
    }
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

const DRIVER: &str = "/sys/bus/platform/drivers/uio_pdrv_genirq";

/// The kernel's driver takes it back when this is dropped.
struct Unbound(String);

impl Unbound {
    /// Takes the driver from the block.
    fn now() -> Self {
        let device = platform_device().expect("the block is a UIO device");
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
fn unbinding_ends_blocked_clients_with_enodev_and_another_daemon_works_afterwards() {
    let daemon = daemon();
    let (reader, polled) = (after(&daemon, "3 in both"), fd::reader(daemon.node()));
    let reading = task::spawn(move || fd::read(&reader, PAGE));
    let polling = task::spawn(move || fd::ready_within(&polled, PollFlags::POLLIN, wait::DEADLINE));
    daemon.await_readers(1);
    daemon.await_pollers(1);
    let unbound = Unbound::now();
    assert_eq!(reading.finish("the reader"), Err(Errno::ENODEV));
    let told = polling.finish("the poller");
    assert!(told.contains(PollFlags::POLLERR | PollFlags::POLLHUP), "{told:?}");
    let end = daemon.wait_for_end();
    assert_eq!(end.status.code(), Some(1), "{}", end.log);
    assert!(end.log.contains("is gone"), "{}", end.log);
    drop(unbound);
    let next = self::daemon();
    let file = after(&next, "3 in both");
    press_power_button();
    assert_eq!(what(&events_of(&file, 2)), ["line 3 rising", "line 3 falling"]);
}

#[test]
fn another_block_is_refused_with_what_it_is() {
    let refusal = launch("of:arm,pl031").flag("--driver", "pl061").refused();
    refusal.assert(1, &["it is the PrimeCell PL031", "`compatible`"]);
}
