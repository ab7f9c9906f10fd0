//! `struct serial_struct`: what TIOCGSERIAL tells and TIOCSSERIAL may change.
//!
//! Mirrors `include/uapi/linux/serial.h` and `uart_set_info`, on 64-bit machines.

use std::time::Duration;

use uio_core::error::Errno;
use uio_core::io::Width;

use crate::hardware::Hardware;

/// Bytes of the structure on 64-bit machines.
pub(crate) const SERIAL_BYTES: usize = 72;

/// `ASYNC_LOW_LATENCY`: each character is an interrupt.
const LOW_LATENCY: u32 = 1 << 13;
/// `ASYNC_SPD_MASK` and `ASYNC_LOW_LATENCY`: what anybody may set. The speed bits are kept and mean nothing.
const FLAGS: u32 = 0x1030 | LOW_LATENCY;
/// `ASYNC_CLOSING_WAIT_NONE`.
const WAIT_NONE: u16 = 65535;
/// `ASYNC_CLOSING_WAIT_INF`.
const WAIT_WITHOUT_END: u16 = 0;

const AT_TYPE: usize = 0;
const AT_FLAGS: usize = 16;
const AT_FIFO: usize = 20;
const AT_BAUD_BASE: usize = 28;
const AT_CLOSE_DELAY: usize = 32;
const AT_IO_TYPE: usize = 34;
const AT_CLOSING_WAIT: usize = 40;
const AT_SHIFT: usize = 56;

/// `SERIAL_IO_MEM`, for ports whose registers stand apart; the others say `SERIAL_IO_PORT`, which is 0.
const IO_MEM: u8 = 2;

/// What a client can change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SerialOptions {
    flags: u32,
    /// Kept, without a meaning, in hundredths of a second.
    close_delay: u16,
    /// How long what was written may take to get out after the last close, in hundredths of a second.
    closing_wait: u16,
}

impl Default for SerialOptions {
    fn default() -> Self {
        Self { flags: 0, close_delay: 50, closing_wait: 3000 }
    }
}

impl SerialOptions {
    /// How long what was written may take to get out. Without end is a day: nothing waits for ever.
    pub(crate) fn closing_wait(&self) -> Duration {
        match self.closing_wait {
            WAIT_NONE => Duration::ZERO,
            WAIT_WITHOUT_END => Duration::from_secs(24 * 60 * 60),
            hundredths => Duration::from_millis(10) * u32::from(hundredths),
        }
    }

    pub(crate) fn is_low_latency(&self) -> bool {
        self.flags & LOW_LATENCY != 0
    }
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    to[at..at + bytes.len()].copy_from_slice(bytes);
}

/// TIOCGSERIAL. Addresses and the interrupt's number are not the client's business, and 0.
pub(crate) fn get(hardware: &Hardware) -> [u8; SERIAL_BYTES] {
    let mut bytes = [0; SERIAL_BYTES];
    let (chip, layout) = (hardware.parts.chip, hardware.parts.regs.layout());
    let apart = layout.shift != 0 || layout.width != Width::U8;
    put(&mut bytes, AT_TYPE, &chip.port_type().to_ne_bytes());
    put(&mut bytes, AT_FLAGS, &hardware.serial.flags.to_ne_bytes());
    // CAST: at most 16.
    put(&mut bytes, AT_FIFO, &(chip.fifo() as u32).to_ne_bytes());
    put(&mut bytes, AT_BAUD_BASE, &hardware.baud_base().to_ne_bytes());
    put(&mut bytes, AT_CLOSE_DELAY, &hardware.serial.close_delay.to_ne_bytes());
    put(&mut bytes, AT_IO_TYPE, &[if apart { IO_MEM } else { 0 }]);
    put(&mut bytes, AT_CLOSING_WAIT, &hardware.serial.closing_wait.to_ne_bytes());
    // CAST: far below 16 bits.
    put(&mut bytes, AT_SHIFT, &(layout.shift as u16).to_ne_bytes());
    bytes
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Errno> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map(u32::from_ne_bytes).ok_or(Errno::EINVAL)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, Errno> {
    let half = bytes.get(at..at + 2).and_then(|half| half.try_into().ok());
    half.map(u16::from_ne_bytes).ok_or(Errno::EINVAL)
}

/// TIOCSSERIAL: the delays, the flags, and `baud_base`, which says what the clock is, are taken over; the rest has
/// to be as it is. Only root changes more than the flags.
pub(crate) fn set(hardware: &mut Hardware, wanted: &[u8], root: bool) -> Result<(), Errno> {
    let now = get(hardware);
    for at in [AT_TYPE, AT_FIFO] {
        if word(wanted, at)? != word(&now, at)? {
            return Err(Errno::EINVAL);
        }
    }
    let options = SerialOptions {
        flags: word(wanted, AT_FLAGS)? & FLAGS,
        close_delay: half(wanted, AT_CLOSE_DELAY)?,
        closing_wait: half(wanted, AT_CLOSING_WAIT)?,
    };
    let base = word(wanted, AT_BAUD_BASE)?;
    let rest = SerialOptions { flags: hardware.serial.flags, ..options };
    if !root && (rest != hardware.serial || base != hardware.baud_base()) {
        return Err(Errno::EPERM);
    }
    let clock = base.checked_mul(16).filter(|clock| *clock > 0).ok_or(Errno::EINVAL)?;
    hardware.set_serial(options, clock).map_err(Errno::from)
}
