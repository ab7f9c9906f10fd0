//! What the UART is connected to: the other end of a cable, or a plug that leads everything back.

use crate::chip::{Lsr, Mcr, Msr, Uart};

/// The other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plug {
    /// The test: takes what is sent, sends what it likes.
    #[default]
    Open,
    /// A loop-back plug: TX to RX, RTS to CTS, DTR to DSR and DCD. It waits for room in the receiver, so that it
    /// loses nothing, however late the driver is.
    Looped,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Wire {
    plug: Plug,
    /// What came out.
    pub(crate) sent: Vec<u8>,
    /// Characters that may leave; `None`: as they come.
    pub(crate) allowed: Option<usize>,
}

impl Wire {
    pub(crate) fn new(plug: Plug) -> Self {
        Self { plug, sent: Vec::new(), allowed: None }
    }

    /// Moves what can be moved.
    pub(crate) fn run(&mut self, uart: &mut Uart) {
        self.lead_lines(uart);
        while let Some(byte) = uart.shifting() {
            if !self.carry(uart, byte) {
                return;
            }
            uart.shifted();
        }
    }

    /// Takes a character to where it goes; `false` if it has to wait.
    fn carry(&mut self, uart: &mut Uart, byte: u8) -> bool {
        match &mut self.allowed {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        if uart.loops_inside() {
            uart.receiver.receive(byte, Lsr::empty());
        } else if self.plug == Plug::Open {
            self.sent.push(byte);
        } else if uart.receiver.is_full() {
            self.allowed = self.allowed.map(|left| left + 1);
            return false;
        } else {
            uart.receiver.receive(byte, Lsr::empty());
        }
        true
    }

    fn lead_lines(&self, uart: &mut Uart) {
        if self.plug == Plug::Open {
            return;
        }
        let (outputs, mut inputs) = (uart.mcr(), Msr::empty());
        inputs.set(Msr::CTS, outputs.contains(Mcr::RTS));
        inputs.set(Msr::DSR | Msr::DCD, outputs.contains(Mcr::DTR));
        uart.set_inputs(inputs);
    }

    /// A break begins: a plug leads it back too.
    pub(crate) fn break_began(&self, uart: &mut Uart) {
        if self.plug == Plug::Looped || uart.loops_inside() {
            uart.receiver.receive(0, Lsr::BREAK | Lsr::FRAMING);
        }
    }
}
