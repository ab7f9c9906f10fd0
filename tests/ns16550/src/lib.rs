//! A 16550A UART as a simulated model, and the other end of its wire.
//!
//! | region 0 `regs` | read | written | with DLAB |
//! | --- | --- | --- | --- |
//! | 0 | RBR | THR | DLL |
//! | 1 | IER | IER | DLM |
//! | 2 | IIR | FCR | |
//! | 3 | LCR | LCR | |
//! | 4 | MCR | MCR | |
//! | 5 | LSR | | |
//! | 6 | MSR | | |
//! | 7 | SCR | SCR | |
//!
//! The registers behave as the data sheet of the PC16550D says, clear-on-read and all; they may stand apart by a
//! [shift](Options::shift), as those of memory-mapped ones do. The interrupt is a level: it stays asserted until
//! its cause is gone. There is no clock: a character takes as long as the wire takes it to
//! ([`Controls::hold_transmitter`]), and the receiver's timeout is over when the wire is said to be quiet.
//!
//! Neighbours: [`chip`](Lsr) has the registers, `receiver` the receive FIFO, [`Plug`] what the UART is connected to.
#![forbid(unsafe_code)]

mod chip;
mod receiver;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uio_core::Result;
use uio_core::device::sim::{Model, SimLine};
use uio_core::io::{RegionModel, Width};

pub use chip::{Chip, Ier, Lsr, Mcr, Msr};
pub use wire::Plug;

use chip::Uart;
use wire::Wire;

/// Registers that the chip has.
const REGISTERS: usize = 8;

/// How a UART is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Which of the family it is.
    pub chip: Chip,
    /// What it is connected to.
    pub plug: Plug,
    /// Binary logarithm of the distance between two registers, in bytes.
    pub shift: u32,
    /// The only width of access that it answers.
    pub width: Width,
}

impl Default for Options {
    fn default() -> Self {
        Self { chip: Chip::default(), plug: Plug::default(), shift: 0, width: Width::U8 }
    }
}

#[derive(Debug)]
struct State {
    uart: Uart,
    wire: Wire,
    misses: usize,
}

struct Hardware {
    options: Options,
    line: Arc<SimLine>,
    state: Mutex<State>,
}

impl Hardware {
    /// Does something to the UART, then lets the wire run and the line follow.
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = act(&mut state);
        let State { uart, wire, .. } = &mut *state;
        wire.run(uart);
        // Under the lock, so that the line's last word is the UART's.
        self.line.set_level(uart.interrupts());
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The register at `offset`, unless the access misses it.
    fn register(&self, offset: usize, width: Width) -> Option<usize> {
        let aligned = offset.trailing_zeros() >= self.options.shift || offset == 0;
        (aligned && width == self.options.width).then_some(offset >> self.options.shift)
    }
}

impl RegionModel for Hardware {
    fn size(&self) -> usize {
        REGISTERS << self.options.shift
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        let register = self.register(offset, width);
        self.with(|state| match register {
            Some(register) => u64::from(state.uart.read(register)),
            None => {
                state.misses += 1;
                u64::MAX
            }
        })
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        let register = self.register(offset, width);
        self.with(|state| match register {
            Some(register) => {
                let breaks = state.uart.breaks;
                // CAST: a register has eight bits.
                state.uart.write(register, value as u8);
                if state.uart.breaks != breaks {
                    state.wire.break_began(&mut state.uart);
                }
            }
            None => state.misses += 1,
        });
    }
}

/// The model of a UART.
#[derive(Debug)]
pub struct Ns16550(Controls);

impl Ns16550 {
    /// A 16550A with a loop-back plug.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn looped() -> Result<Self> {
        Self::with_options(Options { plug: Plug::Looped, ..Options::default() })
    }

    /// One of the family.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn with_options(options: Options) -> Result<Self> {
        let (uart, wire) = (Uart::new(options.chip), Wire::new(options.plug));
        let state = Mutex::new(State { uart, wire, misses: 0 });
        Ok(Self(Controls(Arc::new(Hardware { options, line: SimLine::new()?, state }))))
    }

    /// The other end, which may go anywhere.
    pub fn controls(&self) -> Controls {
        self.0.clone()
    }
}

