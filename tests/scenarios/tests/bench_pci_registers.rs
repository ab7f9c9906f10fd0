//! `uioctl peek`, `poke` and `dump` on PCI functions that no daemon runs, and on one that a daemon does.

use std::fs;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use scenarios::daemon::Launch;
use scenarios::pci::{self, Function};
use scenarios::{fd, programs, wait};

/// What the registers of edu hold.
const ID: &str = "0x010000ed";

fn uioctl(args: &[&str]) -> Output {
    Command::new(programs::uioctl()).args(args).output().expect("uioctl starts")
}

fn done(args: &[&str]) -> String {
    let output = uioctl(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The word at an offset of BAR 0.
fn peek(function: Function, offset: &str) -> String {
    let text = done(&["peek", &function.spec(), &format!("0:{offset}")]);
    let word = text.trim().rsplit(' ').next().map(|word| format!("0x{word}"));
    word.expect("a word")
}

fn poke_and_see_the_answer(function: Function) {
    assert_eq!(peek(function, "0"), ID);
    let text = done(&["poke", &function.spec(), "0:4", "0x12345678"]);
    assert!(text.contains("0x12345678"), "{text}");
}

#[test]
fn through_vfio_the_function_is_opened_for_it() {
    let function = pci::edu(0);
    let _bound = pci::bind(function, "vfio-pci");
    poke_and_see_the_answer(function);
    assert_eq!(done(&["dump", &function.spec(), "0", "--bytes", "4"]), "0x00000000: 010000ed\n");
}

#[test]
fn on_uio_pci_generic_the_node_stays_closed_and_what_was_written_stays() {
    let function = pci::edu(0);
    let _bound = pci::bind(function, "uio_pci_generic");
    let config = function.dir().join("config");
    let mastering = || fs::read(&config).expect("config")[4] & 4;
    // Whoever runs it has switched this on; closing the node would switch it off.
    let before = fs::read(&config).expect("config");
    let mut command = [before[4] | 4, before[5]];
    write_at(&config, 4, &command);
    poke_and_see_the_answer(function);
    // The device inverts what is written there.
    assert_eq!(peek(function, "4"), "0xedcba987");
    assert_eq!(mastering(), 4);
    command[0] &= !4;
    write_at(&config, 4, &command);
}

fn write_at(path: &std::path::Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().write(true).open(path).expect("config opens");
    file.write_all_at(bytes, at).expect("config is written");
}

#[test]
fn ports_are_peeked_byte_by_byte() {
    let function = pci::serial(0);
    let _bound = pci::bind(function, "uio_pci_generic");
    // The scratch register of a 16550 keeps what is written.
    done(&["poke", &function.spec(), "0:7", "0x5a", "--width", "8"]);
    assert_eq!(done(&["peek", &function.spec(), "0:7", "--width", "8"]), "0x00000007: 5a\n");
}

#[test]
fn a_function_that_the_kernel_drives_is_left_alone() {
    let function = pci::serial(1);
    let output = uioctl(&["peek", &function.spec(), "0:0"]);
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("serial") && text.contains("uioctl bind"), "{text}");
}

#[test]
fn the_daemon_that_runs_it_does_it() {
    let function = pci::edu(0);
    let _bound = pci::bind(function, "vfio-pci");
    let daemon = Launch::with(&["run", &function.spec()]).start();
    let run_dir = daemon.home().run();
    let run_dir = run_dir.to_str().expect("a name");
    let text = done(&["dump", &function.spec(), "--run-dir", run_dir]);
    assert!(text.contains(ID), "{text}");
    let text = done(&["poke", &function.spec(), "0:4", "1", "--run-dir", run_dir]);
    assert!(text.contains(&format!("logged by uiod {}", daemon.pid())), "{text}");
    assert!(daemon.log().contains("poke"));
    daemon.end(Signal::SIGTERM).assert_clean();
}

/// Faults that the IOMMU has reported of a function.
fn faults(function: Function) -> usize {
    let log = Command::new("dmesg").output().expect("dmesg starts").stdout;
    let bdf = function.to_string();
    let which = format!("[{}]", bdf.trim_start_matches("0000:"));
    let log = String::from_utf8_lossy(&log);
    log.lines().filter(|line| line.contains("DMAR") && line.contains(&which)).count()
}

#[test]
fn a_transfer_to_where_nothing_is_mapped_is_noticed_and_the_daemon_goes_on() {
    let function = pci::edu(1);
    let _bound = pci::bind(function, "vfio-pci");
    let daemon = Launch::with(&["run", &function.spec()]).start();
    let run_dir = daemon.home().run();
    let run_dir = run_dir.to_str().expect("a name");
    let poke = |register: &str, value: &str| {
        done(&["poke", &function.spec(), register, value, "--run-dir", run_dir]);
    };
    let before = faults(function);
    for (register, value) in
        [("DmaSrc", "0x40000"), ("DmaDst", "0x400000"), ("DmaCount", "64"), ("DmaCmd", "3")]
    {
        poke(register, value);
    }
    wait::until("the kernel's notice of the fault", || faults(function) > before);
    let node = fd::both(daemon.node());
    assert_eq!(fd::write(&node, b"still here"), Ok(10));
    assert_eq!(fd::read_exactly(daemon.node(), 10), b"still here");
    daemon.end(Signal::SIGTERM).assert_clean();
}
