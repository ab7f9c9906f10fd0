//! Spin locks for what a top half and a thread share. The kernel's `spin_lock_irqsave`.
//!
//! In the kernel a thread that holds a plain spin lock can be interrupted by a handler that spins for it on
//! the same processor, for ever. Here the two are different threads, so that cannot happen; what can is that
//! the holder is put to sleep by the scheduler while the dispatcher waits for it, and every line waits. So the
//! rule of the kernel stands: **what a handler locks is locked elsewhere with delivery held**. The state that
//! `irqsave` keeps in `flags` is in the guard: holds nest, and what was held before is held after.
//!
//! There are two ways to keep it:
//!
//! - [`SpinLock::lock_irqsave`], the C way: one lock, taken plainly in the handler, where delivery is held
//!   anyway, and with `lock_irqsave` elsewhere. Whoever forgets is found by the
//!   [checker](crate::sync::lockdep), in debug builds. [`RwSpinLock`] has the forms too; if handlers only read,
//!   others may read plainly, and only writers hold delivery. So it is with [`SeqLock`], whose readers never do.
//! - [`SpinLockIrq`], the way of Rust-for-Linux: the type has no other form, so that nobody can forget.
//!
//! Both hold delivery first and then lock, and unlock first and then release the hold. The methods stand here
//! and not with the lock, as `sync` knows nothing of interrupts.
//!
//! Mirrors `include/linux/spinlock.h`, `include/linux/rwlock.h` (`Documentation/locking/spinlocks.rst`).

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::hold::{DeliveryHeldGuard, hold_delivery};
use crate::sync::facade::const_fn;
use crate::sync::{
    Plain, RwSpinLock, RwSpinLockReadGuard, RwSpinLockWriteGuard, SeqLock, SpinLock, SpinLockGuard,
};

/// A lock, and delivery held around it. Unlocks, then lets delivery go on, when dropped: the kernel's
/// `spin_unlock_irqrestore`.
#[must_use = "the lock is released when the guard is dropped"]
pub struct IrqSaveGuard<G> {
    // Dropped in this order.
    lock: G,
    _held: DeliveryHeldGuard,
}

impl<T: ?Sized> SpinLock<T> {
    /// Holds delivery ([`hold_delivery`]), then takes the lock. May be called anywhere; in a top half the first
    /// costs next to nothing.
    #[track_caller]
    #[doc(alias("spin_lock_irqsave", "spin_lock_irq"))]
    pub fn lock_irqsave(&self) -> IrqSaveGuard<SpinLockGuard<'_, T>> {
        let held = hold_delivery();
        IrqSaveGuard { lock: self.lock(), _held: held }
    }

    /// As [`lock_irqsave`](Self::lock_irqsave), if the lock is free. Delivery is not held on if it is not.
    #[track_caller]
    #[doc(alias("spin_trylock_irqsave", "spin_trylock_irq"))]
    pub fn try_lock_irqsave(&self) -> Option<IrqSaveGuard<SpinLockGuard<'_, T>>> {
        let held = hold_delivery();
        Some(IrqSaveGuard { lock: self.try_lock()?, _held: held })
    }
}

impl<T> RwSpinLock<T> {
    /// Holds delivery ([`hold_delivery`]), then takes the lock for reading. May be called anywhere.
    #[track_caller]
    #[doc(alias("read_lock_irqsave", "read_lock_irq"))]
    pub fn read_irqsave(&self) -> IrqSaveGuard<RwSpinLockReadGuard<'_, T>> {
        let held = hold_delivery();
        IrqSaveGuard { lock: self.read(), _held: held }
    }

    /// Holds delivery ([`hold_delivery`]), then takes the lock for writing. May be called anywhere.
    #[track_caller]
    #[doc(alias("write_lock_irqsave", "write_lock_irq"))]
    pub fn write_irqsave(&self) -> IrqSaveGuard<RwSpinLockWriteGuard<'_, T>> {
        let held = hold_delivery();
        IrqSaveGuard { lock: self.write(), _held: held }
    }
}

impl<T: Plain> SeqLock<T> {
    /// Holds delivery, then writes: for data that a top half reads or writes too.
    #[track_caller]
    #[doc(alias("write_seqlock_irqsave", "write_seqlock_irq"))]
    pub fn write_irqsave(&self, data: T) {
        let _held = hold_delivery();
        self.write(data);
    }

    /// Holds delivery, then changes the data by `change`, which sees what is there.
    #[track_caller]
    pub fn update_irqsave(&self, change: impl FnOnce(&mut T)) {
        let _held = hold_delivery();
        self.update(change);
    }

    /// Holds delivery, then copies the data under the writers' lock.
    #[track_caller]
    #[doc(alias = "read_seqlock_excl_irqsave")]
    pub fn read_locked_irqsave(&self) -> T {
        let _held = hold_delivery();
        self.read_locked()
    }
}

/// A spin lock that is always taken with delivery held: for what a top half and a thread share.
#[derive(Default)]
pub struct SpinLockIrq<T> {
    lock: SpinLock<T>,
}

/// Access to what a [`SpinLockIrq`] protects, until it is dropped.
pub type SpinLockIrqGuard<'a, T> = IrqSaveGuard<SpinLockGuard<'a, T>>;

impl<T> SpinLockIrq<T> {
    const_fn! {
        /// An unlocked lock.
        #[track_caller]
        pub fn new(value: T) -> Self {
            Self { lock: SpinLock::new(value) }
        }
    }

    /// Holds delivery, then locks. May be called anywhere. In a top half the first costs next to nothing.
    #[track_caller]
    pub fn lock(&self) -> SpinLockIrqGuard<'_, T> {
        self.lock.lock_irqsave()
    }

    /// As [`lock`](Self::lock), if nobody has it.
    #[track_caller]
    pub fn try_lock(&self) -> Option<SpinLockIrqGuard<'_, T>> {
        self.lock.try_lock_irqsave()
    }

    /// Locks where delivery is held already, which the guard proves.
    #[track_caller]
    pub fn lock_with<'a>(&'a self, _held: &'a DeliveryHeldGuard) -> SpinLockGuard<'a, T> {
        self.lock.lock()
    }
}

impl<G: Deref> Deref for IrqSaveGuard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.lock
    }
}

impl<G: DerefMut> DerefMut for IrqSaveGuard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.lock
    }
}

impl<G: fmt::Debug> fmt::Debug for IrqSaveGuard<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockIrq<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpinLockIrq").field(&self.lock).finish()
    }
}
