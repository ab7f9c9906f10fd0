//! The way in: receive FIFO to rx ring, and what is done when that fills up.

use libc::{CREAD, IXANY, IXOFF, IXON};
use uio_core::io::AccessError;

use crate::hardware::{Hardware, News};
use crate::input::{self, Fault, Input, MOST_BYTES};
use crate::regs::{Iir, Lsr, Rbr};
use crate::stats::bump;

/// Characters that one run takes; more come with the next interrupt.
const MOST_CHARS: usize = 256;

/// The other end is to stop when the rx ring holds this part of what it can: three quarters.
const HIGH: (usize, usize) = (3, 4);
/// It may go on at this part: a quarter.
const LOW: (usize, usize) = (1, 4);

fn part(of: usize, (part, whole): (usize, usize)) -> usize {
    of / whole * part
}

impl Hardware {
    /// Takes what the UART has. Returns LSR as it was at the end, for the transmitter.
    pub(crate) fn receive(&mut self, news: &mut News) -> Result<Lsr, AccessError> {
        loop {
            let lsr = self.take_all(news)?;
            if !self.balance()? {
                return Ok(lsr);
            }
        }
    }

    fn take_all(&mut self, news: &mut News) -> Result<Lsr, AccessError> {
        for _ in 0..MOST_CHARS {
            let lsr = self.status()?;
            if !lsr.get(Lsr::DATA_READY) && !lsr.get(Lsr::BREAK) {
                return Ok(lsr);
            }
            if self.parts.rx.free() < MOST_BYTES {
                self.errors = lsr;
                self.flow.stalled = true;
                self.write_ier()?;
                return Ok(lsr);
            }
            let byte = self.parts.regs.read::<Rbr>()?.raw();
            self.take(byte, lsr, news);
        }
        self.status().inspect(|lsr| self.errors = *lsr)
    }

    /// LSR, with the errors that an earlier look at it took.
    fn status(&mut self) -> Result<Lsr, AccessError> {
        let raw = self.parts.regs.read::<Lsr>()?.raw();
        // All ones may be a break, or nobody: IIR has bits that are never set.
        if raw == u8::MAX && self.parts.regs.read::<Iir>()?.raw() == u8::MAX {
            // A device that does not answer is gone from here on; this one may yet.
            if let Some(presence) = &self.parts.presence {
                presence.check();
            }
            return Ok(Lsr::default());
        }
        let errors = Lsr::default().with(Lsr::PARITY, true).with(Lsr::FRAMING, true);
        let errors = errors.with(Lsr::BREAK, true).raw() & self.errors.raw();
        self.errors = Lsr::default();
        let lsr = Lsr::new(raw | errors);
        if lsr.get(Lsr::OVERRUN) {
            bump(&mut self.counts.overrun);
        }
        Ok(lsr)
    }

    fn take(&mut self, byte: u8, lsr: Lsr, news: &mut News) {
        bump(&mut self.counts.rx);
        let fault = self.count_fault(lsr);
        // With IXANY any character lets the output go on, and is a character all the same.
        if self.flow.xoff && self.termios.has_input(IXON | IXANY) {
            self.flow.xoff = false;
        }
        match input::process(&self.termios, byte, fault) {
            Input::Stop => self.flow.xoff = true,
            Input::Start => self.flow.xoff = false,
            Input::Bytes(bytes, count) if self.open && self.termios.has(CREAD) => {
                news.readable |= self.parts.rx.push_slice(&bytes[..count]) > 0;
            }
            Input::Bytes(..) => {}
        }
    }

    /// What is wrong with the character; a break comes with a framing error, which is none of its own.
    fn count_fault(&mut self, lsr: Lsr) -> Fault {
        let (fault, count) = if lsr.get(Lsr::BREAK) {
            (Fault::Break, &mut self.counts.brk)
        } else if lsr.get(Lsr::PARITY) {
            (Fault::Parity, &mut self.counts.parity)
        } else if lsr.get(Lsr::FRAMING) {
            (Fault::Framing, &mut self.counts.frame)
        } else {
            return Fault::None;
        };
        bump(count);
        fault
    }

    /// Stops the other end, or lets it go on, by the fill of the ring. Whether the UART is to be looked at again:
    /// it was left with characters, and there is room.
    fn balance(&mut self) -> Result<bool, AccessError> {
        let capacity = self.parts.rx.capacity();
        let (high, low) = (part(capacity, HIGH), part(capacity, LOW));
        if !self.flow.throttled && self.parts.rx.len() >= high {
            self.throttle(true)?;
        }
        let level = match self.flow {
            flow if flow.stalled => high,
            flow if flow.throttled => low,
            _ => return Ok(false),
        };
        self.parts.room.set(level);
        // B3, see `room`.
        if self.parts.rx.len() > level {
            return Ok(false);
        }
        self.parts.room.clear();
        if self.flow.stalled {
            self.flow.stalled = false;
            self.write_ier()?;
            return Ok(true);
        }
        self.throttle(false)?;
        Ok(false)
    }

    fn throttle(&mut self, throttled: bool) -> Result<(), AccessError> {
        self.flow.throttled = throttled;
        let wants_characters = self.termios.has_input(IXOFF);
        if throttled && wants_characters || !throttled && self.flow.told_to_stop {
            self.tell(throttled);
        }
        self.write_mcr()
    }
}
