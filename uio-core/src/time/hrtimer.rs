//! [`HrTimer`]: a callback at an exact point on a clock, once or again and again.
//!
//! # Vocabulary
//!
//! States:
//!
//! - **stopped**: not started, or cancelled, or not restarted.
//! - **started**, or queued: it has a deadline to come.
//! - **running**: its callback runs, in the softirq [`HRTIMER`](crate::softirq::Vector::HrTimer): on the
//!   dispatcher, or in its `ksoftirqd`.
//!
//! Operations: **start**, **cancel**, **restart** (by the callback's result). Event: **expire**.
//!
//! # States
//!
//! ```text
//!                                                   NoRestart
//!                ┌─────────────────────────────────────────────────────────────┐
//!                ▼                                                             │
//!            ┌─────────┐        start         ┌─────────┐      expire     ┌─────────┐
//!   new ───▶ │ stopped │ ───────────────────▶ │ started │ ──────────────▶ │ running │
//!            └─────────┘ ◀─────────────────── └─────────┘ ◀────────────── └─────────┘
//!                              cancel            │    ▲       Restart
//!                                                └────┘
//!                                                start
//! ```
//!
//! A timer that is running may be started by another thread, and is then both; what that asked for stands,
//! whatever the callback returns. A `cancel` of a running timer takes effect when the callback returns, and
//! waits for that: a `Restart` is then not heeded.
//!
//! # When it expires
//!
//! Never before its clock shows the deadline. A clock that is set moves the timers of [`RealTime`] with it:
//! their deadlines are points of that clock, and are looked at again when it is set. Those of [`Monotonic`]
//! and [`BootTime`] do not notice. A relative start on the real-time clock is monotonic in the kernel; here it
//! is a point like any other (now plus the span), so that it moves with the clock: use [`Monotonic`].
//!
//! # Never beside itself, and gone when `cancel` returns
//!
//! As in [`timer`](super::Timer): leaving the queue and running are one step under the base's lock, and the
//! softirqs of one dispatcher run all callbacks, one at a time. (The kernel runs most in the timer interrupt
//! itself; here they are what `HRTIMER_MODE_SOFT` makes of them there.) The lock is a leaf, but for the list of the wait queue on
//! which `cancel` sleeps; no callback runs under it.
//!
//! Mirrors `rust/kernel/time/hrtimer.rs`, `include/linux/hrtimer.h`, `kernel/time/hrtimer.c`.
//!
//! [`RealTime`]: super::RealTime
//! [`Monotonic`]: super::Monotonic
//! [`BootTime`]: super::BootTime

mod base;
mod queue;

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::ClockBase;
pub use base::{HrTimerBase, HrTimerStats};
use queue::Key;

use super::clock::{ClockSource, Instant, span_ns};

/// What the callback wants to become of its timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum HrTimerRestart {
    /// It is over.
    #[doc(alias = "HRTIMER_NORESTART")]
    NoRestart,
    /// It runs again at its deadline, which the callback has [forwarded](HrTimerContext::forward_now); a
    /// deadline that was left in the past is run again at once.
    #[doc(alias = "HRTIMER_RESTART")]
    Restart,
}

/// When a timer expires: the kernel's `HRTIMER_MODE_REL` and `HRTIMER_MODE_ABS`.
///
/// A [`Duration`] is relative, an [`Instant`] of the timer's own clock absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HrTimerExpires<C: ClockSource> {
    /// That long after the start.
    Relative(Duration),
    /// At that point.
    Absolute(Instant<C>),
}

impl<C: ClockSource> From<Duration> for HrTimerExpires<C> {
    fn from(span: Duration) -> Self {
        Self::Relative(span)
    }
}

impl<C: ClockSource> From<Instant<C>> for HrTimerExpires<C> {
    fn from(point: Instant<C>) -> Self {
        Self::Absolute(point)
    }
}

type Callback = Box<dyn FnMut(&Inner) -> HrTimerRestart + Send>;

