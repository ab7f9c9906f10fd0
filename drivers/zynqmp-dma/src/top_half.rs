//! TOP HALF: ask why, acknowledge, hand over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use uio_core::device::Presence;
use uio_core::io::{Io, IoRegion};
use uio_core::irq::{Handler, IrqReturn};
use uio_core::softirq::Tasklet;

use crate::regs::{Imr, Isr};
use crate::stats::{Stats, count};

/// The causes that the top half saw and the bottom half has not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Causes(AtomicU32);

impl Causes {
    /// Pairs with `take`: what the channel did before it raised is seen by whoever takes the bit.
    fn note(&self, bits: u32) {
        self.0.fetch_or(bits, Ordering::Release);
    }

    /// Pairs with `note`.
    pub(crate) fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Acquire)
    }
}

/// The handler of the channel's interrupt, a level.
///
/// Only the bits that were read are acknowledged: what the channel raises in between stays, and a line that is
/// still asserted fires again.
pub(crate) struct TopHalf {
    pub(crate) regs: IoRegion,
    /// All bits may have been raised, or nothing answers any more.
    pub(crate) presence: Presence,
    pub(crate) causes: Arc<Causes>,
    pub(crate) tasklet: Tasklet,
    pub(crate) stats: Arc<Stats>,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        let raised = self.regs.read::<Isr>().raw();
        if raised == u32::MAX && !self.presence.check() {
            return IrqReturn::None;
        }
        let bits = raised & !self.regs.read::<Imr>().raw();
        if bits == 0 {
            return IrqReturn::None;
        }
        self.regs.write(Isr::new(bits));
        count(&self.stats.interrupts, 1);
        self.causes.note(bits);
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}
