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
//! the dispatcher is not busy and nobody keeps its softirqs away. The distance that decides the level is taken from
//! the kernel's last tick, and so is up to a tick (1 to 10 ms) longer than it looks. For exact points there is
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
use std::sync::Arc;

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

/// What runs: the base has it in the timer's slot, and takes it out for a run.
struct Body<F: ?Sized> {
    name: Arc<str>,
    callback: F,
}

type Callback = Body<dyn FnMut(&mut TimerContext<'_>) + Send>;

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
    // What a start needs is not behind the handle, which would be one more miss of the cache.
    place: Place,
    base: Arc<TimerBase>,
    handle: Arc<Handle>,
}

/// What all clones of a timer share; the last one shuts it down.
struct Handle {
    name: Arc<str>,
    place: Place,
    base: Arc<TimerBase>,
}

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
        let name: Arc<str> = name.into().into();
        let place = base.insert(class, Box::new(Body { name: Arc::clone(&name), callback }));
        let base = Arc::clone(base);
        let handle = Arc::new(Handle { name, place, base: Arc::clone(&base) });
        Self { place, base, handle }
    }

    /// Makes the timer expire at `expires`, whether it is pending or not; says whether it was.
    ///
    /// May be called anywhere. Costs a system call only if it is now the first of its base to expire.
    #[doc(alias = "mod_timer")]
    #[inline]
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
        self.base.start(self.place, expires, when)
    }

    /// Makes an idle timer of a pending one; says whether it was pending. A run that is under way goes on, and
    /// may start the timer again.
    #[doc(alias = "timer_delete")]
    #[doc(alias = "del_timer")]
    pub fn delete(&self) -> bool {
        self.base.cancel(self.place)
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
        self.base.cancel_sync(self.place)
    }

    /// As [`delete`](Self::delete), and for good: starting the timer does nothing from now on.
    #[doc(alias = "timer_shutdown")]
    pub fn shutdown(&self) -> bool {
        self.base.shut_down(self.place)
    }

    /// As [`shutdown`](Self::shutdown), and waits for a run that is under way. The call for a driver's
    /// removal, where a timer and, say, a work item start each other.
    #[doc(alias = "timer_shutdown_sync")]
    pub fn shutdown_sync(&self) -> bool {
        let was_pending = self.base.shut_down(self.place);
        self.delete_sync();
        was_pending
    }

    /// Whether it is pending.
    #[doc(alias = "timer_pending")]
    pub fn is_pending(&self) -> bool {
        self.base.is_pending(self.place)
    }

    /// What it was last started with.
    pub fn expires(&self) -> Jiffies {
        self.base.expires(self.place)
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.handle.name
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.base.shut_down(self.place);
        self.base.cancel_sync(self.place);
        self.base.remove(self.place);
    }
}

impl Callback {
    /// The timer has expired. Called by the softirq only. Whether it may ever run again.
    fn run(&mut self, base: &TimerBase, place: Place) -> bool {
        let mut context = TimerContext { name: &self.name, base, place };
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.callback)(&mut context)));
        if outcome.is_err() {
            tracing::error!(timer = %self.name, "a timer panicked; it is not run again");
        }
        outcome.is_ok()
    }
}

/// What a timer's callback may do with its own timer.
pub struct TimerContext<'a> {
    name: &'a str,
    base: &'a TimerBase,
    place: Place,
}

impl TimerContext<'_> {
    /// Starts the timer again; says whether somebody else had done so already. Does nothing if the timer is
    /// being deleted with a wait, or is shut down.
    #[doc(alias = "mod_timer")]
    pub fn modify(&mut self, expires: Jiffies) -> bool {
        self.base.start(self.place, expires, When::NotLast)
    }

    /// What it was started with: the point of which it is the expiry.
    pub fn expires(&self) -> Jiffies {
        self.base.expires(self.place)
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        self.name
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
        f.debug_struct("TimerContext").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
