//! [`Timer`]: a timeout in [`Jiffies`], for the many that are cancelled before they expire.
//!
//! # Vocabulary
//!
//! - **pending**: started, and not expired or deleted yet.
//! - **running**: its callback runs, in the softirq [`TIMER`](crate::softirq::Vector::Timer): on the dispatcher,
//!   or in its `ksoftirqd`. It may be pending at the same time.
//! - **deferrable**: it does not wake the dispatcher: it runs when that is awake for something else.
//! - **shut down**: starting it does nothing any more.
//! - **base** ([`TimerBase`]): the timers of one dispatcher.
//!
//! # States
//!
//! ```text
//!            modify, add                 expires
//!   idle ─────────────────▶ pending ─────────────────▶ running ──── returns ────▶ idle
//!    ▲                       │   ▲  ▲                     │
//!    │        delete         │   │  │   modify, by the     │
//!    └───────────────────────┘   └──┘   callback too       ▼
//!                               modify                  pending
//! ```
//!
//! # When it expires
//!
//! Never before the jiffy asked for is over, and later than that by at most the granularity of the wheel's
//! level (see [`wheel`](super::wheel)), 1 ms below 63 ms, an eighth of the distance or so above, as long as
//! the dispatcher is not busy and nobody keeps its softirqs away. For exact points there is
//! [`HrTimer`](super::HrTimer).
//!
//! # Why it never runs beside itself, and is gone when `delete_sync` returns
//!
//! The softirqs of one dispatcher run all timers of a base, one at a time, whichever thread they are on. That a
//! timer leaves the wheel and is noted as running is one step under the base's lock; so whoever holds the lock
//! finds a timer pending, or running, or neither. `delete_sync` takes it off the wheel and waits until it is
//! not running; from then on only a start can make it run.
//!
//! # Lock order
//!
//! The base's lock is a leaf, but for the list of the wait queue on which `delete_sync` sleeps. No callback
//! runs under it.
//!
//! Mirrors `struct timer_list` (`include/linux/timer.h`, `kernel/time/timer.c`).

mod base;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base::{Class, Place, When};
pub use base::{TimerBase, TimerStats};

use super::jiffies::Jiffies;

bitflags::bitflags! {
    /// How a timer is served. The kernel's `TIMER_*`, as far as they mean something here.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct TimerFlags: u32 {
        /// It does not wake the dispatcher: it runs when that is awake for something else.
        #[doc(alias = "TIMER_DEFERRABLE")]
        const DEFERRABLE = 0x0008_0000;
    }
}

type Callback = Box<dyn FnMut(&mut TimerContext<'_>) + Send>;

struct Inner {
    name: String,
    place: Place,
    base: Arc<TimerBase>,
    shut_down: AtomicBool,
    /// Locked by the softirq only.
    callback: Mutex<Callback>,
}

/// A callback that runs as a softirq of the dispatcher when a number of jiffies has been reached.
///
/// The callback is a bottom half: it may not sleep. Cheap to clone; all clones are the same timer. When the
/// last one is dropped, the timer is [shut down](Self::shutdown_sync): it neither runs nor will run. The
/// exception is a drop on the dispatcher or in a softirq of it, the timer's own callback say, which cannot wait.
///
/// ```no_run
/// use uio_core::irq::Dispatcher;
/// use uio_core::time::{Timer, TimerBase, msecs_to_jiffies, now_jiffies};
///
/// # fn main() -> uio_core::Result<()> {
/// let dispatcher = Dispatcher::start("irq/dispatch")?;
/// let base = TimerBase::attach(&dispatcher)?;
/// let watchdog = Timer::new(&base, "watchdog", |timer| {
///     eprintln!("the device has said nothing for a second");
///     timer.modify(now_jiffies() + msecs_to_jiffies(1000));
/// });
/// watchdog.modify(now_jiffies() + msecs_to_jiffies(1000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Timer {
    handle: Arc<Handle>,
}

/// What all clones of a timer share; the last one shuts it down.
struct Handle(Arc<Inner>);

