//! `uioctl peek`, `poke` and `dump` on a device that a daemon runs: at exact width, by name, and in the log.

use std::process::{Command, Output};

use scenarios::daemon::Daemon;
use scenarios::{programs, wait, world};
use serde_json::Value;

fn uioctl(daemon: &Daemon, args: &[&str]) -> Output {
    let mut command = Command::new(programs::uioctl());
    let output = command.args(args).arg("--run-dir").arg(daemon.home().run()).output();
    output.expect("uioctl starts")
}

fn done(daemon: &Daemon, args: &[&str]) -> String {
    let output = uioctl(daemon, args);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The one line of complaint.
fn refused(daemon: &Daemon, args: &[&str]) -> String {
    let output = uioctl(daemon, args);
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// The words that a peek reads.
fn peek(daemon: &Daemon, place: &str, more: &[&str]) -> Vec<u64> {
    let device = world::device();
    let args = [&["peek", &device, place, "--json"][..], more].concat();
    let answer: Value = serde_json::from_str(&done(daemon, &args)).expect("JSON");
    serde_json::from_value(answer["values"].clone()).expect("words")
}

#[test]
fn a_register_is_read_by_name_or_by_place_at_the_width_asked_for() {
    let daemon = Daemon::start();
    assert_eq!(peek(&daemon, "id", &[]), [0x5544_4D59]);
    assert_eq!(peek(&daemon, "0:0", &[]), [0x5544_4D59]);
    assert_eq!(peek(&daemon, "regs:0x0", &["--width", "16", "--count", "3"]), [0x4D59, 0x5544, 1]);
    assert_eq!(peek(&daemon, "Id", &["--width", "8"]), [0x59]);
    let text = done(&daemon, &["peek", &world::device(), "Ctrl"]);
    assert!(text.starts_with("Ctrl = 0x00000003\n") && text.contains("LOOPBACK = 0x1"), "{text}");
    wait::until("a register that the device changes", || peek(&daemon, "Ticks", &[])[0] > 0);
}

#[test]
fn a_poke_writes_and_stands_in_the_log() {
    let daemon = Daemon::start();
    let text = done(&daemon, &["poke", &world::device(), "PeriodUs", "0x1388"]);
    assert!(text.contains("0x00001388") && text.contains("PeriodUs"), "{text}");
    assert_eq!(peek(&daemon, "PeriodUs", &[]), [5000]);
    wait::until("the poke in the log", || {
        daemon.log().lines().any(|line| line.contains("poke") && line.contains("0x1388"))
    });
    // The pokes that are refused write nothing.
    refused(&daemon, &["poke", &world::device(), "0:0x1000000", "1"]);
    assert!(refused(&daemon, &["poke", &world::device(), "Id", "1"]).contains("read-only"));
    assert_eq!(peek(&daemon, "Id", &[]), [0x5544_4D59]);
}

#[test]
fn a_dump_shows_what_the_driver_publishes_and_a_region_as_it_is() {
    let daemon = Daemon::start();
    let text = done(&daemon, &["dump", &world::device()]);
    let names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names[..3], ["REGISTER", "Id", "Version"], "{text}");
    assert!(text.contains("ENABLE=0x1 LOOPBACK=0x1"), "{text}");
    let text = done(&daemon, &["dump", &world::device(), "regs", "--bytes", "20"]);
    assert!(text.starts_with("0x00000000: 55444d59 00000001"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let daemon = Daemon::start();
    let device = world::device();
    assert!(refused(&daemon, &["peek", &device, "Speed"]).contains("PeriodUs"));
    assert!(refused(&daemon, &["peek", &device, "7:0"]).contains("0 (regs), 1 (fifo)"));
    assert!(refused(&daemon, &["peek", &device, "0:2"]).contains("not aligned"));
    let stranger = refused(&daemon, &["peek", "sim:nothing", "0:0"]);
    assert!(stranger.contains("uiod run sim:nothing"), "{stranger}");
}
