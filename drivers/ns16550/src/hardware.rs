//! [`Hardware`]: the UART and all that is decided about it, under one lock.
//!
//! # States
//!
//! ```text
//!             first open             last close
//!   closed ─────────────▶ open ─────────────────▶ closing ──▶ closed
//!                           ▲                        │
//!                           └───────── open ─────────┘
//! ```
//!
//! - *closed*: no interrupts; with HUPCL, DTR and RTS are off.
//! - *open*: characters are received.
//! - *closing*: nobody is there any more; what was written is still being sent, for as long as `closing_wait`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libc::{CBAUD, CIBAUD, HUPCL, IXOFF, IXON};
use uio_core::device::Presence;
use uio_core::io::AccessError;
use uio_core::ring::spsc::{Consumer, Producer};

use crate::baud::Divisor;
use crate::detect::Chip;
use crate::regs::{Dll, Dlm, Fcr, Ier, Iir, Lcr, Lsr, Mcr, Msr, Rbr, Regs};
use crate::room::RoomWanted;
use crate::serial::SerialOptions;
use crate::stats::Counts;
use crate::termios::Termios;

/// Below this rate each character is an interrupt; above it, 8 are.
const SLOW: u32 = 2400;
/// Trigger levels as FCR has them.
const TRIGGER_1: u8 = 0;
const TRIGGER_8: u8 = 2;

/// Who holds up whom.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flow {
    /// The other end sent XOFF.
    pub(crate) xoff: bool,
    /// The client stopped the output (TCOOFF).
    pub(crate) suspended: bool,
    /// The rx ring is too full: the other end is to stop.
    pub(crate) throttled: bool,
    /// The rx ring is full: characters stay in the UART, which does not interrupt for them.
    pub(crate) stalled: bool,
    /// The other end was sent XOFF, and no XON since.
    pub(crate) told_to_stop: bool,
    /// A start or stop character that goes out before all else.
    pub(crate) urgent: Option<u8>,
}

/// What a run of the bottom half comes to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct News {
    /// There is more to read.
    pub(crate) readable: bool,
    /// There is room, or something else happened that an ioctl may wait for.
    pub(crate) writable: bool,
    /// There is more to do now.
    pub(crate) again: bool,
    /// There is something to do then.
    pub(crate) deadline: Option<Instant>,
}

impl News {
    pub(crate) fn at(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
    }
}

/// What a port is made of.
pub(crate) struct Parts {
    pub(crate) regs: Regs,
    pub(crate) chip: Chip,
    /// Of the UART, in Hz.
    pub(crate) clock: u32,
    pub(crate) rx: Producer<u8>,
    pub(crate) tx: Consumer<u8>,
    pub(crate) room: Arc<RoomWanted>,
    /// The interrupt is a message, and not a level.
    pub(crate) message_signalled: bool,
    /// Whom to ask whether the device is still there.
    pub(crate) presence: Option<Presence>,
}

/// See the [module](self).
pub(crate) struct Hardware {
    pub(crate) parts: Parts,
    pub(crate) termios: Termios,
    pub(crate) serial: SerialOptions,
    pub(crate) counts: Counts,
    pub(crate) flow: Flow,
    /// The modem outputs that the client wants.
    pub(crate) outputs: Mcr,
    /// The modem inputs, as last seen.
    pub(crate) inputs: Msr,
    /// Somebody has the port open.
    pub(crate) open: bool,
    /// Nobody has, and what was written has until then to get out.
    pub(crate) closing: Option<Instant>,
    /// The client holds a break (TIOCSBRK).
    pub(crate) held_break: bool,
    /// A break that ends by itself.
    pub(crate) break_until: Option<Instant>,
    /// All that was written before the last run is on the wire.
    pub(crate) idle: bool,
    /// Somebody waits for that.
    pub(crate) drain_wanted: bool,
    /// The transmitter is to interrupt when it is empty.
    pub(crate) tx_interrupt: bool,
    /// Errors that LSR told, of a character that is not read yet.
    pub(crate) errors: Lsr,
    rate: u32,
    written: Written,
}

/// What stands in the registers.
#[derive(Debug, Default)]
struct Written {
    divisor: u16,
    ier: Ier,
    mcr: Mcr,
    lcr: Lcr,
    fcr: Fcr,
}