impl Model for Ns16550 {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        let hardware: Arc<dyn RegionModel> = self.0.0.clone();
        vec![("regs".to_owned(), hardware)]
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.0.0.line))
    }
}

/// The other end of the wire, and what an engineer with a probe would see.
#[derive(Clone)]
pub struct Controls(Arc<Hardware>);

impl Controls {
    /// Sends characters to the UART, at full speed and whether there is room or not, then is quiet.
    pub fn inject(&self, bytes: &[u8]) {
        self.receive(bytes, Lsr::empty(), true);
    }

    /// As [`inject`](Self::inject), and more is about to come: the receiver does not time out.
    pub fn inject_running(&self, bytes: &[u8]) {
        self.receive(bytes, Lsr::empty(), false);
    }

    /// Sends a character with errors.
    pub fn inject_error(&self, byte: u8, errors: Lsr) {
        self.receive(&[byte], errors, true);
    }

    /// Sends a break.
    pub fn inject_break(&self) {
        self.receive(&[0], Lsr::BREAK | Lsr::FRAMING, true);
    }

    fn receive(&self, bytes: &[u8], errors: Lsr, quiet: bool) {
        self.0.with(|state| {
            // A UART that loops inside hears nothing.
            if state.uart.loops_inside() {
                return;
            }
            bytes.iter().for_each(|&byte| state.uart.receiver.receive(byte, errors));
            state.uart.receiver.quiet = quiet;
        });
    }

    /// Sends as many characters as there is room for, if any, and says how many.
    pub fn offer(&self, bytes: &[u8]) -> usize {
        self.0.with(|state| {
            let receiver = &mut state.uart.receiver;
            let count = bytes.len().min(receiver.capacity() - receiver.len());
            bytes[..count].iter().for_each(|&byte| receiver.receive(byte, Lsr::empty()));
            count
        })
    }

    /// Takes what the UART has sent.
    pub fn sent(&self) -> Vec<u8> {
        self.0.with(|state| std::mem::take(&mut state.wire.sent))
    }

    /// Lets no character leave any more but those that [`transmit`](Self::transmit) allows; or all.
    pub fn hold_transmitter(&self, hold: bool) {
        self.0.with(|state| state.wire.allowed = hold.then_some(0));
    }

    /// The time of `count` characters passes for a transmitter that is held.
    pub fn transmit(&self, count: usize) {
        self.0.with(|state| state.wire.allowed = state.wire.allowed.map(|_| count));
        self.0.with(|state| state.wire.allowed = state.wire.allowed.map(|_| 0));
    }

    /// Sets the modem inputs.
    pub fn set_inputs(&self, inputs: Msr) {
        self.0.with(|state| state.uart.set_inputs(inputs));
    }

    /// The modem outputs.
    pub fn outputs(&self) -> Mcr {
        self.0.state().uart.mcr()
    }

    /// The line control register.
    pub fn lcr(&self) -> u8 {
        self.0.state().uart.lcr()
    }

    /// What may interrupt.
    pub fn ier(&self) -> Ier {
        self.0.state().uart.ier()
    }

    /// The divisor of the baud rate.
    pub fn divisor(&self) -> u16 {
        self.0.state().uart.divisor()
    }

    /// The receiver's trigger level, or `None` without FIFOs.
    pub fn trigger(&self) -> Option<usize> {
        let state = self.0.state();
        state.uart.receiver.fifo.then_some(state.uart.receiver.trigger)
    }

    /// Characters in the receiver.
    pub fn unread(&self) -> usize {
        self.0.state().uart.receiver.len()
    }

    /// Whether a break is being sent.
    pub fn sends_break(&self) -> bool {
        self.0.state().uart.sends_break()
    }

    /// Breaks that were sent.
    pub fn breaks(&self) -> usize {
        self.0.state().uart.breaks
    }

    /// Mistakes of the driver: characters written into a full transmitter, accesses that missed a register.
    pub fn mistakes(&self) -> usize {
        let state = self.0.state();
        state.uart.overfilled + state.misses
    }

    /// The line, to unplug it or to count.
    pub fn line(&self) -> &Arc<SimLine> {
        &self.0.line
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.state().fmt(f)
    }
}
