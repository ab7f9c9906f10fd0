//! [`RcuCell`]: the pointer that readers follow and writers replace.
#![expect(unsafe_code, reason = "a version is freed by hand, when its last reader has gone")]

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Guard, call, synchronize};

/// A value that is read in sections, and replaced by new versions of it.
///
/// Writers that read, copy and replace need a lock among themselves, or changes are lost; to readers it is
/// nothing.
///
/// # Invariants
///
/// The pointer comes from a `Box`. What it pointed to is freed no sooner than a grace period after it was
/// replaced, or when the cell is dropped, which nobody can be reading then.
#[doc(alias = "__rcu")]
pub struct RcuCell<T: Send + Sync + 'static> {
    current: AtomicPtr<T>,
    /// Shared by readers of all threads, and dropped by any.
    owned: PhantomData<Arc<T>>,
}

impl<T: Send + Sync + 'static> RcuCell<T> {
    /// A cell whose first version is `value`.
    pub fn new(value: T) -> Self {
        // INVARIANT: it comes from a box.
        Self { current: AtomicPtr::new(Box::into_raw(Box::new(value))), owned: PhantomData }
    }

    /// The current version. It stays valid for the whole section, also after it was replaced.
    #[inline]
    #[doc(alias = "rcu_dereference")]
    pub fn read<'g>(&'g self, _section: &'g Guard) -> &'g T {
        // Acquire: pairs with the swap in `replace`.
        let current = self.current.load(Ordering::Acquire);
        // SAFETY:
        // - it points to a value from a box, by the type's invariant;
        // - it was the current one within the section, so that the grace period after its replacement, and
        //   its freeing, wait for the guard; the cell itself is borrowed as long;
        // - it is changed by nobody: versions are given out shared, and taken back after the grace period.
        unsafe { &*current }
    }

    /// Puts a new version in the place of the current one, which is to be [retired](Retired). Never waits; may
    /// be called anywhere.
    #[doc(alias("rcu_replace_pointer", "rcu_assign_pointer"))]
    pub fn replace(&self, value: T) -> Retired<T> {
        let new = Box::into_raw(Box::new(value));
        // W1. Release: pairs with the load in `read`. Acquire: the old one is dropped by the caller.
        let old = self.current.swap(new, Ordering::AcqRel);
        // INVARIANT: nobody finds it any more.
        Retired { old: AtomicPtr::new(old), owned: PhantomData }
    }

    /// The current version, to be changed in place: nobody else can read it.
    pub fn get_mut(&mut self) -> &mut T {
        let current = *self.current.get_mut();
        // SAFETY: it points to a value from a box, and the cell is borrowed alone, so that no `read` lives.
        unsafe { &mut *current }
    }
}

impl<T: Send + Sync + 'static> Drop for RcuCell<T> {
    fn drop(&mut self) {
        // SAFETY: it comes from a box, and nobody reads from a cell that is being dropped: `read` borrows it.
        drop(unsafe { Box::from_raw(*self.current.get_mut()) });
    }
}

impl<T: Send + Sync + Default + 'static> Default for RcuCell<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Send + Sync + fmt::Debug + 'static> fmt::Debug for RcuCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RcuCell").field(self.read(&super::read_lock())).finish()
    }
}

/// A version that was replaced, and that readers may still have.
///
/// Dropping it frees it after a grace period, without waiting (`kfree_rcu`): on the thread of [`call`], where
/// its own drop must not sleep. [`synchronize`](Self::synchronize) waits, and gives it back.
///
/// # Invariants
///
/// The pointer comes from a `Box`, and no section that begins now can find it.
#[must_use = "to free it later, drop it; to wait and have it back, synchronize"]
#[doc(alias = "kfree_rcu")]
pub struct Retired<T: Send + Sync + 'static> {
    /// Never changed: an atomic for being `Send` and `Sync` as far as the value is.
    old: AtomicPtr<T>,
    owned: PhantomData<Arc<T>>,
}

impl<T: Send + Sync + 'static> Retired<T> {
    /// Sleeps until no reader has it, and gives it back.
    ///
    /// # Panics
    ///
    /// In a section, as [`rcu::synchronize`](synchronize).
    #[track_caller]
    pub fn synchronize(self) -> T {
        synchronize();
        // What was waited for is not to be freed a second time.
        *mem::ManuallyDrop::new(self).unbox()
    }

    /// Takes the value back. A grace period has passed, and this is called once.
    fn unbox(&mut self) -> Box<T> {
        // SAFETY: it comes from a box; both callers have waited until no section can have it, and neither
        // uses it afterwards.
        unsafe { Box::from_raw(*self.old.get_mut()) }
    }
}

impl<T: Send + Sync + 'static> Drop for Retired<T> {
    fn drop(&mut self) {
        let old = AtomicPtr::new(*self.old.get_mut());
        let mut later = mem::ManuallyDrop::new(Self { old, owned: PhantomData });
        call(move || drop(later.unbox()));
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Retired<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired").finish_non_exhaustive()
    }
}
