//! The chip: its registers, as the driver reads and writes them, and its interrupt.
//!
//! After the data sheet of the National Semiconductor PC16550D. Pure: no locks, no threads, no time. A character
//! time passes when the [wire](crate::wire) takes a character.

use std::collections::VecDeque;

use crate::receiver::Receiver;

/// Characters of each FIFO.
pub(crate) const FIFO_CHARS: usize = 16;

const FCR_ENABLE: u8 = 1 << 0;
const FCR_CLEAR_RX: u8 = 1 << 1;
const FCR_CLEAR_TX: u8 = 1 << 2;
const LCR_BREAK: u8 = 1 << 6;
const LCR_DLAB: u8 = 1 << 7;

bitflags::bitflags! {
    /// LSR, the line status register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Lsr: u8 {
        /// A character can be read.
        const DATA_READY = 0x01;
        /// A character was lost: the driver was too slow.
        const OVERRUN = 0x02;
        /// The character has the wrong parity.
        const PARITY = 0x04;
        /// The character has no stop bit.
        const FRAMING = 0x08;
        /// The line was low for longer than a character.
        const BREAK = 0x10;
        /// The transmitter's FIFO, or holding register, is empty.
        const THR_EMPTY = 0x20;
        /// The transmitter's shift register is empty too.
        const TX_EMPTY = 0x40;
        /// One of the characters in the FIFO has an error.
        const ERROR_IN_FIFO = 0x80;
    }

    /// IER, the interrupt enable register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Ier: u8 {
        /// Received data.
        const RX = 0x01;
        /// Transmitter empty.
        const TX = 0x02;
        /// Line status.
        const LINE = 0x04;
        /// Modem status.
        const MODEM = 0x08;
    }

    /// MCR, the modem control register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Mcr: u8 {
        /// Data terminal ready.
        const DTR = 0x01;
        /// Request to send.
        const RTS = 0x02;
        /// An output without a meaning of its own.
        const OUT1 = 0x04;
        /// The same; on a PC it lets the interrupt through.
        const OUT2 = 0x08;
        /// The transmitter feeds the receiver, the outputs feed the inputs.
        const LOOP = 0x10;
    }

    /// MSR, the modem status register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Msr: u8 {
        /// CTS changed.
        const DELTA_CTS = 0x01;
        /// DSR changed.
        const DELTA_DSR = 0x02;
        /// RI ended.
        const TRAILING_RI = 0x04;
        /// DCD changed.
        const DELTA_DCD = 0x08;
        /// Clear to send.
        const CTS = 0x10;
        /// Data set ready.
        const DSR = 0x20;
        /// Ring indicator.
        const RI = 0x40;
        /// Data carrier detect.
        const DCD = 0x80;
    }
}

impl Msr {
    /// The inputs, without their changes.
    pub const INPUTS: Self = Self::CTS.union(Self::DSR).union(Self::RI).union(Self::DCD);
}

/// Which of the family it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chip {
    /// No scratch register, no FIFOs.
    I8250,
    /// No FIFOs.
    I16450,
    /// FIFOs of 16 characters.
    #[default]
    I16550A,
}

/// What is due, the most urgent first, as IIR says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Modem = 0x00,
    Nothing = 0x01,
    Transmitter = 0x02,
    Data = 0x04,
    LineStatus = 0x06,
    Timeout = 0x0C,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Uart {
    chip: Chip,
    ier: Ier,
    lcr: u8,
    mcr: Mcr,
    scratch: u8,
    divisor: u16,
    pub(crate) receiver: Receiver,
    transmitter: VecDeque<u8>,
    shift: Option<u8>,
    /// The interrupt of the empty transmitter: said once.
    emptied: bool,
    /// The inputs from outside.
    outside: Msr,
    deltas: Msr,
    /// Characters that were written into a full transmitter.
    pub(crate) overfilled: usize,
    /// Breaks that began.
    pub(crate) breaks: usize,
}

impl Uart {
    pub(crate) fn new(chip: Chip) -> Self {
        Self {
            chip,
            ier: Ier::empty(),
            lcr: 0,
            mcr: Mcr::empty(),
            scratch: 0,
            divisor: 0,
            receiver: Receiver::new(),
            transmitter: VecDeque::new(),
            shift: None,
            emptied: false,
            outside: Msr::empty(),
            deltas: Msr::empty(),
            overfilled: 0,
            breaks: 0,
        }
    }

    /// The driver reads a register.
    pub(crate) fn read(&mut self, register: usize) -> u8 {
        match register {
            0 if self.dlab() => self.divisor.to_le_bytes()[0],
            0 => self.receiver.take(),
            1 if self.dlab() => self.divisor.to_le_bytes()[1],
            1 => self.ier.bits(),
            2 => self.read_iir(),
            3 => self.lcr,
            4 => self.mcr.bits(),
            5 => self.read_lsr(),
            6 => self.read_msr(),
            7 if self.chip == Chip::I8250 => 0xFF,
            _ => self.scratch,
        }
    }

    /// The driver writes a register.
    pub(crate) fn write(&mut self, register: usize, value: u8) {
        let [low, high] = self.divisor.to_le_bytes();
        match register {
            0 if self.dlab() => self.divisor = u16::from_le_bytes([value, high]),
            0 => self.transmit(value),
            1 if self.dlab() => self.divisor = u16::from_le_bytes([low, value]),
            1 => self.write_ier(Ier::from_bits_truncate(value)),
            2 => self.write_fcr(value),
            3 => self.write_lcr(value),
            4 => self.write_mcr(Mcr::from_bits_truncate(value)),
            7 => self.scratch = value,
            // LSR and MSR: for the factory.
            _ => {}
        }
    }

