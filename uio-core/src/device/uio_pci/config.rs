//! The configuration space, of which one bit belongs to the interrupt line: `INTX_DISABLE` of the command register.
//!
//! The kernel's handler sets the bit when the pin fires, and the line clears it to be told again. Both would be
//! undone by a driver that reads the command register, changes another bit and writes it back. So a write never
//! takes the bit from what is written, and the byte with it is left alone unless its other bits change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use nix::errno::Errno;

use crate::pci::{Command, ConfigAccess};
use crate::sys::pci_files::PciFiles;

const COMMAND: usize = 0x04;
/// The byte of the command register that has `INTX_DISABLE`.
const HIGH: usize = COMMAND + 1;
/// CAST: the bit in that byte.
const DISABLE: u8 = (Command::INTX_DISABLE.bits() >> 8) as u8;
const MASTER: u8 = Command::MASTER.bits() as u8; // CAST: bit 2.

/// The space by the file `config`.
pub(super) struct UioPciConfig {
    files: Arc<PciFiles>,
    size: usize,
    may_master: bool,
    gone: Arc<AtomicBool>,
    /// The other bits of the byte with `INTX_DISABLE`, as they were written last.
    high: AtomicU8,
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
        let mut high = [0];
        files.read_config(HIGH as u64, &mut high)?;
        Ok(Self {
            files,
            // CAST: 4096 at most.
            size: size.min(4096) as usize,
            may_master,
            gone,
            high: AtomicU8::new(high[0] & !DISABLE),
            armed: AtomicBool::new(false),
        })
    }

    /// Lets the pin fire once more. One system call.
    pub(super) fn arm(&self) -> Result<(), Errno> {
        // Before the write: pairs with the second load in `write_high`.
        self.armed.store(true, Ordering::SeqCst);
        self.put_high(self.high.load(Ordering::SeqCst))
    }

    /// Keeps the pin from firing. One system call.
    pub(super) fn disarm(&self) -> Result<(), Errno> {
        self.armed.store(false, Ordering::SeqCst);
        self.put_high(self.high.load(Ordering::SeqCst) | DISABLE)
    }

    fn put_high(&self, byte: u8) -> Result<(), Errno> {
        self.alive()?;
        self.files.write_config(HIGH as u64, &[byte])
    }

    /// Writes the other bits of the byte with `INTX_DISABLE`, if they change.
    fn write_high(&self, byte: u8) -> Result<(), Errno> {
        let byte = byte & !DISABLE;
        if self.high.swap(byte, Ordering::SeqCst) == byte {
            return Ok(());
        }
        let armed = self.armed.load(Ordering::SeqCst);
        self.put_high(if armed { byte } else { byte | DISABLE })?;
        // The line was armed meanwhile, and what was just written disarmed it.
        if !armed && self.armed.load(Ordering::SeqCst) { self.put_high(byte) } else { Ok(()) }
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
        self.files.write_config(at as u64, &[byte])
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
