//! TOP HALF: ask whether it is ours, clear it, hand over.

use uio_core::device::Presence;
use uio_core::io::{Io, IoRegion};
use uio_core::irq::{Handler, IrqReturn};
use uio_core::softirq::Tasklet;

use crate::regs::{Rtcicr, Rtcmis};

/// The handler of the clock's interrupt: a level, that RTCICR takes away.
///
/// It takes no lock. What it may clear too much, the bottom half finds by looking at the time.
pub(crate) struct TopHalf {
    pub(crate) regs: IoRegion,
    /// A block that answers nothing but ones may be gone.
    pub(crate) presence: Presence,
    pub(crate) tasklet: Tasklet,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        // An access that the device refuses is not its interrupt: it is gone.
        let Ok(status) = self.regs.try_read::<Rtcmis>() else { return IrqReturn::None };
        let absent = status.raw() == u32::MAX && !self.presence.check();
        if absent || !status.get(Rtcmis::ALARM) {
            return IrqReturn::None;
        }
        // The same: the bottom half finds out.
        let _ = self.regs.try_write(Rtcicr::default().with(Rtcicr::ALARM, true));
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}
