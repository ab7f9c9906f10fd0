//! TOP HALF: ask why, acknowledge, hand over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use uio_core::device::Presence;
use uio_core::io::{Io, IoRegion};
use uio_core::irq::{Handler, IrqReturn};
use uio_core::softirq::Tasklet;

use crate::regs::{IrqAck, IrqStatus};
use crate::stats::Stats;

/// The causes that the top half saw and the bottom half has not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Causes(AtomicU32);

impl Causes {
    /// Pairs with `take`: what the device did before it raised is seen by whoever takes the bit.
    fn note(&self, bits: u32) {
        self.0.fetch_or(bits, Ordering::Release);
    }

    /// Pairs with `note`.
    pub(crate) fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Acquire)
    }
}

/// The handler of the device's interrupt, on its pin or by message.
///
/// Only the bits that were read are acknowledged: what the device raises in between stays, and a line that is
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
        let bits = self.regs.read::<IrqStatus>().raw();
        if bits == 0 || bits == u32::MAX && !self.presence.check() {
            return IrqReturn::None;
        }
        self.regs.write(IrqAck::new(bits));
        self.stats.interrupt(bits);
        self.causes.note(bits);
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}
