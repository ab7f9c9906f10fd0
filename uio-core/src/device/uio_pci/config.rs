//! The configuration space, of which one bit belongs to the interrupt line: `INTX_DISABLE` of the command register.
//!
//! The kernel's handler sets the bit when the pin fires, and the line clears it to be told again. Both would be
//! undone by a driver that reads the command register, changes another bit and writes it back. So a write never
//! takes the bit from what is written, and the byte with it is left alone unless its other bits change.
//!
//! The upper byte is never written alone, for there are emulators (QEMU's, for one) that then do not look whether the
//! pin is to rise or to fall, and lose an interrupt. Its other bits are those that were written last: whoever writes looks afterwards whether they have
//! changed meanwhile, and then writes again; so the last write has them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use nix::errno::Errno;

use crate::pci::{Command, ConfigAccess};
use crate::sys::pci_files::PciFiles;

const COMMAND: usize = 0x04;
/// The bytes of the register.
const LOW: usize = COMMAND;
const HIGH: usize = COMMAND + 1;
const DISABLE: u16 = Command::INTX_DISABLE.bits();
const MASTER: u8 = Command::MASTER.bits() as u8; // CAST: bit 2.

/// The space by the file `config`.
pub(super) struct UioPciConfig {
    files: Arc<PciFiles>,
    size: usize,
    may_master: bool,
    gone: Arc<AtomicBool>,
    /// The bits but `INTX_DISABLE`, as they were written last.
    command: AtomicU16,
    /// Whether the line is to fire.
    armed: AtomicBool,
}

impl UioPciConfig {
    pub(super) fn new(
        files: Arc<PciFiles>,
        size: u64,
        may_master: bool,
        gone: Arc<AtomicBool>,
    ) -> Result<Self, Errno> {
        let mut command = [0; 2];
        files.read_config(COMMAND as u64, &mut command)?;
        Ok(Self {
            files,
            // CAST: 4096 at most.
            size: size.min(4096) as usize,
            may_master,
            gone,
            command: AtomicU16::new(u16::from_le_bytes(command) & !DISABLE),
            armed: AtomicBool::new(false),
        })
    }

    /// Lets the pin fire once more. One system call, unless a driver writes the register at this moment.
    pub(super) fn arm(&self) -> Result<(), Errno> {
        // Before the write: pairs with the second load in `write_high`.
        self.armed.store(true, Ordering::SeqCst);
        self.settle(|command| self.put(LOW, &command.to_le_bytes()))
    }

    /// Keeps the pin from firing. As `arm`.
    pub(super) fn disarm(&self) -> Result<(), Errno> {
        self.armed.store(false, Ordering::SeqCst);
        self.settle(|command| self.put(LOW, &(command | DISABLE).to_le_bytes()))
    }

    /// Writes what the register should be, until it is that.
    fn settle(&self, write: impl Fn(u16) -> Result<(), Errno>) -> Result<(), Errno> {
        loop {
            let command = self.command.load(Ordering::SeqCst);
            write(command)?;
            if self.command.load(Ordering::SeqCst) == command {
                return Ok(());
            }
        }
    }

    fn put(&self, at: usize, data: &[u8]) -> Result<(), Errno> {
        self.alive()?;
        self.files.write_config(at as u64, data)
    }

    /// Changes the bits of `mask` to those of `value`, and tells whether they were others.
    fn change(&self, mask: u16, value: u16) -> bool {
        let change = |old| Some((old & !mask) | (value & mask));
        let old = self.command.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change);
        old.is_ok_and(|old| (old ^ value) & mask != 0)
    }

    fn write_low(&self, byte: u8) -> Result<(), Errno> {
        self.change(0x00FF, u16::from(byte));
        self.settle(|command| self.put(LOW, &command.to_le_bytes()[..1]))
    }

    /// Writes the byte with `INTX_DISABLE`, if its other bits change.
    fn write_high(&self, byte: u8) -> Result<(), Errno> {
        if !self.change(0xFF00 & !DISABLE, u16::from(byte) << 8) {
            return Ok(());
        }
        let armed = self.armed.load(Ordering::SeqCst);
        let bit = if armed { 0 } else { DISABLE };
        self.settle(|command| self.put(LOW, &(command | bit).to_le_bytes()))?;
        // The line was armed meanwhile, and what was just written disarmed it.
        if !armed && self.armed.load(Ordering::SeqCst) { self.arm() } else { Ok(()) }
    }

    fn alive(&self) -> Result<(), Errno> {
        // After an unbind the file reaches the function all the same, which then is somebody else's.
        if self.gone.load(Ordering::Acquire) { Err(Errno::ENODEV) } else { Ok(()) }
    }

    /// One byte of the command register.
    fn write_command(&self, at: usize, byte: u8) -> Result<(), Errno> {
        if at == HIGH {
            return self.write_high(byte);
        }
        if byte & MASTER != 0 && !self.may_master {
            return Err(Errno::EPERM);
        }
        self.write_low(byte)
    }
}

impl ConfigAccess for UioPciConfig {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, at: usize, buf: &mut [u8]) -> Result<(), Errno> {
        self.alive()?;
        self.files.read_config(at as u64, buf)
    }

    fn write(&self, at: usize, data: &[u8]) -> Result<(), Errno> {
        self.alive()?;
        let (command, rest): (Vec<_>, Vec<_>) =
            (at..).zip(data).partition(|(place, _)| (COMMAND..=HIGH).contains(place));
        if command.is_empty() {
            return self.files.write_config(at as u64, data);
        }
        command.into_iter().try_for_each(|(place, byte)| self.write_command(place, *byte))?;
        // The status register behind it: bits that are cleared by writing ones.
        rest.into_iter()
            .try_for_each(|(place, byte)| self.files.write_config(place as u64, &[*byte]))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
