//! Keeping softirqs away: [`BhDisabledGuard`] and [`SpinLockBh`]. The kernel's `local_bh_disable` and
//! `spin_lock_bh`.
//!
//! Built on `std::sync::Mutex` whose `try_lock` is spun on, until `sync::SpinLock` takes its place.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use super::attach::Softirqs;
use super::engine::Engine;
use crate::irq::lock::spin;
use crate::sync::context::{self, Level};

/// How often the disabler looks before it sleeps: most softirqs are shorter than a wake-up.
const SPINS: usize = 200;

/// Lets softirqs run again when dropped; those that were raised meanwhile run then, on their dispatcher (the
/// kernel's `local_bh_enable` runs them on the spot). Bound to its thread.
#[must_use = "softirqs run again when the guard is dropped"]
pub struct BhDisabledGuard<'a> {
    engine: &'a Engine,
    thread_bound: PhantomData<*const ()>,
}

impl<'a> BhDisabledGuard<'a> {
    pub(super) fn new(engine: &'a Engine) -> Self {
        if engine.gate.disable() && !engine.runs_here() {
            wait_for_the_running(engine);
        }
        Self { engine, thread_bound: PhantomData }
    }
}

fn wait_for_the_running(engine: &Engine) {
    let over = || !engine.gate.is_running();
    let spun = (0..SPINS).any(|_| {
        std::hint::spin_loop();
        over()
    });
    if !spun {
        // A bounded wait for a softirq, which may not sleep: legal anywhere.
        let _context = context::enter(Level::Task);
        engine.idle.wait_until(over);
    }
}

impl Drop for BhDisabledGuard<'_> {
    fn drop(&mut self) {
        self.engine.follow(self.engine.gate.enable());
    }
}

impl fmt::Debug for BhDisabledGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BhDisabledGuard").finish_non_exhaustive()
    }
}

/// A lock for what a softirq and a thread share: its holder keeps softirqs away, so that none of them spins
/// for a holder that the scheduler has put to sleep. What a top half locks too needs a
/// [`SpinLockIrq`](crate::irq::SpinLockIrq).
pub struct SpinLockBh<T> {
    softirqs: Arc<Softirqs>,
    value: Mutex<T>,
}

impl<T> SpinLockBh<T> {
    /// An unlocked lock for what is shared with the bottom halves of `softirqs`.
    pub fn new(softirqs: &Arc<Softirqs>, value: T) -> Self {
        Self { softirqs: Arc::clone(softirqs), value: Mutex::new(value) }
    }

    /// Keeps softirqs away, then locks. Not in a top half, which may have interrupted a softirq: that is a bug
    /// that debug builds catch.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[doc(alias = "spin_lock_bh")]
    pub fn lock(&self) -> SpinLockBhGuard<'_, T> {
        debug_assert!(!context::in_hardirq(), "spin_lock_bh in a top half: a bug of the driver");
        let disabled = self.softirqs.bh_disable();
        SpinLockBhGuard { value: spin(&self.value), _disabled: disabled }
    }
}

/// Unlocks, then lets softirqs run again, when dropped. The kernel's `spin_unlock_bh`.
#[must_use = "the lock is released when the guard is dropped"]
pub struct SpinLockBhGuard<'a, T> {
    // Dropped in this order.
    value: MutexGuard<'a, T>,
    _disabled: BhDisabledGuard<'a>,
}

impl<T> Deref for SpinLockBhGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for SpinLockBhGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockBh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpinLockBh").field(&self.value).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockBhGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