impl Hardware {
    /// A port that is closed. Nothing is written yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            termios: Termios::default(),
            serial: SerialOptions::default(),
            counts: Counts::default(),
            flow: Flow::default(),
            outputs: Mcr::default(),
            inputs: Msr::default(),
            open: false,
            closing: None,
            held_break: false,
            break_until: None,
            idle: true,
            drain_wanted: false,
            tx_interrupt: false,
            errors: Lsr::default(),
            rate: 0,
            written: Written::default(),
        }
    }

    /// The first client opens the port, while it is closed or closing.
    pub(crate) fn start(&mut self) -> Result<(), AccessError> {
        if self.closing.take().is_none() {
            self.clear_fifos()?;
            self.flow = Flow::default();
            self.configure(self.termios)?;
        }
        self.open = true;
        self.outputs = self.outputs.with(Mcr::DTR, true).with(Mcr::RTS, true);
        self.inputs = Msr::new(self.parts.regs.read::<Msr>()?.raw() & 0xF0);
        self.write_mcr()?;
        self.write_ier()
    }

    /// The last client is gone.
    pub(crate) fn close(&mut self, now: Instant) -> Result<(), AccessError> {
        self.open = false;
        self.held_break = false;
        self.flow.suspended = false;
        self.drain_wanted = true;
        self.closing = Some(now + self.serial.closing_wait());
        self.write_lcr()?;
        self.write_ier()
    }

    /// No more interrupts, and none that a later run would allow again.
    pub(crate) fn quiesce(&mut self) -> Result<(), AccessError> {
        self.open = false;
        self.closing = None;
        self.tx_interrupt = false;
        self.flow.suspended = true;
        self.write_ier()
    }

    /// All is sent, or has had its time.
    pub(crate) fn shut_down(&mut self) -> Result<(), AccessError> {
        self.closing = None;
        self.flow.urgent = None;
        self.parts.tx.drain_with(usize::MAX, |first, second| first.len() + second.len());
        if self.termios.has(HUPCL) {
            self.outputs = self.outputs.with(Mcr::DTR, false).with(Mcr::RTS, false);
        }
        self.tx_interrupt = false;
        self.write_mcr()?;
        self.write_ier()
    }

    /// Takes over what a client asks for, as far as it can be had.
    pub(crate) fn configure(&mut self, asked: Termios) -> Result<(), AccessError> {
        let mut new = asked.offered();
        if new.speed != 0 {
            let divisor = Divisor::nearest(self.parts.clock, new.speed);
            let divisor = divisor.unwrap_or_else(|| {
                new.speed = if self.termios.speed == 0 { 9600 } else { self.termios.speed };
                self.fallback(new.speed)
            });
            self.write_divisor(divisor)?;
            new = new.running_at(divisor.actual);
        } else {
            new.cflag &= !(CBAUD | CIBAUD);
        }
        self.termios = new;
        self.write_fcr()?;
        self.write_lcr()?;
        self.follow_flow_flags();
        self.write_mcr()
    }

    /// For a rate that ran before: there is a divisor for it, if the clock was not changed meanwhile.
    fn fallback(&self, rate: u32) -> Divisor {
        let slowest = Divisor { value: 1, actual: self.parts.clock / 16 };
        Divisor::nearest(self.parts.clock, rate).unwrap_or(slowest)
    }

    fn follow_flow_flags(&mut self) {
        if !self.termios.has_input(IXON) {
            self.flow.xoff = false;
        }
        let stop = self.flow.throttled && self.termios.has_input(IXOFF);
        if stop != self.flow.told_to_stop {
            self.tell(stop);
        }
    }

    /// Sends the other end a stop or start character.
    pub(crate) fn tell(&mut self, stop: bool) {
        self.flow.told_to_stop = stop;
        let character = if stop { self.termios.stop() } else { self.termios.start() };
        self.flow.urgent = Some(character);
    }

    /// Whether the output has to wait for the other end or the client.
    pub(crate) fn is_stopped(&self) -> bool {
        let no_cts = self.termios.hardware_flow() && !self.inputs.get(Msr::CTS);
        self.flow.xoff || self.flow.suspended || no_cts
    }

    /// All that was written is on the wire.
    pub(crate) fn is_drained(&self) -> bool {
        self.idle && self.flow.urgent.is_none() && self.parts.tx.is_empty()
    }

    /// How long a character takes.
    pub(crate) fn character_time(&self) -> Duration {
        self.termios.character_time(self.rate)
    }

    /// The highest rate that the clock makes, in bits a second.
    pub(crate) fn baud_base(&self) -> u32 {
        self.parts.clock / 16
    }

    /// The modem outputs as they are.
    pub(crate) fn mcr(&self) -> Mcr {
        self.written.mcr
    }

    /// Writes the modem outputs: those that the client wants, less what B0 and flow control hold back.
    pub(crate) fn write_mcr(&mut self) -> Result<(), AccessError> {
        let mut mcr = self.outputs.with(Mcr::OUT2, self.open || self.closing.is_some());
        let hung_up = self.termios.speed == 0;
        if hung_up {
            mcr = mcr.with(Mcr::DTR, false);
        }
        if hung_up || (self.flow.throttled && self.termios.hardware_flow()) {
            mcr = mcr.with(Mcr::RTS, false);
        }
        if mcr != self.written.mcr {
            self.parts.regs.write(mcr)?;
            self.written.mcr = mcr;
        }
        Ok(())
    }

    /// Writes what may interrupt.
    pub(crate) fn write_ier(&mut self) -> Result<(), AccessError> {
        let receives = self.open && !self.flow.stalled;
        let ier = Ier::default()
            .with(Ier::RX, receives)
            .with(Ier::LINE, receives)
            .with(Ier::TX, self.tx_interrupt)
            .with(Ier::MODEM, self.open || self.closing.is_some());
        if ier != self.written.ier {
            self.parts.regs.write(ier)?;
            self.written.ier = ier;
        }
        Ok(())
    }

    /// Writes framing and break.
    pub(crate) fn write_lcr(&mut self) -> Result<(), AccessError> {
        let breaks = self.held_break || self.break_until.is_some();
        let lcr = self.termios.lcr().with(Lcr::BREAK, breaks);
        if lcr != self.written.lcr {
            self.parts.regs.write(lcr)?;
            self.written.lcr = lcr;
        }
        Ok(())
    }

    fn write_divisor(&mut self, divisor: Divisor) -> Result<(), AccessError> {
        self.rate = divisor.actual;
        if divisor.value == self.written.divisor {
            return Ok(());
        }
        let [low, high] = divisor.value.to_le_bytes();
        let regs = &self.parts.regs;
        regs.write(self.written.lcr.with(Lcr::DLAB, true))?;
        regs.write(Dll::new(low))?;
        regs.write(Dlm::new(high))?;
        regs.write(self.written.lcr)?;
        self.written.divisor = divisor.value;
        Ok(())
    }

    /// Writes the trigger level.
    fn write_fcr(&mut self) -> Result<(), AccessError> {
        let one = self.rate < SLOW || self.serial.is_low_latency();
        let trigger = if one { TRIGGER_1 } else { TRIGGER_8 };
        let fifos = self.parts.chip.fifo() > 1;
        let fcr = Fcr::default().with(Fcr::ENABLE, fifos).with(Fcr::TRIGGER, trigger);
        if fifos && fcr != self.written.fcr {
            self.parts.regs.write(fcr)?;
            self.written.fcr = fcr;
        }
        Ok(())
    }

    /// Forgets what is in the UART: characters, errors, changes.
    fn clear_fifos(&mut self) -> Result<(), AccessError> {
        let regs = &self.parts.regs;
        if self.parts.chip.fifo() > 1 {
            let fcr = self.written.fcr.with(Fcr::ENABLE, true);
            regs.write(fcr.with(Fcr::CLEAR_RX, true).with(Fcr::CLEAR_TX, true))?;
        }
        regs.read::<Lsr>()?;
        regs.read::<Rbr>()?;
        regs.read::<Iir>()?;
        self.errors = Lsr::default();
        Ok(())
    }

    /// Has the serial options followed: the clock and the trigger level are among them.
    pub(crate) fn set_serial(
        &mut self,
        serial: SerialOptions,
        clock: u32,
    ) -> Result<(), AccessError> {
        self.serial = serial;
        self.parts.clock = clock;
        self.configure(self.termios)
    }
}
