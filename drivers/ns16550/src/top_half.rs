//! TOP HALF: ask whether it is ours, and hand over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uio_core::irq::{Handler, IrqLine, IrqReturn};
use uio_core::softirq::Tasklet;

use crate::regs::{Iir, Regs};

/// The mask that the top half puts on the line and the bottom half takes off.
pub(crate) struct LineHold {
    line: IrqLine,
    held: AtomicBool,
}

impl LineHold {
    pub(crate) fn new(line: IrqLine) -> Self {
        Self { line, held: AtomicBool::new(false) }
    }

    /// Masks, once for any number of calls.
    fn mask(&self) {
        // The line first: a bottom half that sees the flag, in ksoftirqd beside this, must find the mask that
        // it takes off. AcqRel, both: the mask goes with the flag.
        self.line.mask();
        if self.held.swap(true, Ordering::AcqRel) {
            self.line.unmask();
        }
    }

    /// Takes the mask off, if it is on.
    pub(crate) fn unmask(&self) {
        if self.held.swap(false, Ordering::AcqRel) {
            self.line.unmask();
        }
    }
}

/// The handler of a port's interrupt.
///
/// The line may be shared with other ports, so IIR is asked. It is a level: it stays asserted, and the line stays
/// masked, until the bottom half has dealt with the cause. What reading IIR acknowledges, the empty transmitter,
/// the bottom half finds in LSR.
pub(crate) struct TopHalf {
    pub(crate) regs: Regs,
    pub(crate) hold: Arc<LineHold>,
    pub(crate) tasklet: Tasklet,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        // A device that is gone answers all ones, which is nothing.
        match self.regs.read::<Iir>() {
            Ok(iir) if !iir.get(Iir::NONE) => {}
            _ => return IrqReturn::None,
        }
        self.hold.mask();
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}
