//! The registers of the 16550, and how they lie in a region.
//!
//! Mirrors `include/uapi/linux/serial_reg.h`; offsets count registers, [`Layout`] makes bytes of them.

use uio_core::io::{
    AccessError, Io, IoRegion, Readable, Register, RegisterInfo, RegisterMap, Width, Writable,
};
use uio_core::register;

/// Registers that a port has.
pub(crate) const REGISTERS: usize = 8;

register! {
    /// Receive buffer: the oldest character.
    pub(crate) Rbr(u8) @ 0, ro {}

    /// Transmit holding register: the next character.
    pub(crate) Thr(u8) @ 0, wo {}

    /// Divisor, low byte; while DLAB is set.
    pub(crate) Dll(u8) @ 0, rw {}

    /// Divisor, high byte; while DLAB is set.
    pub(crate) Dlm(u8) @ 1, rw {}

    /// What may interrupt.
    pub(crate) Ier(u8) @ 1, rw {
        /// Received data.
        0:0 RX: bool;
        /// The transmitter is empty.
        1:1 TX: bool;
        /// The line status has an error.
        2:2 LINE: bool;
        /// A modem input changed.
        3:3 MODEM: bool;
    }

    /// What interrupts.
    pub(crate) Iir(u8) @ 2, ro {
        /// Nothing does.
        0:0 NONE: bool;
        /// Why.
        3:1 CAUSE: u8;
        /// 3 where there are FIFOs and they work.
        7:6 FIFOS: u8;
    }

    /// The FIFOs.
    pub(crate) Fcr(u8) @ 2, wo {
        /// They are on.
        0:0 ENABLE: bool;
        /// Empties the receiver's.
        1:1 CLEAR_RX: bool;
        /// Empties the transmitter's.
        2:2 CLEAR_TX: bool;
        /// Characters that make an interrupt: 1, 4, 8, 14.
        7:6 TRIGGER: u8;
    }

    /// The frame of a character.
    pub(crate) Lcr(u8) @ 3, rw {
        /// Data bits, less 5.
        1:0 LENGTH: u8;
        /// Two stop bits.
        2:2 STOP: bool;
        /// A parity bit.
        3:3 PARITY: bool;
        /// It is even.
        4:4 EVEN: bool;
        /// It is always the inverse of EVEN: mark or space.
        5:5 STICK: bool;
        /// The line is held low.
        6:6 BREAK: bool;
        /// The divisor stands in place of the data.
        7:7 DLAB: bool;
    }

    /// The modem outputs.
    pub(crate) Mcr(u8) @ 4, rw {
        /// Data terminal ready.
        0:0 DTR: bool;
        /// Request to send.
        1:1 RTS: bool;
        /// Without a meaning of its own.
        2:2 OUT1: bool;
        /// On a PC it lets the interrupt through.
        3:3 OUT2: bool;
        /// The transmitter feeds the receiver.
        4:4 LOOP: bool;
    }

    /// The line status. Reading it clears its errors.
    pub(crate) Lsr(u8) @ 5, ro {
        /// A character can be read.
        0:0 DATA_READY: bool;
        /// A character was lost.
        1:1 OVERRUN: bool;
        /// The character has the wrong parity.
        2:2 PARITY: bool;
        /// It has no stop bit.
        3:3 FRAMING: bool;
        /// It is a break.
        4:4 BREAK: bool;
        /// The transmitter takes characters.
        5:5 THR_EMPTY: bool;
        /// It has sent all that it had.
        6:6 TX_EMPTY: bool;
        /// A character in the FIFO has an error.
        7:7 ERROR_IN_FIFO: bool;
    }

    /// The modem inputs. Reading it clears their changes.
    pub(crate) Msr(u8) @ 6, ro {
        /// CTS changed.
        0:0 DELTA_CTS: bool;
        /// DSR changed.
        1:1 DELTA_DSR: bool;
        /// A ring ended.
        2:2 TRAILING_RI: bool;
        /// DCD changed.
        3:3 DELTA_DCD: bool;
        /// Clear to send.
        4:4 CTS: bool;
        /// Data set ready.
        5:5 DSR: bool;
        /// Ring indicator.
        6:6 RI: bool;
        /// Data carrier detect.
        7:7 DCD: bool;
    }

    /// Keeps what is written.
    pub(crate) Scr(u8) @ 7, rw {}
}

/// How the registers lie in a region. What the device tree calls `reg-shift` and `reg-io-width`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Binary logarithm of the distance between two registers, in bytes.
    pub shift: u32,
    /// Width of an access; the register is in the low byte.
    pub width: Width,
}

impl Layout {
    /// One byte after the other, as at I/O ports.
    pub const BYTES: Self = Self { shift: 0, width: Width::U8 };
    /// A byte in each 16-bit word.
    pub const HALF_WORDS: Self = Self { shift: 1, width: Width::U16 };
    /// A byte in each 32-bit word, as on most SoCs.
    pub const WORDS: Self = Self { shift: 2, width: Width::U32 };

    /// Bytes that the registers take.
    pub const fn bytes(self) -> usize {
        REGISTERS << self.shift
    }
}

/// The map of the first port, for those who look from outside: the registers that may be read without effect, and
/// those that are only written. To read RBR, IIR, LSR or MSR takes something away from the driver.
pub(crate) fn map(layout: Layout) -> Vec<RegisterMap> {
    let registers = [
        RegisterInfo::of::<Thr>(),
        RegisterInfo::of::<Ier>(),
        RegisterInfo::of::<Fcr>(),
        RegisterInfo::of::<Lcr>(),
        RegisterInfo::of::<Mcr>(),
        RegisterInfo::of::<Scr>(),
    ];
    let placed = |info: RegisterInfo| {
        let offset = info.offset << layout.shift;
        RegisterInfo { width: layout.width as usize, ..info.at(offset) }
    };
    vec![RegisterMap { region: 0, registers: registers.map(placed).into() }]
}

/// The registers of one port.
#[derive(Debug, Clone)]
pub(crate) struct Regs {
    io: IoRegion,
    base: usize,
    layout: Layout,
}

impl Regs {
    /// The registers that begin at byte `base` of `io`.
    pub(crate) fn new(io: IoRegion, base: usize, layout: Layout) -> Self {
        Self { io, base, layout }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    fn offset<R: Register>(&self) -> usize {
        self.base + (R::OFFSET << self.layout.shift)
    }

    pub(crate) fn read<R: Register<Raw = u8> + Readable>(&self) -> Result<R, AccessError> {
        let offset = self.offset::<R>();
        // CAST: the register is the low byte.
        let raw = match self.layout.width {
            Width::U8 => self.io.try_read8(offset)?,
            Width::U16 => self.io.try_read16(offset)? as u8,
            Width::U32 | Width::U64 => self.io.try_read32(offset)? as u8,
        };
        Ok(R::from_raw(raw))
    }

    pub(crate) fn write<R: Register<Raw = u8> + Writable>(
        &self,
        value: R,
    ) -> Result<(), AccessError> {
        let (offset, raw) = (self.offset::<R>(), value.into_raw());
        match self.layout.width {
            Width::U8 => self.io.try_write8(offset, raw),
            Width::U16 => self.io.try_write16(offset, raw.into()),
            Width::U32 | Width::U64 => self.io.try_write32(offset, raw.into()),
        }
    }
}
