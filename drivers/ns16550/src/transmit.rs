//! The way out: tx ring to transmit FIFO, breaks, and the end of it all.

use std::time::{Duration, Instant};

use uio_core::io::{AccessError, Register};

use crate::hardware::{Hardware, News};
use crate::regs::{Lsr, Regs, Thr};

/// The shortest time that is worth an alarm: the granularity of timers.
const TICK: Duration = Duration::from_millis(1);

impl Hardware {
    /// Gives the UART what it has room for. `lsr` is not older than the last look at the receiver.
    pub(crate) fn transmit(
        &mut self,
        lsr: Lsr,
        now: Instant,
        news: &mut News,
    ) -> Result<(), AccessError> {
        if !lsr.get(Lsr::THR_EMPTY) {
            // It interrupts when it is; so it must, if only to tell that all is sent.
            return self.interrupt_when_empty(self.tx_interrupt || self.wants_to_send());
        }
        let sent = self.fill(news)?;
        self.idle = sent == 0 && lsr.get(Lsr::TX_EMPTY);
        self.interrupt_when_empty(sent > 0)?;
        if self.drain_wanted && self.is_drained() {
            self.drain_wanted = false;
            news.writable = true;
        } else if self.drain_wanted && sent == 0 && !self.wants_to_send() {
            // The last character is in the shift register, and nothing interrupts when it is out.
            news.at(now + self.character_time().max(TICK));
        }
        Ok(())
    }

    fn wants_to_send(&self) -> bool {
        self.flow.urgent.is_some() || !(self.parts.tx.is_empty() || self.is_stopped())
    }

    /// Fills the empty transmitter. How many characters that were.
    fn fill(&mut self, news: &mut News) -> Result<usize, AccessError> {
        let mut sent = 0;
        if let Some(character) = self.flow.urgent.take() {
            self.parts.regs.write(Thr::new(character))?;
            sent += 1;
        }
        if !self.is_stopped() {
            sent += self.fill_from_ring(self.parts.chip.fifo() - sent, news)?;
        }
        // CAST: at most 16.
        self.counts.tx = self.counts.tx.wrapping_add(sent as u32);
        Ok(sent)
    }

    fn fill_from_ring(&mut self, most: usize, news: &mut News) -> Result<usize, AccessError> {
        let half = self.parts.tx.capacity() / 2;
        let was_full = self.parts.tx.len() > half;
        let (regs, mut result) = (&self.parts.regs, Ok(()));
        let sent = self.parts.tx.drain_with(most, |first, second| {
            let both = first.iter().chain(second);
            result = both.copied().try_for_each(|byte| put(regs, byte));
            first.len() + second.len()
        });
        result?;
        // Writers are woken for half a ring, and not for each FIFO.
        news.writable |= was_full && self.parts.tx.len() <= half;
        Ok(sent)
    }

    fn interrupt_when_empty(&mut self, wanted: bool) -> Result<(), AccessError> {
        self.tx_interrupt = wanted;
        self.write_ier()
    }

    /// Ends a break whose time is over.
    pub(crate) fn end_break(&mut self, now: Instant, news: &mut News) -> Result<(), AccessError> {
        match self.break_until {
            Some(until) if until > now => news.at(until),
            Some(_) => {
                self.break_until = None;
                news.writable = true;
                self.write_lcr()?;
            }
            None => {}
        }
        Ok(())
    }

    /// Closes the port when all is sent, or has had its time.
    pub(crate) fn end_closing(&mut self, now: Instant, news: &mut News) -> Result<(), AccessError> {
        let Some(until) = self.closing else { return Ok(()) };
        if self.is_drained() || now >= until {
            return self.shut_down();
        }
        self.drain_wanted = true;
        news.at(until);
        Ok(())
    }
}

fn put(regs: &Regs, byte: u8) -> Result<(), AccessError> {
    regs.write(Thr::from_raw(byte))
}
