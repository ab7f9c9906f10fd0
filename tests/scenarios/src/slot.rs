//! The slot of a root port: its control register, and the thread by which the kernel's `pciehp` serves it.
//!
//! The thread sleeps in `irq_thread` while nothing happens. What happens at the slot while it still works is left
//! pending, and may be taken for something else then (a button that is pressed on a slot that is on switches it off),
//! so whoever does something to the slot first waits until the thread has come to [rest](Slot::await_rest).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::pci::Function;
use crate::wait;

/// Where the configuration space has its list of capabilities.
const CAPABILITIES: u64 = 0x34;
/// The PCI Express capability's id.
const EXPRESS: u8 = 0x10;
/// Slot Control, in that capability.
const CONTROL: u64 = 0x18;

/// Power controller: off.
const POWER_OFF: u16 = 1 << 10;
/// Power indicator: what of the register it is.
const INDICATOR: u16 = 3 << 8;

/// What the power indicator shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Indicator {
    On = 1 << 8,
    Off = 3 << 8,
}

/// The slot of a port.
#[derive(Debug)]
pub(crate) struct Slot {
    config: File,
    /// Where Slot Control is.
    control: u64,
    thread: PathBuf,
}

impl Slot {
    pub(crate) fn of(port: Function) -> Self {
        let config = OpenOptions::new().read(true).write(true).open(port.dir().join("config"));
        let config = config.expect("the port's configuration space opens");
        let control = express(&config) + CONTROL;
        Self { config, control, thread: thread_of(port) }
    }

    /// Has QEMU take the device away. It does when the register says "power off, indicator off", though the port has
    /// no power controller (`pcie_cap_slot_write_config` in QEMU's `hw/pci/pcie.c`).
    pub(crate) fn eject(&self) {
        let off = read16(&self.config, self.control) | POWER_OFF | Indicator::Off as u16;
        let written = self.config.write_all_at(&off.to_le_bytes(), self.control);
        written.expect("the register can be written");
    }

    /// Whether the indicator shows this. It blinks while the kernel works at the slot.
    pub(crate) fn shows(&self, indicator: Indicator) -> bool {
        read16(&self.config, self.control) & INDICATOR == indicator as u16
    }

    /// How often the thread has gone to sleep.
    pub(crate) fn rests(&self) -> u64 {
        let status = fs::read_to_string(self.thread.join("status")).expect("the thread is there");
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.and_then(|count| count.trim().parse().ok()).expect("a count")
    }

    /// Waits until the thread rests, having gone to sleep again since it had done so `before` times.
    pub(crate) fn await_rest_since(&self, before: u64) {
        wait::until("the kernel to be done with the slot", || {
            self.rests() > before && self.is_at_rest()
        });
    }

    /// Waits until the thread rests.
    pub(crate) fn await_rest(&self) {
        wait::until("the kernel to be done with the slot", || self.is_at_rest());
    }

    fn is_at_rest(&self) -> bool {
        let place = fs::read_to_string(self.thread.join("wchan")).expect("the thread is there");
        place == "irq_thread"
    }
}

/// The directory in `/proc` of the thread that serves the port's slot.
fn thread_of(port: Function) -> PathBuf {
    let interrupts = fs::read_dir(port.dir().join("msi_irqs")).expect("the port has MSI").flatten();
    let names: Vec<String> = interrupts
        .map(|interrupt| format!("irq/{}-pciehp\n", interrupt.file_name().to_string_lossy()))
        .collect();
    let processes = fs::read_dir("/proc").expect("there are processes").flatten();
    let mut dirs = processes.map(|entry| entry.path());
    let found = dirs.find(|dir| is_named(dir, &names));
    found.unwrap_or_else(|| panic!("nobody serves the slot of {port}"))
}

fn is_named(process: &Path, names: &[String]) -> bool {
    fs::read_to_string(process.join("comm")).is_ok_and(|name| names.contains(&name))
}

/// Where the PCI Express capability is.
fn express(config: &File) -> u64 {
    let mut at = u64::from(read16(config, CAPABILITIES) & 0xfc);
    while at != 0 {
        let [id, next] = read16(config, at).to_le_bytes();
        if id == EXPRESS {
            return at;
        }
        at = u64::from(next & 0xfc);
    }
    panic!("the port has no PCI Express capability");
}

fn read16(config: &File, at: u64) -> u16 {
    let mut bytes = [0; 2];
    config.read_exact_at(&mut bytes, at).expect("the configuration space can be read");
    u16::from_le_bytes(bytes)
}
