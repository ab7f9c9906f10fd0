//! The receiver: 16 characters with their errors, the trigger level, and the character timeout.

use std::collections::VecDeque;

use crate::chip::{FIFO_CHARS, Lsr};

/// What can be wrong with a received character.
const ERRORS: Lsr = Lsr::PARITY.union(Lsr::FRAMING).union(Lsr::BREAK);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Receiver {
    chars: VecDeque<(u8, Lsr)>,
    /// A character was lost since LSR was read.
    overrun: bool,
    /// FIFO mode; without it there is one character.
    pub(crate) fifo: bool,
    /// Characters from which on the interrupt is due.
    pub(crate) trigger: usize,
    /// Nothing has come for the time of four characters.
    pub(crate) quiet: bool,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Self { chars: VecDeque::new(), overrun: false, fifo: false, trigger: 1, quiet: true }
    }

    pub(crate) fn capacity(&self) -> usize {
        if self.fifo { FIFO_CHARS } else { 1 }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.chars.len() >= self.capacity()
    }

    pub(crate) fn len(&self) -> usize {
        self.chars.len()
    }

    /// A character comes in. One that finds the FIFO full is lost; without a FIFO it takes the place of the one
    /// before it.
    pub(crate) fn receive(&mut self, byte: u8, errors: Lsr) {
        if self.is_full() {
            self.overrun = true;
            if self.fifo {
                return;
            }
            self.chars.clear();
        }
        self.chars.push_back((byte, errors & ERRORS));
    }

    /// The driver reads RBR.
    pub(crate) fn take(&mut self) -> u8 {
        self.chars.pop_front().map_or(0, |(byte, _)| byte)
    }

    pub(crate) fn clear(&mut self) {
        self.chars.clear();
    }

    /// The receiver's bits of LSR: the errors are those of the character that RBR would give.
    pub(crate) fn status(&self) -> Lsr {
        let mut status = self.chars.front().map_or(Lsr::empty(), |(_, errors)| *errors);
        status.set(Lsr::DATA_READY, !self.chars.is_empty());
        status.set(Lsr::OVERRUN, self.overrun);
        let any = self.chars.iter().any(|(_, errors)| !errors.is_empty());
        status.set(Lsr::ERROR_IN_FIFO, self.fifo && any);
        status
    }

    /// The driver reads LSR: what it says of errors is said once.
    pub(crate) fn status_was_read(&mut self) {
        self.overrun = false;
        if let Some((_, errors)) = self.chars.front_mut() {
            *errors = Lsr::empty();
        }
    }

    /// As many characters as the trigger level.
    pub(crate) fn is_triggered(&self) -> bool {
        self.chars.len() >= if self.fifo { self.trigger } else { 1 }
    }

    /// Fewer, and no more come.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.fifo && self.quiet && !self.chars.is_empty()
    }
}