impl Timer {
    /// A timer that is not pending.
    #[doc(alias = "timer_setup")]
    pub fn new(
        base: &Arc<TimerBase>,
        name: impl Into<String>,
        callback: impl FnMut(&mut TimerContext<'_>) + Send + 'static,
    ) -> Self {
        Self::with_flags(base, name, TimerFlags::empty(), callback)
    }

    /// As [`new`](Self::new), served as `flags` say.
    pub fn with_flags(
        base: &Arc<TimerBase>,
        name: impl Into<String>,
        flags: TimerFlags,
        callback: impl FnMut(&mut TimerContext<'_>) + Send + 'static,
    ) -> Self {
        let class = match flags.contains(TimerFlags::DEFERRABLE) {
            true => Class::Deferrable,
            false => Class::Standard,
        };
        let inner = base.insert(class, |place| Inner {
            name: name.into(),
            place,
            base: Arc::clone(base),
            shut_down: AtomicBool::new(false),
            callback: Mutex::new(Box::new(callback)),
        });
        Self { handle: Arc::new(Handle(inner)) }
    }

    /// Makes the timer expire at `expires`, whether it is pending or not; says whether it was.
    ///
    /// May be called anywhere. Costs a system call only if it is now the first of its base to expire.
    #[doc(alias = "mod_timer")]
    pub fn modify(&self, expires: Jiffies) -> bool {
        self.start(expires, When::Always)
    }

    /// As [`modify`](Self::modify), but an idle timer stays idle.
    #[doc(alias = "mod_timer_pending")]
    pub fn modify_pending(&self, expires: Jiffies) -> bool {
        self.start(expires, When::IfPending)
    }

    /// As [`modify`](Self::modify), but a pending timer is never made later.
    #[doc(alias = "timer_reduce")]
    pub fn reduce(&self, expires: Jiffies) -> bool {
        self.start(expires, When::IfEarlier)
    }

    /// Starts an idle timer. To add a pending one is a bug of the driver: it is reported, and changes nothing.
    #[doc(alias = "add_timer")]
    pub fn add(&self, expires: Jiffies) {
        if self.start(expires, When::IfIdle) {
            tracing::error!(timer = self.name(), "a pending timer is added: a bug of the driver");
        }
    }

    fn start(&self, expires: Jiffies, when: When) -> bool {
        self.inner().base.start(self.inner(), expires, when)
    }

    /// Makes an idle timer of a pending one; says whether it was pending. A run that is under way goes on, and
    /// may start the timer again.
    #[doc(alias = "timer_delete")]
    #[doc(alias = "del_timer")]
    pub fn delete(&self) -> bool {
        self.inner().base.cancel(self.inner())
    }

    /// As [`delete`](Self::delete), and waits for a run that is under way; that run cannot start the timer
    /// again. Nobody else may start it meanwhile, or this means nothing.
    ///
    /// On the base's dispatcher, or in a softirq of it, the timer's own callback say, it cannot wait, and does
    /// not. In a top half or bottom half of another dispatcher it is a bug of the driver, which debug builds
    /// catch.
    #[doc(alias = "timer_delete_sync")]
    #[doc(alias = "del_timer_sync")]
    pub fn delete_sync(&self) -> bool {
        self.inner().base.cancel_sync(self.inner())
    }

    /// As [`delete`](Self::delete), and for good: starting the timer does nothing from now on.
    #[doc(alias = "timer_shutdown")]
    pub fn shutdown(&self) -> bool {
        self.inner().shut_down();
        self.delete()
    }

    /// As [`shutdown`](Self::shutdown), and waits for a run that is under way. The call for a driver's
    /// removal, where a timer and, say, a work item start each other.
    #[doc(alias = "timer_shutdown_sync")]
    pub fn shutdown_sync(&self) -> bool {
        self.inner().shut_down();
        self.delete_sync()
    }

    /// Whether it is pending.
    #[doc(alias = "timer_pending")]
    pub fn is_pending(&self) -> bool {
        self.inner().base.is_pending(self.inner())
    }

    /// What it was last started with.
    pub fn expires(&self) -> Jiffies {
        self.inner().base.expires(self.inner())
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.inner().name
    }

    fn inner(&self) -> &Inner {
        &self.handle.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.shut_down();
        self.0.base.cancel_sync(&self.0);
        self.0.base.remove(&self.0);
    }
}

impl Inner {
    fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Relaxed)
    }

    /// Relaxed is enough: starts look at it under the base's lock, and whoever shuts down takes that lock
    /// afterwards to delete.
    fn shut_down(&self) {
        self.shut_down.store(true, Ordering::Relaxed);
    }

    /// It has expired. Called by the softirq only.
    fn run(&self) {
        let mut callback = self.callback.lock().unwrap_or_else(PoisonError::into_inner);
        let mut context = TimerContext { timer: self };
        if catch_unwind(AssertUnwindSafe(|| callback(&mut context))).is_err() {
            tracing::error!(timer = %self.name, "a timer panicked; it is not run again");
            // Whoever shut it down before has cancelled it too, or has even given its place back.
            if !self.is_shut_down() {
                self.shut_down();
                self.base.cancel(self);
            }
        }
    }
}

/// What a timer's callback may do with its own timer.
pub struct TimerContext<'a> {
    timer: &'a Inner,
}

impl TimerContext<'_> {
    /// Starts the timer again; says whether somebody else had done so already. Does nothing if the timer is
    /// being deleted with a wait, or is shut down.
    #[doc(alias = "mod_timer")]
    pub fn modify(&mut self, expires: Jiffies) -> bool {
        self.timer.base.restart(self.timer, expires)
    }

    /// What it was started with: the point of which it is the expiry.
    pub fn expires(&self) -> Jiffies {
        self.timer.base.expires(self.timer)
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.timer.name
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("name", &self.name())
            .field("pending", &self.is_pending())
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TimerContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerContext").field("name", &self.timer.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
