//! TOP HALF: see which lines interrupt, acknowledge, hand over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uio_core::irq::{Handler, IrqLine, IrqReturn};
use uio_core::softirq::Tasklet;

use crate::bottom_half::Shared;

/// The mask that the top half puts on the interrupt and the bottom half takes off.
pub(crate) struct IrqHold {
    line: IrqLine,
    held: AtomicBool,
}

impl IrqHold {
    pub(crate) fn new(line: IrqLine) -> Self {
        Self { line, held: AtomicBool::new(false) }
    }

    /// Masks, once for any number of calls.
    fn mask(&self) {
        // The interrupt first: a bottom half that sees the flag, in ksoftirqd beside this, finds the mask that it takes
        // off. AcqRel, both: the mask goes with the flag.
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

/// The handler of the block's interrupt, which all its lines share.
///
/// It is masked until the bottom half has run: a level would interrupt again at once. Edges that come meanwhile are
/// latched by the block, and interrupt then.
pub(crate) struct TopHalf {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tasklet: Tasklet,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        if !self.shared.hardware.lock().sample() {
            return IrqReturn::None;
        }
        self.shared.hold.mask();
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}