struct Inner {
    key: Key,
    base: Arc<ClockBase>,
    /// Locked by the softirq only.
    callback: Mutex<Callback>,
}

/// A callback that runs as a softirq of the dispatcher at points of the clock `C`.
///
/// The callback is a bottom half: it may not sleep. Cheap to clone; all clones are the same timer. When the
/// last one is dropped, handles included, the timer is cancelled for good.
///
/// ```no_run
/// use std::time::Duration;
/// use uio_core::irq::Dispatcher;
/// use uio_core::time::{HrTimer, HrTimerBase, HrTimerRestart, Monotonic};
///
/// # fn main() -> uio_core::Result<()> {
/// let dispatcher = Dispatcher::start("irq/dispatch")?;
/// let base = HrTimerBase::attach(&dispatcher)?;
/// let period = Duration::from_micros(500);
/// let sampler = HrTimer::new(&base, Monotonic, move |timer| {
///     let missed = timer.forward_now(period) - 1;
///     eprintln!("a sample; {missed} were missed");
///     HrTimerRestart::Restart
/// });
/// let running = sampler.start(period);
/// // ... and until here:
/// drop(running);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HrTimer<C: ClockSource> {
    handle: Arc<Owner>,
    clock: PhantomData<C>,
}

/// What all clones of a timer share; the last one gives its place back.
struct Owner(Arc<Inner>);

