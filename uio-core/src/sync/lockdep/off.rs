//! The checker of release builds and of models: none.

use super::{Kind, Policy, Report};

/// Nothing in a lock.
#[derive(Debug)]
pub(crate) struct Key;

/// Nothing in a guard.
#[derive(Debug)]
pub(crate) struct Held;

impl Key {
    #[inline(always)]
    pub(crate) const fn new(_: Kind) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn acquire(&self, _: u8) -> Held {
        Held
    }

    #[inline(always)]
    pub(crate) fn acquire_shared(&self) -> Held {
        Held
    }

    #[inline(always)]
    pub(crate) fn awaited(&self) {}

    #[inline(always)]
    pub(crate) fn acquired(&self) -> Held {
        Held
    }

    #[inline(always)]
    pub(crate) fn acquired_shared(&self) -> Held {
        Held
    }
}

#[inline(always)]
pub(crate) fn check_sleep() {}

#[inline(always)]
pub(crate) fn check_trylock() {}

#[inline(always)]
pub(crate) fn check_bh_disable() {}

pub(super) fn set_policy(_: Policy) {}

pub(super) fn reports() -> Vec<Report> {
    Vec::new()
}
