//! TOP HALF: count and hand over.

use std::sync::Arc;

use uio_core::irq::{Handler, IrqReturn};
use uio_core::softirq::Tasklet;

use crate::bottom_half::LineHold;

/// The handler of the device's interrupt.
///
/// The device has no status register to ask or to acknowledge: its line is its own, and masks itself. So every
/// interrupt is ours. The line stays masked until the bottom half has drained the device.
pub(crate) struct TopHalf {
    pub(crate) hold: Arc<LineHold>,
    pub(crate) tasklet: Tasklet,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        self.hold.mask();
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}