impl<C: ClockSource> HrTimer<C> {
    /// A stopped timer on `clock`.
    #[doc(alias = "hrtimer_setup")]
    #[doc(alias = "hrtimer_init")]
    pub fn new(
        base: &Arc<HrTimerBase>,
        clock: C,
        callback: impl FnMut(&mut HrTimerContext<'_, C>) -> HrTimerRestart + Send + 'static,
    ) -> Self {
        let _ = clock;
        Self::on(base.clock(C::ID), callback)
    }

    fn on(
        base: &Arc<ClockBase>,
        mut callback: impl FnMut(&mut HrTimerContext<'_, C>) -> HrTimerRestart + Send + 'static,
    ) -> Self {
        let callback: Callback =
            Box::new(move |timer| callback(&mut HrTimerContext { timer, clock: PhantomData }));
        let inner = base.insert(|key| Inner {
            key,
            base: Arc::clone(base),
            callback: Mutex::new(callback),
        });
        Self { handle: Arc::new(Owner(inner)), clock: PhantomData }
    }

    /// Starts the timer, or moves it if it is started. May be called anywhere. Costs a system call only if it
    /// is now the first of its clock to expire.
    ///
    /// The timer runs as long as the handle lives: dropping it cancels the timer, and waits.
    #[doc(alias = "hrtimer_start")]
    pub fn start(&self, expires: impl Into<HrTimerExpires<C>>) -> HrTimerHandle<C> {
        let inner = self.inner();
        let expires = match expires.into() {
            HrTimerExpires::Relative(span) => inner.base.now().saturating_add(span_ns(span)),
            HrTimerExpires::Absolute(point) => point.as_nanos(),
        };
        inner.base.start(inner.key, expires);
        HrTimerHandle { timer: self.clone() }
    }

    /// Stops the timer and waits for a callback that is running. Says whether it was started or running.
    ///
    /// On the base's dispatcher, or in a softirq of it, it cannot wait: in the timer's own callback it takes
    /// effect when that returns. In a top half or bottom half of another dispatcher it is a bug of the driver,
    /// which debug builds catch. Another thread may start the timer at the same time, and then it may not be
    /// stopped when this returns.
    #[doc(alias = "hrtimer_cancel")]
    pub fn cancel(&self) -> bool {
        self.inner().base.cancel(self.inner().key)
    }

    /// As [`cancel`](Self::cancel), without a wait: `None` if the callback is running, and nothing changed.
    #[doc(alias = "hrtimer_try_to_cancel")]
    pub fn try_cancel(&self) -> Option<bool> {
        self.inner().base.try_cancel(self.inner().key)
    }

    /// Whether it has a deadline to come.
    #[doc(alias = "hrtimer_is_queued")]
    pub fn is_queued(&self) -> bool {
        self.inner().base.is_queued(self.inner().key)
    }

    /// Whether its callback is running.
    #[doc(alias = "hrtimer_callback_running")]
    pub fn is_running(&self) -> bool {
        self.inner().base.is_running(self.inner().key)
    }

    /// The deadline that it has, or had last.
    #[doc(alias = "hrtimer_get_expires")]
    pub fn expires(&self) -> Instant<C> {
        Instant::from_nanos(self.inner().base.expires(self.inner().key))
    }

    /// The time to the deadline; zero if that is past.
    #[doc(alias = "hrtimer_get_remaining")]
    pub fn remaining(&self) -> Duration {
        self.expires().saturating_duration_since(Instant::from_nanos(self.inner().base.now()))
    }

    fn inner(&self) -> &Inner {
        &self.handle.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.base.remove(self.0.key);
    }
}

impl Inner {
    /// It has expired. Called by the softirq only.
    fn run(&self) -> HrTimerRestart {
        let mut callback = self.callback.lock().unwrap_or_else(PoisonError::into_inner);
        catch_unwind(AssertUnwindSafe(|| callback(self))).unwrap_or_else(|_| {
            tracing::error!("a high-resolution timer panicked; it is not restarted");
            HrTimerRestart::NoRestart
        })
    }
}

/// A timer that was started. Dropping it cancels the timer and waits for a callback that is running.
///
/// There may be more than one for a timer; each cancels it.
#[must_use = "dropping the handle cancels the timer"]
pub struct HrTimerHandle<C: ClockSource> {
    timer: HrTimer<C>,
}

impl<C: ClockSource> HrTimerHandle<C> {
    /// See [`HrTimer::cancel`].
    #[doc(alias = "hrtimer_cancel")]
    pub fn cancel(&mut self) -> bool {
        self.timer.cancel()
    }
}

impl<C: ClockSource> Drop for HrTimerHandle<C> {
    fn drop(&mut self) {
        self.timer.cancel();
    }
}

/// What a callback may do with its own timer.
pub struct HrTimerContext<'a, C> {
    timer: &'a Inner,
    clock: PhantomData<C>,
}

impl<C: ClockSource> HrTimerContext<'_, C> {
    /// Moves the deadline past `now` by as many whole `interval`s as that takes, at least one, and says how
    /// many: one more than were missed. 0, and no change, if the deadline is after `now` already, or another
    /// thread has started the timer.
    #[doc(alias = "hrtimer_forward")]
    pub fn forward(&mut self, now: Instant<C>, interval: Duration) -> u64 {
        self.timer.base.forward(self.timer.key, now.as_nanos(), span_ns(interval))
    }

    /// [`forward`](Self::forward) past what the clock shows.
    #[doc(alias = "hrtimer_forward_now")]
    pub fn forward_now(&mut self, interval: Duration) -> u64 {
        self.forward(Instant::from_nanos(self.timer.base.now()), interval)
    }

    /// The deadline that has come; or the next, once it has been forwarded.
    #[doc(alias = "hrtimer_get_expires")]
    pub fn expires(&self) -> Instant<C> {
        Instant::from_nanos(self.timer.base.expires(self.timer.key))
    }
}

impl<C: ClockSource> fmt::Debug for HrTimer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HrTimer")
            .field("expires", &self.expires())
            .field("queued", &self.is_queued())
            .field("running", &self.is_running())
            .finish_non_exhaustive()
    }
}

impl<C: ClockSource> fmt::Debug for HrTimerHandle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HrTimerHandle").field("timer", &self.timer).finish()
    }
}

impl<C: ClockSource> fmt::Debug for HrTimerContext<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HrTimerContext").field("expires", &self.expires()).finish()
    }
}

#[cfg(test)]
mod tests;
