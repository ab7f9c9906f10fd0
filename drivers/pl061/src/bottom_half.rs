//! BOTTOM HALF: make events of what the top half saw, unmask, wake who waits. Runs as a tasklet, after interrupts.

use std::time::Duration;

use uio_core::sync::{SpinLock, WaitQueue};
use uio_core::time::{self, Cycles};

use crate::hardware::Hardware;
use crate::journal::Journal;
use crate::top_half::IrqHold;

/// What the halves and the node share.
pub(crate) struct Shared {
    pub(crate) hardware: SpinLock<Hardware>,
    pub(crate) journal: SpinLock<Journal>,
    pub(crate) hold: IrqHold,
    pub(crate) read_wait: WaitQueue,
    /// Nobody waits here: a write is carried out at once.
    pub(crate) write_wait: WaitQueue,
}

/// The tasklet's function.
pub(crate) fn run(shared: &Shared) {
    let news = shared.hardware.lock_irqsave().take_news();
    if !news.events().is_empty() {
        let time = time_of(news.cycles);
        let mut journal = shared.journal.lock();
        for &(line, id) in news.events() {
            journal.put(time, line, id);
        }
        drop(journal);
        shared.read_wait.wake_all();
    }
    shared.hold.unmask();
}

/// When the counter stood so, by the monotonic clock, in nanoseconds. The top half reads the counter, for the clock
/// may cost a system call; here it costs one.
fn time_of(cycles: u64) -> u64 {
    let (now, count) = (time::ktime_get(), time::get_cycles());
    let per_ms = Cycles::of(Duration::from_millis(1)).0.max(1);
    let ago = u128::from(count.saturating_sub(cycles)) * 1_000_000 / u128::from(per_ms);
    let ago = Duration::from_nanos(u64::try_from(ago).unwrap_or(u64::MAX));
    u64::try_from((now - ago).as_nanos()).unwrap_or(0)
}
