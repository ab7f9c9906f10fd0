//! [`SpinLock`] and [`RwSpinLock`]: locks that are held for a moment, and that a top half may take.
//!
//! # Vocabulary
//!
//! - **adaptive**: whoever finds the lock taken spins for about a hundred turns, since its holder is about to
//!   release it, and then sleeps in the kernel until it does. A thread of userspace can be preempted with the
//!   lock in its hand, so that to spin on would burn the time that the holder needs. The kernel's own
//!   `PREEMPT_RT` does the same to its spin locks.
//! - **atomic**: what the holder is. It must not sleep: no wait queue, no [`Mutex`](super::Mutex). The
//!   [checker](super::lockdep) reports it.
//!
//! ```text
//!              lock                 lock, by another          hundred turns
//!   free ───────────────▶ held ◀─────────────────── spinning ───────────────▶ asleep
//!    ▲                      │                            ▲                       │
//!    └──────────────────────┘                            └───────────────────────┘
//!             drop of the guard: wakes one that is asleep
//! ```
//!
//! That adaptive lock is what the futex mutex of `std` is, and its reader-writer lock, so these are the locks
//! beneath; here are the kernel's names, the guards' classes, and a lock that is not poisoned by a panic.
//!
//! # What differs from the kernel
//!
//! No preemption is switched off and the order of arrival is not kept. Priority is not inherited: a thread of
//! higher priority that waits for the lock waits for a lower one's turn too.
//!
//! # The `_irqsave` and `_bh` forms
//!
//! One lock is taken in several ways, as in the kernel: plainly in the top half that needs it, and with
//! `SpinLock::lock_irqsave`, which holds delivery first, everywhere else; with `lock_bh` if nothing above a
//! softirq takes it. They are methods of these types, and stand in `irq` and `softirq`, which know what is to
//! be held; they return a guard around a guard. Which form is due, the [checker](super::lockdep) knows.
//! `irq::SpinLockIrq` is a lock that has no other form.
//!
//! Mirrors `include/linux/spinlock.h`, `include/linux/rwlock.h`, `rust/kernel/sync/lock/spinlock.rs`.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::facade::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, attempted, const_fn, unpoisoned,
};
use super::lockdep::{Held, Key, Kind};

/// A lock for data that top halves, bottom halves and threads share, held for a moment.
#[doc(alias("spinlock_t", "DEFINE_SPINLOCK"))]
pub struct SpinLock<T: ?Sized> {
    key: Key,
    data: Mutex<T>,
}

/// Access to what a [`SpinLock`] protects, until it is dropped.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct SpinLockGuard<'a, T: ?Sized> {
    data: MutexGuard<'a, T>,
    _held: Held,
}

impl<T> SpinLock<T> {
    const_fn! {
        /// A free lock around `data`. Locks made at one place of the source are of one
        /// [class](super::lockdep).
        #[track_caller]
        #[doc(alias = "spin_lock_init")]
        pub fn new(data: T) -> Self {
            Self { key: Key::new(Kind::Spin), data: Mutex::new(data) }
        }
    }

    /// Ends the lock.
    pub fn into_inner(self) -> T {
        unpoisoned(self.data.into_inner())
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Takes the lock. May be called anywhere.
    #[track_caller]
    #[inline]
    #[doc(alias = "spin_lock")]
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        self.lock_nested(0)
    }

    /// Takes the lock, as one that is rightly taken inside another of its class: a child's inside a parent's.
    #[track_caller]
    #[inline]
    #[doc(alias = "spin_lock_nested")]
    pub fn lock_nested(&self, subclass: u8) -> SpinLockGuard<'_, T> {
        let held = self.key.acquire(subclass);
        SpinLockGuard { data: unpoisoned(self.data.lock()), _held: held }
    }

    /// Takes the lock if it is free.
    #[track_caller]
    #[inline]
    #[doc(alias = "spin_trylock")]
    pub fn try_lock(&self) -> Option<SpinLockGuard<'_, T>> {
        let data = attempted(self.data.try_lock())?;
        Some(SpinLockGuard { data, _held: self.key.acquired() })
    }

    /// What the checker knows it by.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// The data, without a lock: nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        unpoisoned(self.data.get_mut())
    }
}

impl<T: ?Sized> Deref for SpinLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> DerefMut for SpinLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: Default> Default for SpinLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpinLock").field(&&self.data).finish()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for SpinLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A spin lock that many may read at a time. While a writer waits for readers, no more of them come in.
///
/// A reader must not take it again: a writer may have come between. (The kernel lets a reader do so in a top
/// half that interrupted it; here the top half is another thread.)
#[doc(alias("rwlock_t", "DEFINE_RWLOCK"))]
pub struct RwSpinLock<T> {
    key: Key,
    data: RwLock<T>,
}

/// Shared access to what a [`RwSpinLock`] protects, until it is dropped.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwSpinLockReadGuard<'a, T> {
    data: RwLockReadGuard<'a, T>,
    _held: Held,
}

/// Exclusive access to what a [`RwSpinLock`] protects, until it is dropped.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwSpinLockWriteGuard<'a, T> {
    data: RwLockWriteGuard<'a, T>,
    _held: Held,
}

impl<T> RwSpinLock<T> {
    const_fn! {
        /// A free lock around `data`.
        #[track_caller]
        #[doc(alias = "rwlock_init")]
        pub fn new(data: T) -> Self {
            Self { key: Key::new(Kind::Spin), data: RwLock::new(data) }
        }
    }

    #[cfg(all(test, debug_assertions, not(loom)))]
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Takes the lock for reading. May be called anywhere.
    #[track_caller]
    #[inline]
    #[doc(alias = "read_lock")]
    pub fn read(&self) -> RwSpinLockReadGuard<'_, T> {
        let held = self.key.acquire_shared();
        RwSpinLockReadGuard { data: unpoisoned(self.data.read()), _held: held }
    }

    /// Takes the lock for writing. May be called anywhere.
    #[track_caller]
    #[inline]
    #[doc(alias = "write_lock")]
    pub fn write(&self) -> RwSpinLockWriteGuard<'_, T> {
        let held = self.key.acquire(0);
        RwSpinLockWriteGuard { data: unpoisoned(self.data.write()), _held: held }
    }

    /// Takes the lock for reading if no writer has it.
    #[track_caller]
    #[doc(alias = "read_trylock")]
    pub fn try_read(&self) -> Option<RwSpinLockReadGuard<'_, T>> {
        let data = attempted(self.data.try_read())?;
        Some(RwSpinLockReadGuard { data, _held: self.key.acquired_shared() })
    }

    /// Takes the lock for writing if nobody has it.
    #[track_caller]
    #[doc(alias = "write_trylock")]
    pub fn try_write(&self) -> Option<RwSpinLockWriteGuard<'_, T>> {
        let data = attempted(self.data.try_write())?;
        Some(RwSpinLockWriteGuard { data, _held: self.key.acquired() })
    }
}

impl<T> Deref for RwSpinLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> Deref for RwSpinLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> DerefMut for RwSpinLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: fmt::Debug> fmt::Debug for RwSpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RwSpinLock").field(&self.data).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for RwSpinLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwSpinLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
