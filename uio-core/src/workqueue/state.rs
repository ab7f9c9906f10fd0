//! The state of an item: one atomic word, and the transitions that run it neither twice at a time nor too
//! seldom.
//!
//! # Vocabulary
//!
//! - **pending**: asked to run and not started. Whoever turns it on is the one to put the item on a list or
//!   to arm its timer; whoever takes the item off turns it off. The kernel's `WORK_STRUCT_PENDING_BIT`.
//! - **running**: its function is on a worker.
//! - **set aside**: it came up for its turn while it was running elsewhere. It is on no list; the worker
//!   that runs it puts it back when it is done.
//! - **disabled**: it cannot become pending; nests.
//!
//! # Transitions
//!
//! ```text
//!            enter               start                       finish
//!   idle ───────────▶ pending ───────────▶ running ─────────────────────────▶ idle
//!    ▲                 │   ▲                  │ enter
//!    │ withdraw        │   │ finish of the    ▼         start, by another worker
//!    └─────────────────┘   │ other run     running, pending ───────▶ running, set aside
//!                          └───────────────────────────────────────────────┘
//! ```
//!
//! # Why nothing is lost
//!
//! `start` turns *pending* off and *running* on in one step, before the function starts. A request that
//! comes later finds *pending* off and queues again; one that came before is a read-modify-write of this
//! word that `start` reads from, so the run sees what its caller wrote. Loom visits the interleavings below.
//!
//! # Why an item never runs beside itself
//!
//! `start` fails while *running* is on, and leaves *set aside* in the same word for `finish`, which turns
//! both off in one step: either `start` sees that the run is over, or `finish` sees what was set aside.

use crate::sync::facade::atomic::{AtomicU32, Ordering};

const PENDING: u32 = 1 << 31;
const RUNNING: u32 = 1 << 30;
const SET_ASIDE: u32 = 1 << 29;
const DISABLED: u32 = 0xFFFF;

/// How a request to run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The caller made it pending, and now puts it where it will be found.
    Won,
    /// It was pending already.
    Pending,
    /// It is disabled.
    Disabled,
}

/// Whether an item that came up for its turn may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Run,
    SetAside,
}

#[derive(Debug)]
pub(super) struct State(AtomicU32);

impl State {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Changes the word by `step`. Always writes, so that the next reader sees what the caller did before.
    fn change<R>(&self, step: impl Fn(u32) -> (u32, R)) -> R {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let (new, result) = step(old);
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }

    /// A request to run.
    pub(super) fn enter(&self) -> Entry {
        self.change(|old| match old {
            _ if old & DISABLED != 0 => (old, Entry::Disabled),
            _ if old & PENDING != 0 => (old, Entry::Pending),
            _ => (old | PENDING, Entry::Won),
        })
    }

    /// A request to run that can be answered without looking further: it is pending already.
    pub(super) fn merge(&self) -> bool {
        // Pairs with the one in `start`: a run that starts later sees what the caller wrote.
        self.0.fetch_or(0, Ordering::AcqRel) & PENDING != 0
    }

    /// A worker took it off its list.
    pub(super) fn start(&self) -> Start {
        self.change(|old| match old {
            _ if old & RUNNING != 0 => (old | SET_ASIDE, Start::SetAside),
            _ => (old & !PENDING | RUNNING, Start::Run),
        })
    }

    /// Its function has returned. `true`: it was set aside meanwhile, and the caller puts it back.
    #[must_use]
    pub(super) fn finish(&self) -> bool {
        self.change(|old| (old & !(RUNNING | SET_ASIDE), old & SET_ASIDE != 0))
    }

    /// Somebody took it off its list, or off its timer, and will not run it.
    pub(super) fn withdraw(&self) {
        self.0.fetch_and(!(PENDING | SET_ASIDE), Ordering::AcqRel);
    }

    pub(super) fn disable(&self) {
        self.change(|old| (if old & DISABLED == DISABLED { old } else { old + 1 }, ()));
    }

    /// Undoes one `disable`. `None` if there was none, else whether it was the last.
    pub(super) fn enable(&self) -> Option<bool> {
        self.change(|old| match old & DISABLED {
            0 => (old, None),
            depth => (old - 1, Some(depth == 1)),
        })
    }

    pub(super) fn is_pending(&self) -> bool {
        self.0.load(Ordering::Acquire) & PENDING != 0
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.load(Ordering::Acquire) & RUNNING != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_pending_once_however_often_it_is_asked_for() {
        let state = State::new();
        assert_eq!(state.enter(), Entry::Won);
        assert_eq!(state.enter(), Entry::Pending);
        assert!(state.merge());
    }

    #[test]
    fn an_item_that_runs_can_become_pending_again() {
        let state = State::new();
        state.enter();
        assert_eq!(state.start(), Start::Run);
        assert!(!state.merge());
        assert_eq!(state.enter(), Entry::Won);
        assert!(!state.finish(), "nobody has set it aside");
        assert_eq!(state.start(), Start::Run);
    }

    #[test]
    fn an_item_that_runs_is_set_aside_and_put_back_by_who_runs_it() {
        let state = State::new();
        state.enter();
        state.start();
        state.enter();
        assert_eq!(state.start(), Start::SetAside);
        assert!(state.is_pending() && state.is_running());
        assert!(state.finish());
        assert_eq!(state.start(), Start::Run);
        assert!(!state.is_pending());
    }

    #[test]
    fn a_disabled_item_does_not_become_pending() {
        let state = State::new();
        state.disable();
        state.disable();
        assert_eq!(state.enter(), Entry::Disabled);
        assert_eq!(state.enable(), Some(false));
        assert_eq!(state.enter(), Entry::Disabled);
        assert_eq!(state.enable(), Some(true));
        assert_eq!(state.enable(), None);
        assert_eq!(state.enter(), Entry::Won);
    }
}

#[cfg(all(test, loom))]
mod loom_models;
