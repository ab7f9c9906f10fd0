//! Keeping softirqs away: [`bh_disable`], and the spin locks for what a softirq and a thread share. The kernel's
//! `local_bh_disable` and `spin_lock_bh`.
//!
//! What a softirq or a tasklet locks is locked elsewhere with bottom halves disabled, or with delivery held if a
//! top half locks it too (`SpinLock::lock_irqsave`). A softirq then never waits for a holder that the scheduler
//! has put to sleep; in the kernel it would wait for ever. There are two ways to keep the rule:
//!
//! - [`SpinLock::lock_bh`], the C way: one lock, taken plainly in the softirq, and with `lock_bh` elsewhere.
//!   Whoever forgets is found by the [checker](crate::sync::lockdep), in debug builds.
//! - [`SpinLockBh`]: the type has no other form, and disables the softirqs of one dispatcher, which it was made
//!   for.
//!
//! # What differs from the kernel
//!
//! `local_bh_disable` is about the processor that the caller runs on. Here that is the dispatcher that the
//! caller belongs to (its own thread, its `ksoftirqd`); a thread that belongs to none disables the softirqs of
//! all dispatchers.
//!
//! Mirrors `include/linux/bottom_half.h`, `include/linux/spinlock.h`.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::rc::{self, Rc};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::attach::Softirqs;
use super::door::Door;
use crate::sync::context;
use crate::sync::lockdep::{self, Key, Kind};
use crate::sync::{
    Plain, RwSpinLock, RwSpinLockReadGuard, RwSpinLockWriteGuard, SeqLock, SpinLock, SpinLockGuard,
};

/// How often the disabler looks before it sleeps: most softirqs are shorter than a wake-up.
const SPINS: usize = 200;

/// The softirqs of every dispatcher, for threads that belong to none.
static DOORS: Mutex<Vec<Weak<Door>>> = Mutex::new(Vec::new());

/// What the lock checker knows disabled bottom halves by.
static SECTION: Key = Key::new(Kind::BottomHalvesDisabled);

fn doors() -> MutexGuard<'static, Vec<Weak<Door>>> {
    DOORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that there are more softirqs.
pub(super) fn announce(door: &Arc<Door>) {
    let mut all = doors();
    all.retain(|known| known.strong_count() > 0);
    all.push(Arc::downgrade(door));
}

/// Keeps softirqs from starting until the guard is dropped, and waits for those that run, unless called from
/// one. Nests. What is raised meanwhile runs afterwards.
///
/// These are the softirqs of the dispatcher that the caller belongs to; a thread that belongs to none disables
/// those of all. [`Softirqs::bh_disable`] names them.
///
/// # Panics
///
/// In debug builds, in a top half: it may have interrupted a softirq, and would wait for it.
#[track_caller]
#[doc(alias("local_bh_disable", "local_bh_enable"))]
pub fn bh_disable() -> BhDisabledGuard<'static> {
    BhDisabledGuard::new(disable_local)
}

/// Disables the softirqs that are the caller's own, or all.
fn disable_local() -> Disabled<'static> {
    if Door::any_runs_here() {
        return Disabled::None;
    }
    if !crate::irq::hold::belongs() {
        return Disabled::All { _all: All::of_this_thread() };
    }
    let own = doors().iter().filter_map(Weak::upgrade).find(|door| door.is_local());
    own.map_or(Disabled::None, |door| {
        disable(&door);
        Disabled::Own(door)
    })
}

/// The softirqs there were when a thread began to disable those of all. Enabled with the last guard of the thread.
///
/// What is disabled within that shares it and waits for nobody: softirqs that came meanwhile may wait for what the
/// outer guard protects.
struct All(Vec<Arc<Door>>);

thread_local! {
    /// What this thread has disabled, if it belongs to no dispatcher.
    static ALL: RefCell<rc::Weak<All>> = const { RefCell::new(rc::Weak::new()) };
}

impl All {
    fn of_this_thread() -> Rc<Self> {
        if let Some(disabled) = ALL.with_borrow(rc::Weak::upgrade) {
            return disabled;
        }
        let doors: Vec<_> = doors().iter().filter_map(Weak::upgrade).collect();
        doors.iter().for_each(|door| disable(door));
        let all = Rc::new(Self(doors));
        ALL.set(Rc::downgrade(&all));
        all
    }
}

impl Drop for All {
    fn drop(&mut self) {
        self.0.iter().for_each(|door| enable(door));
    }
}

/// Whose softirqs are disabled.
enum Disabled<'a> {
    /// The caller is a softirq, and none of its own dispatcher runs beside it.
    None,
    Named(&'a Door),
    Own(Arc<Door>),
    All {
        _all: Rc<All>,
    },
}

impl Disabled<'_> {
    fn one(&self) -> Option<&Door> {
        match self {
            Self::Named(door) => Some(door),
            Self::Own(door) => Some(door),
            Self::None | Self::All { .. } => None,
        }
    }
}

fn disable(door: &Door) {
    if door.gate.disable() && !door.runs_here() {
        wait_for_the_running(door);
    }
}

fn enable(door: &Door) {
    door.follow(door.gate.enable());
}

/// Lets softirqs run again when dropped; those that were raised meanwhile run then, on their dispatcher (the
/// kernel's `local_bh_enable` runs them on the spot). Bound to its thread.
#[must_use = "softirqs run again when the guard is dropped"]
pub struct BhDisabledGuard<'a> {
    disabled: Disabled<'a>,
    _section: lockdep::Held,
    thread_bound: PhantomData<*const ()>,
}

