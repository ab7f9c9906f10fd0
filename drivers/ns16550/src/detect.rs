//! Which of the family a port is, and whether it is one at all.
//!
//! After `autoconfig` of `drivers/tty/serial/8250/8250_port.c`: the interrupt enable register keeps four bits, the
//! loop leads the outputs to the inputs, the scratch register tells an 8250 from the rest, IIR tells of FIFOs.

use uio_core::io::AccessError;

use crate::regs::{Fcr, Ier, Iir, Lcr, Mcr, Msr, Regs, Scr};

/// Bits of IER that every UART has.
const IER_BITS: u8 = 0x0F;

/// A UART of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chip {
    /// No FIFOs, no scratch register.
    I8250,
    /// No FIFOs, or broken ones.
    I16450,
    /// FIFOs of 16 characters.
    I16550A,
}

impl Chip {
    /// Characters that an empty transmitter takes.
    pub(crate) fn fifo(self) -> usize {
        match self {
            Self::I8250 | Self::I16450 => 1,
            Self::I16550A => 16,
        }
    }

    /// Its number in `struct serial_struct` (`PORT_8250` and so on).
    pub(crate) fn port_type(self) -> i32 {
        match self {
            Self::I8250 => 1,
            Self::I16450 => 2,
            Self::I16550A => 4,
        }
    }
}

/// Looks at a port, and leaves it quiet. The text says why it is none.
pub(crate) fn detect(regs: &Regs) -> Result<Result<Chip, String>, AccessError> {
    regs.write(Lcr::default())?;
    if let Some(cause) = keeps_interrupts(regs)? {
        return Ok(Err(cause));
    }
    if let Some(cause) = loops(regs)? {
        return Ok(Err(cause));
    }
    regs.write(Fcr::default().with(Fcr::ENABLE, true))?;
    let fifos = regs.read::<Iir>()?.get(Iir::FIFOS);
    Ok(Ok(match fifos {
        3 => Chip::I16550A,
        _ if has_scratch(regs)? => Chip::I16450,
        _ => Chip::I8250,
    }))
}

fn keeps_interrupts(regs: &Regs) -> Result<Option<String>, AccessError> {
    let mut wrong = None;
    for bits in [IER_BITS, 0] {
        regs.write(Ier::new(bits))?;
        let read = regs.read::<Ier>()?.raw();
        if read & IER_BITS != bits || read == u8::MAX {
            wrong = Some(format!("IER reads {read:#04x} after {bits:#04x} was written"));
        }
    }
    Ok(wrong)
}

fn loops(regs: &Regs) -> Result<Option<String>, AccessError> {
    regs.write(Mcr::default().with(Mcr::LOOP, true).with(Mcr::OUT2, true).with(Mcr::RTS, true))?;
    let inputs = regs.read::<Msr>()?;
    regs.write(Mcr::default())?;
    // The end of the loop changed the inputs: that is nobody's news.
    regs.read::<Msr>()?;
    let led = inputs.get(Msr::CTS) && inputs.get(Msr::DCD);
    let wrong = !led || inputs.get(Msr::DSR) || inputs.get(Msr::RI);
    Ok(wrong.then(|| format!("in its loop MSR reads {:#04x}, not CTS and DCD", inputs.raw())))
}

fn has_scratch(regs: &Regs) -> Result<bool, AccessError> {
    for value in [0xA5, 0x5A] {
        regs.write(Scr::new(value))?;
        if regs.read::<Scr>()?.raw() != value {
            return Ok(false);
        }
    }
    Ok(true)
}
