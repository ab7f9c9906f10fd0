//! [`Rtc`]: one clock with its interrupt and its bottom half, and the files that are open. What the node is about.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use uio_core::device::Presence;
use uio_core::error::{Errno, Error, Result};
use uio_core::io::IoRegion;
use uio_core::irq::{self, Flags, IrqLine};
use uio_core::softirq::{Softirqs, Tasklet};
use uio_core::sync::{SpinLock, WaitQueue};

use crate::bottom_half::{self, Shared};
use crate::clock::Clock;
use crate::identify;
use crate::top_half::TopHalf;

/// How a clock is driven.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom to ask whether the device is still there, when it answers nothing but ones.
    pub presence: Presence,
    /// The user who may set the time, beside root.
    pub owner: u32,
}

/// What an open file has seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Alarms, of those that rang.
    pub(crate) rung: u64,
    /// It was told the time, by a read of text.
    pub(crate) time: bool,
    /// It was told, in the log, what was wrong with what it wrote.
    pub(crate) fault: bool,
}

/// One clock. It is the [`CharDevice`](uio_core::chardev::CharDevice) of its node.
///
/// The fields are in the order of their release: first the interrupt, then the bottom half, and the clock last,
/// which is left quiet.
pub struct Rtc {
    _irq: irq::Registration,
    _tasklet: Tasklet,
    pub(crate) name: String,
    pub(crate) owner: u32,
    pub(crate) files: SpinLock<HashMap<u64, Seen>>,
    shared: QuietOnDrop,
}

/// Takes the clock's interrupt away when it is dropped.
struct QuietOnDrop(Arc<Shared>);

impl Drop for QuietOnDrop {
    fn drop(&mut self) {
        // A device that is gone is quiet.
        let _ = self.0.clock.lock_bh().quiesce();
    }
}

impl Rtc {
    /// Makes sure that there is a PL031 in `regs`, starts it, and takes its interrupt.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if it is another block;
    /// - `EIO` if the clock does not start;
    /// - what the claims say.
    pub fn new(
        name: &str,
        regs: IoRegion,
        settings: Settings,
        line: &IrqLine,
        softirqs: &Arc<Softirqs>,
    ) -> Result<Self> {
        let identity = identify::check(name, &regs)?;
        tracing::debug!("{name} is a PL031 of revision {}", identity.revision);
        let clock = start(name, regs.clone())?;
        let shared = Arc::new(Shared {
            clock: SpinLock::new(clock),
            read_wait: WaitQueue::new(),
            write_wait: WaitQueue::new(),
        });
        let quiet = QuietOnDrop(Arc::clone(&shared));
        let tasklet = Tasklet::new(softirqs, name, move || bottom_half::run(&shared))?;
        let top_half = TopHalf { regs, presence: settings.presence, tasklet: tasklet.clone() };
        let irq = irq::Registration::request(line, Flags::SHARED, "pl031", Arc::new(top_half))?;
        Ok(Self {
            _irq: irq,
            _tasklet: tasklet,
            name: name.to_owned(),
            owner: settings.owner,
            files: SpinLock::new(HashMap::new()),
            shared: quiet,
        })
    }

    /// The clock interrupts no more.
    pub(crate) fn stop(&self) {
        // A device that is gone is quiet.
        let _ = self.with(|clock| Ok(clock.quiesce()?));
    }

    /// Does something to the clock, and wakes the readers if an alarm rang with it.
    pub(crate) fn with<R>(
        &self,
        act: impl FnOnce(&mut Clock) -> std::result::Result<R, Errno>,
    ) -> std::result::Result<R, Errno> {
        let mut clock = self.shared.0.clock.lock_bh();
        let before = clock.rung();
        let result = act(&mut clock);
        let rang = clock.rung() != before;
        drop(clock);
        if rang {
            self.waiting_readers().wake_all();
        }
        result
    }

    /// How many alarms rang so far, and the time of the last one.
    pub(crate) fn rung(&self) -> (u64, u32) {
        let clock = self.shared.0.clock.lock_bh();
        (clock.rung(), clock.rang_at())
    }

    pub(crate) fn waiting_readers(&self) -> &WaitQueue {
        &self.shared.0.read_wait
    }

    pub(crate) fn waiting_writers(&self) -> &WaitQueue {
        &self.shared.0.write_wait
    }
}

fn start(name: &str, regs: IoRegion) -> Result<Clock> {
    let adopted = Clock::adopt(regs)
        .map_err(|error| Error::new(error.into(), "cannot start", name).with_cause(error))?;
    match adopted {
        (clock, true) => Ok(clock),
        (_, false) => Err(Error::new(Errno::EIO, "cannot start", name)
            .with_cause("RTCCR does not keep its start bit")
            .with_hint(
                "the clock may be reserved for the secure world; look at the board's firmware",
            )),
    }
}

impl fmt::Debug for Rtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rtc").field("name", &self.name).finish_non_exhaustive()
    }
}