impl<'a> BhDisabledGuard<'a> {
    #[track_caller]
    pub(super) fn of(door: &'a Door) -> Self {
        Self::new(|| {
            disable(door);
            Disabled::Named(door)
        })
    }

    #[track_caller]
    fn new(disable: impl FnOnce() -> Disabled<'a>) -> Self {
        debug_assert!(
            !context::in_hardirq(),
            "bottom halves are disabled in a top half: a bug of the driver"
        );
        lockdep::check_bh_disable();
        let section = SECTION.acquire(0);
        Self { disabled: disable(), _section: section, thread_bound: PhantomData }
    }
}

fn wait_for_the_running(door: &Door) {
    let over = || !door.gate.is_running();
    let spun = (0..SPINS).any(|_| {
        std::hint::spin_loop();
        over()
    });
    if !spun {
        // A bounded wait for a softirq, which may not sleep.
        door.idle.wait_until_unchecked(over);
    }
}

impl Drop for BhDisabledGuard<'_> {
    fn drop(&mut self) {
        self.disabled.one().into_iter().for_each(enable);
    }
}

/// A lock, and bottom halves disabled around it. Unlocks, then lets softirqs run again, when dropped: the
/// kernel's `spin_unlock_bh`.
#[must_use = "the lock is released when the guard is dropped"]
pub struct BhGuard<'a, G> {
    // Dropped in this order.
    lock: G,
    _disabled: BhDisabledGuard<'a>,
}

impl<T: ?Sized> SpinLock<T> {
    /// Disables bottom halves ([`bh_disable`]), then takes the lock. Not in a top half, nor with delivery held.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    #[doc(alias = "spin_lock_bh")]
    pub fn lock_bh(&self) -> BhGuard<'_, SpinLockGuard<'_, T>> {
        let disabled = bh_disable();
        BhGuard { lock: self.lock(), _disabled: disabled }
    }

    /// As [`lock_bh`](Self::lock_bh), if the lock is free.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    #[doc(alias = "spin_trylock_bh")]
    pub fn try_lock_bh(&self) -> Option<BhGuard<'_, SpinLockGuard<'_, T>>> {
        let disabled = bh_disable();
        Some(BhGuard { lock: self.try_lock()?, _disabled: disabled })
    }
}

impl<T> RwSpinLock<T> {
    /// Disables bottom halves ([`bh_disable`]), then takes the lock for reading. Not in a top half.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    #[doc(alias = "read_lock_bh")]
    pub fn read_bh(&self) -> BhGuard<'_, RwSpinLockReadGuard<'_, T>> {
        let disabled = bh_disable();
        BhGuard { lock: self.read(), _disabled: disabled }
    }

    /// Disables bottom halves ([`bh_disable`]), then takes the lock for writing. Not in a top half.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    #[doc(alias = "write_lock_bh")]
    pub fn write_bh(&self) -> BhGuard<'_, RwSpinLockWriteGuard<'_, T>> {
        let disabled = bh_disable();
        BhGuard { lock: self.write(), _disabled: disabled }
    }
}

impl<T: Plain> SeqLock<T> {
    /// Disables bottom halves, then writes: for data that a bottom half reads or writes too. Not in a top half.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    #[doc(alias = "write_seqlock_bh")]
    pub fn write_bh(&self, data: T) {
        let _disabled = bh_disable();
        self.write(data);
    }

    /// Disables bottom halves, then changes the data by `change`, which sees what is there. Not in a top half.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    pub fn update_bh(&self, change: impl FnOnce(&mut T)) {
        let _disabled = bh_disable();
        self.update(change);
    }

    /// Disables bottom halves, then copies the data under the writers' lock. Not in a top half.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    #[doc(alias = "read_seqlock_excl_bh")]
    pub fn read_locked_bh(&self) -> T {
        let _disabled = bh_disable();
        self.read_locked()
    }
}

/// A spin lock that is always taken with the softirqs of one dispatcher disabled: for what a softirq and a thread
/// share. What a top half locks too needs a [`SpinLockIrq`](crate::irq::SpinLockIrq).
pub struct SpinLockBh<T> {
    softirqs: Arc<Softirqs>,
    lock: SpinLock<T>,
}

/// Access to what a [`SpinLockBh`] protects, until it is dropped.
pub type SpinLockBhGuard<'a, T> = BhGuard<'a, SpinLockGuard<'a, T>>;

impl<T> SpinLockBh<T> {
    /// An unlocked lock for what is shared with the bottom halves of `softirqs`.
    #[track_caller]
    pub fn new(softirqs: &Arc<Softirqs>, value: T) -> Self {
        Self { softirqs: Arc::clone(softirqs), lock: SpinLock::new(value) }
    }

    /// Disables softirqs, then locks. Not in a top half, nor with delivery held.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    pub fn lock(&self) -> SpinLockBhGuard<'_, T> {
        let disabled = self.softirqs.bh_disable();
        BhGuard { lock: self.lock.lock(), _disabled: disabled }
    }

    /// As [`lock`](Self::lock), if nobody has it.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    pub fn try_lock(&self) -> Option<SpinLockBhGuard<'_, T>> {
        let disabled = self.softirqs.bh_disable();
        Some(BhGuard { lock: self.lock.try_lock()?, _disabled: disabled })
    }
}

impl<G: Deref> Deref for BhGuard<'_, G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.lock
    }
}

impl<G: DerefMut> DerefMut for BhGuard<'_, G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.lock
    }
}

impl fmt::Debug for BhDisabledGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BhDisabledGuard").finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockBh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpinLockBh").field(&self.lock).finish()
    }
}

impl<G: fmt::Debug> fmt::Debug for BhGuard<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}
