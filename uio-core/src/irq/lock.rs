//! [`SpinLockIrq`]: a lock for what a top half and a thread share. The kernel's `spin_lock_irqsave`.
//!
//! In the kernel a thread that holds a plain spin lock can be interrupted by a handler that spins for it on
//! the same processor, for ever. Here the two are different threads, so that cannot happen; what can is that
//! the holder is put to sleep by the scheduler while the dispatcher spins for it, and every line waits. So the
//! rule of the kernel stands: **what a handler locks is locked elsewhere with delivery held**, which
//! [`SpinLockIrq::lock`] does by itself, first thing, as `spin_lock_irqsave` does. The state that
//! `irqsave` keeps in `flags` is in the guard: holds nest, and what was held before is held after.
//!
//! Built on `std::sync::Mutex` whose `try_lock` is spun on, until `sync::SpinLock` takes its place.

use std::fmt;
use std::hint;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::hold::{DeliveryHeldGuard, hold_delivery};

/// How often a lock is tried before its holder is given the processor.
const SPINS: usize = 100;

/// A spin lock whose holder also holds delivery: for what a top half and a thread share.
#[derive(Default)]
pub struct SpinLockIrq<T> {
    value: Mutex<T>,
}

impl<T> SpinLockIrq<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> Self {
        Self { value: Mutex::new(value) }
    }

    /// Holds delivery, then locks. May be called anywhere. In a top half the first costs next to nothing.
    #[doc(alias = "spin_lock_irqsave")]
    #[doc(alias = "lock_irqsave")]
    pub fn lock(&self) -> SpinLockIrqGuard<'_, T> {
        let held = hold_delivery();
        SpinLockIrqGuard { value: spin(&self.value), _held: held }
    }

    /// As [`lock`](Self::lock), if nobody has it.
    #[doc(alias = "spin_trylock_irqsave")]
    pub fn try_lock(&self) -> Option<SpinLockIrqGuard<'_, T>> {
        let held = hold_delivery();
        Some(SpinLockIrqGuard { value: try_lock(&self.value)?, _held: held })
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        // As the kernel's, the lock knows no poison: who panicked has said so.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Spins for the mutex; on a machine with more threads than processors the holder may need ours.
pub(crate) fn spin<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for _ in 0..SPINS {
        if let Some(guard) = try_lock(mutex) {
            return guard;
        }
        hint::spin_loop();
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unlocks, then lets delivery go on, when dropped. The kernel's `spin_unlock_irqrestore`.
#[must_use = "the lock is released when the guard is dropped"]
pub struct SpinLockIrqGuard<'a, T> {
    // Dropped in this order.
    value: MutexGuard<'a, T>,
    _held: DeliveryHeldGuard,
}

impl<T> Deref for SpinLockIrqGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for SpinLockIrqGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockIrq<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpinLockIrq").field(&self.value).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockIrqGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
