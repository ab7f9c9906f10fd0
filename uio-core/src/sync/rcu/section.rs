//! Sections: where a thread's reading begins and ends, and waiting for all that began before.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::domain::{Domain, Reader};
use crate::sync::context::might_sleep;
use crate::sync::lockdep::{Held, Key, Kind};

pub(super) static DOMAIN: Domain = Domain::new();
static KEY: Key = Key::new(Kind::Rcu);

thread_local! {
    pub(super) static OWN: Own = Own { reader: DOMAIN.register(), depth: Cell::new(0) };
}

/// A thread's place among the readers.
pub(super) struct Own {
    pub(super) reader: Arc<Reader>,
    depth: Cell<usize>,
}

impl Drop for Own {
    fn drop(&mut self) {
        DOMAIN.unregister(&self.reader);
    }
}

/// A section: what was read stays valid until this is dropped. Bound to its thread.
#[must_use = "the section ends at once if the guard is not kept"]
pub struct Guard {
    _held: Held,
    thread_bound: PhantomData<*const ()>,
}

/// Begins a section. May be called anywhere, also in a section. Costs a fence; never waits.
#[track_caller]
#[inline]
#[doc(alias = "rcu_read_lock")]
pub fn read_lock() -> Guard {
    let held = KEY.acquire(0);
    OWN.with(|own| {
        let depth = own.depth.get();
        own.depth.set(depth + 1);
        if depth == 0 {
            DOMAIN.enter(&own.reader);
        }
    });
    Guard { _held: held, thread_bound: PhantomData }
}

impl Drop for Guard {
    #[inline]
    #[doc(alias = "rcu_read_unlock")]
    fn drop(&mut self) {
        OWN.with(|own| {
            let depth = own.depth.get() - 1;
            own.depth.set(depth);
            if depth == 0 {
                DOMAIN.leave(&own.reader);
            }
        });
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// Whether the caller is in a section.
#[doc(alias = "rcu_read_lock_held")]
pub fn is_reading() -> bool {
    OWN.try_with(|own| own.depth.get() > 0).unwrap_or(false)
}

/// Sleeps until every section that began before has ended. Those that begin later are not waited for.
///
/// # Panics
///
/// In a section, which would wait for itself.
#[track_caller]
#[doc(alias = "synchronize_rcu")]
pub fn synchronize() {
    assert!(!is_reading(), "rcu::synchronize in a section of rcu::read_lock would wait for itself");
    might_sleep();
    DOMAIN.synchronize();
}
