//! BOTTOM HALF: see whether the alarm's time has come, wake who waits. Runs as a tasklet, after interrupts.

use uio_core::sync::{SpinLock, WaitQueue};

use crate::clock::Clock;

/// What the bottom half and the node share.
pub(crate) struct Shared {
    pub(crate) clock: SpinLock<Clock>,
    pub(crate) read_wait: WaitQueue,
    /// Nobody waits here: a write is done at once.
    pub(crate) write_wait: WaitQueue,
}

/// The tasklet's function.
pub(crate) fn run(shared: &Shared) {
    let mut clock = shared.clock.lock();
    let before = clock.rung();
    // A device that is gone: its node has been hung up, and its line takes no more.
    let _ = clock.service();
    let rang = clock.rung() != before;
    drop(clock);
    if rang {
        shared.read_wait.wake_all();
    }
}