    /// Whether the interrupt is asserted.
    pub(crate) fn interrupts(&self) -> bool {
        self.cause() != Cause::Nothing
    }

    pub(crate) fn lcr(&self) -> u8 {
        self.lcr
    }

    pub(crate) fn mcr(&self) -> Mcr {
        self.mcr
    }

    pub(crate) fn ier(&self) -> Ier {
        self.ier
    }

    pub(crate) fn divisor(&self) -> u16 {
        self.divisor
    }

    pub(crate) fn loops_inside(&self) -> bool {
        self.mcr.contains(Mcr::LOOP)
    }

    pub(crate) fn sends_break(&self) -> bool {
        self.lcr & LCR_BREAK != 0
    }

    /// The next character moves into the shift register, if that is free; the one that is there.
    pub(crate) fn shifting(&mut self) -> Option<u8> {
        if self.shift.is_none() {
            self.shift = self.transmitter.pop_front();
            self.emptied |= self.shift.is_some() && self.transmitter.is_empty();
        }
        self.shift
    }

    /// The wire has taken what is in the shift register.
    pub(crate) fn shifted(&mut self) {
        self.shift = None;
    }

    /// The inputs from outside change.
    pub(crate) fn set_inputs(&mut self, inputs: Msr) {
        let before = self.inputs();
        self.outside = inputs & Msr::INPUTS;
        self.note_changes(before);
    }

    fn dlab(&self) -> bool {
        self.lcr & LCR_DLAB != 0
    }

    fn cause(&self) -> Cause {
        let errors = Lsr::OVERRUN | Lsr::PARITY | Lsr::FRAMING | Lsr::BREAK;
        if self.ier.contains(Ier::LINE) && self.receiver.status().intersects(errors) {
            Cause::LineStatus
        } else if self.ier.contains(Ier::RX) && self.receiver.is_triggered() {
            Cause::Data
        } else if self.ier.contains(Ier::RX) && self.receiver.is_timed_out() {
            Cause::Timeout
        } else if self.ier.contains(Ier::TX) && self.emptied {
            Cause::Transmitter
        } else if self.ier.contains(Ier::MODEM) && !self.deltas.is_empty() {
            Cause::Modem
        } else {
            Cause::Nothing
        }
    }

    fn read_iir(&mut self) -> u8 {
        let cause = self.cause();
        if cause == Cause::Transmitter {
            self.emptied = false;
        }
        cause as u8 | if self.receiver.fifo { 0xC0 } else { 0 }
    }

    fn read_lsr(&mut self) -> u8 {
        let mut status = self.receiver.status();
        status.set(Lsr::THR_EMPTY, self.transmitter.is_empty());
        status.set(Lsr::TX_EMPTY, self.transmitter.is_empty() && self.shift.is_none());
        self.receiver.status_was_read();
        status.bits()
    }

    fn read_msr(&mut self) -> u8 {
        let deltas = std::mem::replace(&mut self.deltas, Msr::empty());
        (self.inputs() | deltas).bits()
    }

    fn transmit(&mut self, value: u8) {
        self.emptied = false;
        if self.transmitter.len() >= self.receiver.capacity() {
            self.overfilled += 1;
            self.transmitter.pop_back();
        }
        self.transmitter.push_back(value);
    }

    fn write_ier(&mut self, ier: Ier) {
        // Enabling it while the transmitter is empty is as good as its becoming empty.
        self.emptied |= ier.difference(self.ier).contains(Ier::TX) && self.transmitter.is_empty();
        self.ier = ier;
    }

    fn write_fcr(&mut self, value: u8) {
        if self.chip != Chip::I16550A {
            return;
        }
        let enable = value & FCR_ENABLE != 0;
        let toggled = enable != self.receiver.fifo;
        self.receiver.fifo = enable;
        if !enable && !toggled {
            return;
        }
        if enable {
            self.receiver.trigger = [1, 4, 8, 14][usize::from(value >> 6)];
        }
        if toggled || value & FCR_CLEAR_RX != 0 {
            self.receiver.clear();
        }
        if toggled || value & FCR_CLEAR_TX != 0 {
            self.emptied |= !self.transmitter.is_empty();
            self.transmitter.clear();
        }
    }

    fn write_lcr(&mut self, value: u8) {
        self.breaks += usize::from(value & !self.lcr & LCR_BREAK != 0);
        self.lcr = value;
    }

    fn write_mcr(&mut self, mcr: Mcr) {
        let before = self.inputs();
        self.mcr = mcr;
        self.note_changes(before);
    }

    /// The inputs as MSR shows them.
    fn inputs(&self) -> Msr {
        if !self.loops_inside() {
            return self.outside;
        }
        let mut inputs = Msr::empty();
        inputs.set(Msr::CTS, self.mcr.contains(Mcr::RTS));
        inputs.set(Msr::DSR, self.mcr.contains(Mcr::DTR));
        inputs.set(Msr::RI, self.mcr.contains(Mcr::OUT1));
        inputs.set(Msr::DCD, self.mcr.contains(Mcr::OUT2));
        inputs
    }

    fn note_changes(&mut self, before: Msr) {
        let now = self.inputs();
        let changed = before ^ now;
        self.deltas |=
            Msr::from_bits_truncate((changed & Msr::INPUTS).bits() >> 4) & !Msr::TRAILING_RI;
        if changed.contains(Msr::RI) && before.contains(Msr::RI) {
            self.deltas |= Msr::TRAILING_RI;
        }
    }
}
