//! [`Alarm`]: has the tasklet run at a point in time: the end of a break, of a character, of a read's wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uio_core::softirq::Tasklet;
use uio_core::workqueue::{self, DelayedWork};

/// The tasklet that is run; empty before it is there and after the [`Alarm`] is over.
type Target = Arc<Mutex<Option<Tasklet>>>;

/// What the tasklet arms.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    work: DelayedWork,
}

impl Clock {
    /// The tasklet runs at `at`, and at no other time that was asked for before.
    pub(crate) fn set(&self, at: Instant, now: Instant) {
        // A jiffy at least: what is due now has just been seen to.
        let delay = at.saturating_duration_since(now).max(Duration::from_millis(1));
        workqueue::system().modify_delayed(&self.work, delay);
    }
}

/// Ends the clock when it is dropped: the tasklet is run no more, and let go of.
#[derive(Debug)]
pub(crate) struct Alarm {
    clock: Clock,
    target: Target,
}

impl Alarm {
    pub(crate) fn new(name: &str) -> Self {
        let target = Target::default();
        let rings = Arc::clone(&target);
        let item = move || {
            if let Some(tasklet) = &*rings.lock().unwrap_or_else(PoisonError::into_inner) {
                tasklet.schedule();
            }
        };
        Self { clock: Clock { work: DelayedWork::new(name, Arc::new(item)) }, target }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn aim(&self, tasklet: Tasklet) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(tasklet);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let tasklet = self.target.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(tasklet);
        self.clock.work.cancel_sync();
    }
}
