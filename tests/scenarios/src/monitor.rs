//! What a story may ask of the emulator of its machine, through the virtio port `monitor` (`xtask/src/vm/monitor.rs`).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use nix::poll::PollFlags;

use crate::{fd, wait};

/// Where the guest asks.
const MONITOR: &str = "/dev/virtio-ports/monitor";

/// Presses the machine's power button and lets it go: on `virt` line 3 of the PL061 goes up, and a hundredth of a second
/// later down again (`hw/gpio/gpio_key.c` in QEMU).
///
/// # Panics
///
/// If the machine does not answer.
pub fn press_power_button() {
    assert_eq!(ask("press power"), "ok");
}

/// Sends a line to the monitor and returns the answer.
pub(crate) fn ask(request: &str) -> String {
    let mut monitor = fd::both(Path::new(MONITOR));
    writeln!(monitor, "{request}").expect("the monitor takes a line");
    let ready = fd::ready_within(&monitor, PollFlags::POLLIN, wait::DEADLINE);
    assert!(ready.contains(PollFlags::POLLIN), "{request}: the monitor does not answer");
    let mut answer = String::new();
    BufReader::new(monitor).read_line(&mut answer).expect("the monitor answers");
    answer.trim_end().to_owned()
}
