//! [`Watch`]: somebody looks after copies that do not end.
//!
//! A work item looks [`OFTEN`] as long as anything runs: one look for so much time, however many copies. A copy that has
//! ended, of which the interrupt was lost, is ended by it, and counted. One that is overdue is given up.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use uio_core::workqueue::{DelayedWork, schedule_delayed_work};

use crate::engine::{Engine, Health};
use crate::stats::count;

/// How long at most between two looks.
const OFTEN: Duration = Duration::from_secs(2);
/// How long until a channel that does not stop is looked at again.
const STUCK: Duration = Duration::from_millis(200);

/// Ends with the drop: then no look is under way, nor will be.
pub(crate) struct Watch {
    work: Arc<OnceLock<DelayedWork>>,
}

impl Watch {
    /// A watch over `engine`; `name` is the device's.
    pub(crate) fn new(engine: &Arc<Engine>, name: &str) -> Self {
        let work = Arc::new(OnceLock::new());
        let (engine, name, again) =
            (Arc::downgrade(engine), name.to_owned(), Arc::downgrade(&work));
        let look = move || {
            let (Some(engine), Some(again)) = (engine.upgrade(), again.upgrade()) else { return };
            if let Some(time) = look_at(&engine, &name) {
                look_in(&again, time);
            }
        };
        let _first = work.set(DelayedWork::new("zdma", Arc::new(look)));
        Self { work }
    }

    /// Something was queued: somebody looks after it.
    pub(crate) fn look(&self) {
        look_in(&self.work, OFTEN);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(work) = self.work.get() {
            work.work().disable_sync();
            work.cancel_sync();
        }
    }
}

fn look_in(work: &OnceLock<DelayedWork>, time: Duration) {
    if let Some(work) = work.get() {
        let _pending = schedule_delayed_work(work, time);
    }
}

/// Looks once. When to look again, if at all.
fn look_at(engine: &Engine, name: &str) -> Option<Duration> {
    match engine.check() {
        Health::Idle => None,
        Health::Busy(left) => Some(left.min(OFTEN)),
        Health::Missed => {
            count(&engine.stats.lost_interrupts, 1);
            tracing::warn!("{name}: an interrupt was lost; what it was about has been found");
            Some(OFTEN)
        }
        Health::Overdue => {
            tracing::error!("{name}: a copy did not end; the channel is stopped and set up anew");
            Some(OFTEN)
        }
        Health::Stuck => {
            tracing::error!("{name}: the channel does not stop; it is left alone until it does");
            Some(STUCK)
        }
    }
}
