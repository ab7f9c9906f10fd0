//! [`Mutex`]: the lock whose holder may sleep.
//!
//! # Vocabulary
//!
//! - **holder**: the thread that has the guard, and the only one that can release it.
//! - **interruptible** waiter: one whose wait an [interrupt](super::Interrupt) ends, without the lock.
//!
//! ```text
//!            lock, lock_interruptible, try_lock         lock, by another
//!    free ─────────────────────────────────────▶ held ◀─────────────────── spinning for a moment, then asleep
//!     ▲                                           │                          │ interrupted (lock_interruptible)
//!     └───────────────────────────────────────────┘                          ▼
//!                drop of the guard: wakes one that is asleep              Err(Interrupted)
//! ```
//!
//! It is the mutex of `std`, which spins for a moment and then sleeps on a futex, with what that one lacks: a
//! wait that an [interrupt](super::Interrupt) ends, the [checker](super::lockdep), and no poison. Those who wait
//! interruptibly are exclusive waiters of a [`WaitQueue`]; whoever releases the lock wakes the first of them,
//! at the cost of a fence and a load if there is none.
//!
//! # Why no release is lost
//!
//! Releasing is K1 of the argument in [`wait`](super::WaitQueue), and trying the lock is W3. A waiter that
//! was woken and finds the lock taken by somebody who came between queues itself again, and that one's release
//! wakes it; one that was woken and is interrupted hands the wake-up on.
//!
//! # What differs from the kernel
//!
//! A thread that comes by when the lock is released may have it before those who wait. Adaptive spinning knows
//! nothing of whether the holder runs. Priority is not inherited.
//!
//! Mirrors `include/linux/mutex.h` (`Documentation/locking/mutex-design.rst`), `rust/kernel/sync/lock/mutex.rs`.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::facade::{self, attempted, const_fn, unpoisoned};
use super::lockdep::{Held, Key, Kind, check_trylock};
use super::park::{Deadline, Sleep};
use super::task::Interrupted;
use super::wait::{WaitQueue, WaitResult};

/// A lock whose holder may sleep. Only one thread holds it, only the holder releases it, and only once; it cannot
/// be freed or made anew while it is held. The types see to all of this:
///
/// ```compile_fail,E0277
/// let mutex = uio_core::sync::Mutex::new(());
/// let guard = mutex.lock();
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(guard));
/// });
/// ```
///
/// ```compile_fail,E0505
/// let mutex = uio_core::sync::Mutex::new(());
/// let guard = mutex.lock();
/// drop(mutex);
/// drop(guard);
/// ```
///
/// A thread that takes it twice waits for itself, and a top or bottom half may not take it: these the
/// [checker](super::lockdep) reports.
#[doc(alias("mutex_init", "DEFINE_MUTEX"))]
pub struct Mutex<T: ?Sized> {
    key: Key,
    /// Who waits interruptibly.
    waiters: WaitQueue,
    data: facade::Mutex<T>,
}

/// Access to what a [`Mutex`] protects, until it is dropped. Bound to its thread.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    // In this order: the lock is released, and then a waiter woken.
    data: facade::MutexGuard<'a, T>,
    _wake: WakeNext<'a>,
    _held: Held,
}

struct WakeNext<'a>(&'a WaitQueue);

impl Drop for WakeNext<'_> {
    fn drop(&mut self) {
        self.0.wake_next();
    }
}

impl<T> Mutex<T> {
    const_fn! {
        /// A free lock around `data`.
        #[track_caller]
        pub fn new(data: T) -> Self {
            Self {
                key: Key::new(Kind::Sleep),
                waiters: WaitQueue::new(),
                data: facade::Mutex::new(data),
            }
        }
    }

    /// Ends the lock.
    pub fn into_inner(self) -> T {
        unpoisoned(self.data.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, asleep until it is free.
    #[track_caller]
    #[doc(alias = "mutex_lock")]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_nested(0)
    }

    /// Takes the lock, as one that is rightly taken inside another of its class: a child's inside a parent's.
    #[track_caller]
    #[doc(alias = "mutex_lock_nested")]
    pub fn lock_nested(&self, subclass: u8) -> MutexGuard<'_, T> {
        let held = self.key.acquire(subclass);
        self.guard(unpoisoned(self.data.lock()), held)
    }

    /// Takes the lock, asleep until it is free or the thread is [interrupted](super::Interrupt). A free lock is
    /// taken even if an interrupt is pending.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the thread was interrupted first, or before; it does not hold the lock.
    #[track_caller]
    #[doc(alias = "mutex_lock_interruptible")]
    pub fn lock_interruptible(&self) -> Result<MutexGuard<'_, T>, Interrupted> {
        let held = self.key.acquire(0);
        let mut data = None;
        let end = self.waiters.wait_for_turn(Sleep::Interruptible, Deadline::NEVER, || {
            data = attempted(self.data.try_lock());
            data.is_some()
        });
        match (end, data) {
            (WaitResult::Ready(_), Some(data)) => Ok(self.guard(data, held)),
            _ => Err(Interrupted),
        }
    }

    /// Takes the lock if it is free. Not in a top or bottom half, though it does not wait: the holder is a thread.
    #[track_caller]
    #[doc(alias = "mutex_trylock")]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        check_trylock();
        let data = attempted(self.data.try_lock())?;
        Some(self.guard(data, self.key.acquired()))
    }

    /// Whether somebody holds it at this moment.
    #[doc(alias = "mutex_is_locked")]
    pub fn is_locked(&self) -> bool {
        attempted(self.data.try_lock()).is_none()
    }

    /// The data, without a lock: nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        unpoisoned(self.data.get_mut())
    }

    fn guard<'a>(&'a self, data: facade::MutexGuard<'a, T>, held: Held) -> MutexGuard<'a, T> {
        MutexGuard { data, _wake: WakeNext(&self.waiters), _held: held }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mutex").field(&&self.data).finish()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
