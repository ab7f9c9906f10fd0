//! The state of a line: one atomic word, and the transitions that keep every interrupt.
//!
//! # Vocabulary
//!
//! - **depth**: how often the line is disabled by software. Nests, as `disable_irq` does.
//! - **closed**: it has no handler. **unasked**: it has, and was requested with `NO_AUTOEN`; the first enable
//!   beyond the depth ends that.
//! - **held**: thread functions of `ONESHOT` handlers have yet to run; counts them.
//! - **shut off**: too many interrupts that nobody wanted; see `spurious`.
//! - **quiet**: the device's side has masked itself when it fired, and somebody owes it an unmask.
//! - **pending**: it fired while it could not run; the round is owed.
//! - **active**: the dispatcher walks the chain.
//! - **dead**: the device is gone; nothing happens any more.
//!
//! The line is *blocked* while any of depth, closed, unasked, held and shut off is there.
//!
//! # States
//!
//! ```text
//!              fired, not blocked                chain done, not blocked: unmask
//!   inactive ─────────────────▶ active (quiet) ─────────────────────────────▶ inactive
//!      ▲ │                         │
//!      │ │ fired, blocked          │ chain done, blocked (a handler masked, a thread was woken)
//!      │ ▼                         ▼
//!      │ pending (quiet)        disabled (quiet)
//!      │ │                         │ no longer blocked: unmask
//!      │ │ no longer blocked       ▼
//!      │ └─▶ resend ──▶ active   inactive
//! ```
//!
//! Masking is lazy, as `irq_disable` is in `kernel/irq/chip.c`: it changes the depth and nothing else. What
//! fires then is remembered and stays quiet, so that masking costs no system call and loses nothing.
//!
//! # Exactly one unmask
//!
//! Whoever clears **quiet** owes the device the unmask, and only a compare-and-swap that finds the line not
//! blocked, not pending and not active clears it: `leave` at the end of a round, or whatever ended the last
//! block. The device cannot fire between the two, since it is masked until then; so quiet is never set again
//! before the unmask has been carried out. The loom models hold the device's side against this.

use crate::sync::facade::atomic::{AtomicU32, Ordering};

const DEPTH: u32 = 0xFFFF;
const QUIET: u32 = 1 << 16;
const PENDING: u32 = 1 << 17;
const ACTIVE: u32 = 1 << 18;
const DEAD: u32 = 1 << 19;
const SHUT_OFF: u32 = 1 << 20;
const CLOSED: u32 = 1 << 21;
const UNASKED: u32 = 1 << 22;
const HELD_ONE: u32 = 1 << 24;
const HELD: u32 = 0xFF << 24;
const BLOCKED: u32 = DEPTH | HELD | SHUT_OFF | CLOSED | UNASKED;

/// Threads that may hold a line at once: the width of the count.
pub(super) const MAX_THREADS: usize = 0xFF;

/// What the caller of a transition must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Owed {
    Nothing,
    /// Tell the device's side to fire again.
    Unmask,
    /// Ask the dispatcher for the round that is pending.
    Resend,
    /// The call had no counterpart: an unmask without a mask.
    Unbalanced,
}

/// How a fired interrupt is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Walk the chain now, then [`leave`](State::leave).
    Run,
    /// Kept for later.
    Kept,
    /// Kept, together with one that was pending already.
    Merged,
    /// The line is dead.
    Dropped,
}

/// How a line stands: what a driver text calls the states of an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineState {
    /// Nothing is to be done.
    Inactive,
    /// It has fired, and its round comes next.
    Pending,
    /// Its handlers run.
    Active,
    /// Its handlers run, and it has fired again: another round follows.
    ActiveAndPending,
    /// No handler starts: it is masked, has no handler, waits for a `ONESHOT` thread function, or was shut off.
    Disabled {
        /// It has fired meanwhile; that is kept, and runs when the line is enabled.
        pending: bool,
    },
    /// The device is gone; nothing happens any more.
    Gone,
}

#[derive(Debug)]
pub(super) struct State(AtomicU32);

/// The line may no longer be blocked: what follows from that.
fn unblocked(new: u32) -> (u32, Owed) {
    match new {
        _ if new & (BLOCKED | ACTIVE | DEAD) != 0 => (new, Owed::Nothing),
        _ if new & PENDING != 0 => (new, Owed::Resend),
        _ if new & QUIET != 0 => (new & !QUIET, Owed::Unmask),
        _ => (new, Owed::Nothing),
    }
}

