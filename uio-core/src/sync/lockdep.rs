//! The lock-order checker: finds deadlocks that have not happened yet.
//!
//! It is there in debug builds (`debug_assertions`) and watches every lock of [`sync`](super). In release
//! builds it is nothing: no field in a lock or a guard, no call.
//!
//! # Vocabulary
//!
//! - **class**: all locks that were made at one place of the source. What holds for one of them is taken to
//!   hold for all, so that two locks need never meet in time for their order to be found wrong.
//! - **subclass**: what tells locks of one class apart that are taken one inside the other on purpose, a
//!   parent's and a child's (`lock_nested`).
//! - **order**: `A` before `B`, once a thread took a `B` while it held an `A`. An attempt (`try_lock`) makes no
//!   order, since it cannot wait; what is taken under it does.
//! - **report**: what was found, with two places of the source; once for each pair.
//!
//! # The rules
//!
//! | rule | what is wrong |
//! | --- | --- |
//! | [`Rule::Order`] | two locks are taken in both orders, be it by way of others, be it at different times |
//! | [`Rule::Recursion`] | a thread takes a lock while it holds one of the same class and subclass |
//! | [`Rule::Sleep`] | a sleeping lock or call in a top half, in a bottom half, under a spin lock or under RCU |
//! | [`Rule::Delivery`] | a spin lock is taken in a top half, and elsewhere with delivery on |
//! | [`Rule::BottomHalves`] | a spin lock is taken in a bottom half, and elsewhere with bottom halves on |
//!
//! The last two are about moving a driver into the kernel: there the top half would spin for ever on the lock
//! of the thread that it interrupted. Here it is another thread, and would be late. `SpinLock::lock_irqsave`
//! holds delivery and mends it; where only bottom halves take the lock, so does `lock_bh`. As in the kernel,
//! who holds delivery needs not disable bottom halves too; readers of a reader-writer lock are not at odds with
//! readers; and an attempt in a top half cannot spin.
//!
//! A thread is in a **section** while it holds delivery, has bottom halves disabled, or reads under RCU. A
//! section has no order, and may not sleep.
//!
//! A report goes to the log (`tracing`, level error), is kept for [`reports`], and panics if the
//! [policy](set_policy) says so, before the thread goes to sleep on what it cannot get.
//!
//! # What it does not do
//!
//! Semaphores are given by anybody and so have no order, as in the kernel; that they may sleep is checked. The
//! kernel's rule on locks that are taken *under* one of a top half's is not applied. It is not asked whose
//! delivery is held: whoever holds that of one dispatcher counts as holding it.
//!
//! Mirrors `kernel/locking/lockdep.c` and `Documentation/locking/lockdep-design.rst`.

#[cfg(all(debug_assertions, not(loom)))]
mod checker;
#[cfg(all(debug_assertions, not(loom)))]
mod graph;
#[cfg(any(not(debug_assertions), loom))]
mod off;

use std::fmt;
use std::panic::Location;

#[cfg(all(debug_assertions, not(loom)))]
use checker as active;
#[cfg(any(not(debug_assertions), loom))]
use off as active;

pub(crate) use active::{Held, Key, check_bh_disable, check_sleep, check_trylock};

/// What kind of lock a [`Key`] is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its holder may not sleep.
    Spin,
    /// Taking it may sleep.
    Sleep,
    /// A section that reads under RCU: no lock, but its holder may not sleep. So are the next two.
    Rcu,
    /// A section with the delivery of interrupts held.
    DeliveryHeld,
    /// A section with bottom halves disabled.
    BottomHalvesDisabled,
}

/// What a [`Report`] is about. See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Two locks are taken in both orders.
    Order,
    /// A lock is taken by a thread that holds one of its class.
    Recursion,
    /// A sleeping lock or call where nothing may sleep.
    Sleep,
    /// A lock of a top half is taken with delivery on.
    Delivery,
    /// A lock of a bottom half is taken with bottom halves on; or they are disabled, which may have to wait for
    /// one, with delivery held.
    BottomHalves,
}

/// One finding, with the two places that are at odds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    rule: Rule,
    places: [&'static Location<'static>; 2],
    text: String,
}

impl Report {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Where it was found, and what that is at odds with.
    pub fn places(&self) -> [&'static Location<'static>; 2] {
        self.places
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What happens when a rule is broken, apart from the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Nothing: the thread goes on.
    #[default]
    Report,
    /// The thread panics, without having taken the lock.
    Panic,
}

/// Sets what happens from now on when a rule is broken. In release builds it has no effect.
pub fn set_policy(policy: Policy) {
    active::set_policy(policy);
}

/// All that was found so far, in order. In release builds, nothing.
pub fn reports() -> Vec<Report> {
    active::reports()
}

#[cfg(all(test, not(loom)))]
mod tests;