impl State {
    /// Closed and quiet: the first request of the line opens it.
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(CLOSED | QUIET))
    }

    /// Changes the word by `step`, which says what it becomes and what follows from that.
    fn change<R>(&self, step: impl Fn(u32) -> (u32, R)) -> R {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let (new, result) = step(old);
            // SeqCst: a round that starts (`fired`) is ordered against a handler that leaves the chain and
            // then looks for a running round (`is_active`).
            match self.0.compare_exchange_weak(old, new, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }

    /// The line has its first handler. `enable`: it may fire now, unless it is disabled.
    pub(super) fn open(&self, enable: bool) -> Owed {
        let unasked = if enable { 0 } else { UNASKED };
        self.change(|old| unblocked(old & !CLOSED | unasked))
    }

    /// The line has no handler any more: what was pending is forgotten. Whether it is closed by this call.
    pub(super) fn close(&self) {
        self.change(|old| (old & !(PENDING | UNASKED | SHUT_OFF) | QUIET | CLOSED, ()));
    }

    /// The device fired. `automask`: it masked itself in doing so.
    pub(super) fn fired(&self, automask: bool) -> Taken {
        let quiet = if automask { QUIET } else { 0 };
        self.change(|old| match old {
            _ if old & DEAD != 0 => (old, Taken::Dropped),
            _ if old & (BLOCKED | ACTIVE) == 0 => (old | quiet | ACTIVE, Taken::Run),
            _ if old & PENDING != 0 => (old | quiet, Taken::Merged),
            _ => (old | quiet | PENDING, Taken::Kept),
        })
    }

    /// The dispatcher looks for a pending round that may run now.
    pub(super) fn resend(&self) -> bool {
        self.change(|old| {
            let due = old & PENDING != 0 && old & (BLOCKED | ACTIVE | DEAD) == 0;
            (if due { old & !PENDING | ACTIVE } else { old }, due)
        })
    }

    /// The dispatcher polls a line that is shut off, and not blocked otherwise.
    pub(super) fn poll(&self) -> bool {
        self.change(|old| {
            let due = old & (BLOCKED | ACTIVE | DEAD) == SHUT_OFF;
            (if due { old & !PENDING | ACTIVE } else { old }, due)
        })
    }

    /// The chain has been walked.
    pub(super) fn leave(&self) -> Owed {
        self.change(|old| unblocked(old & !ACTIVE))
    }

    pub(super) fn mask(&self) {
        self.change(|old| (if old & DEPTH == DEPTH { old } else { old + 1 }, ()));
    }

    pub(super) fn unmask(&self) -> Owed {
        self.change(|old| match old {
            _ if old & DEPTH != 0 => unblocked(old - 1),
            _ if old & UNASKED != 0 => unblocked(old & !UNASKED),
            _ => (old, Owed::Unbalanced),
        })
    }

    /// A thread function is to run before the line fires again. Called while the line is active.
    pub(super) fn hold(&self) {
        self.change(|old| (old + HELD_ONE, ()));
    }

    /// Undoes one [`hold`](Self::hold).
    pub(super) fn release(&self) -> Owed {
        self.change(|old| unblocked(old - HELD_ONE))
    }

    /// Nobody wants what this line brings.
    pub(super) fn shut_off(&self) {
        // Quiet: whoever enables it again owes the unmask, also to a source that does not mask itself.
        self.change(|old| (old | SHUT_OFF | QUIET, ()));
    }

    /// Undoes [`shut_off`](Self::shut_off).
    pub(super) fn reenable(&self) -> Owed {
        self.change(|old| {
            if old & SHUT_OFF == 0 { (old, Owed::Nothing) } else { unblocked(old & !SHUT_OFF) }
        })
    }

    /// The device is gone. `false` if that was known.
    pub(super) fn die(&self) -> bool {
        self.change(|old| (old | DEAD, old & DEAD == 0))
    }

    /// How the line stands just now. The kernel's `irq_get_irqchip_state`.
    pub(super) fn look(&self) -> LineState {
        let word = self.0.load(Ordering::Relaxed);
        let pending = word & PENDING != 0;
        match (word & ACTIVE != 0, pending) {
            _ if word & DEAD != 0 => LineState::Gone,
            (true, false) => LineState::Active,
            (true, true) => LineState::ActiveAndPending,
            _ if word & BLOCKED != 0 => LineState::Disabled { pending },
            (false, true) => LineState::Pending,
            (false, false) => LineState::Inactive,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.0.load(Ordering::SeqCst) & ACTIVE != 0
    }

    pub(super) fn is_masked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (DEPTH | CLOSED | UNASKED) != 0
    }

    pub(super) fn is_shut_off(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SHUT_OFF != 0
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.load(Ordering::Relaxed) & DEAD != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_models;
