//! [`Semaphore`]: a number of things, taken and given back, by anybody.
//!
//! # Vocabulary
//!
//! - **count**: how many of the things are there to be taken.
//! - **down**: to take one, asleep until there is one. **up**: to give one, be it taken before or not.
//!
//! ```text
//!            down: count > 0                   down: count = 0
//!   caller ───────────────────▶ has one ◀──┐  ───────────────────▶ waiting, in order of arrival
//!                                          │                         │     │
//!                                          └─────────────────────────┘     ▼
//!                                            up: given to the first one   interrupted, out of time
//! ```
//!
//! # Why nothing is lost and nobody comes between
//!
//! While somebody waits the count is zero: `up` does not add to it but takes the first waiter off the list and
//! gives the thing to it, in one step under the list's lock. A waiter that is interrupted or out of time looks
//! under that lock whether it is still on the list; if it is not, it was given the thing, and has it.
//!
//! Whoever gives need not be who took, so a semaphore has no holder, no guard and no order for the
//! [checker](super::lockdep); that `down` may sleep is checked. For a lock with a holder take a
//! [`Mutex`](super::Mutex).
//!
//! Mirrors `include/linux/semaphore.h`, `kernel/locking/semaphore.c`.
//!
//! # Lock order
//!
//! The list's mutex is a leaf.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::context::might_sleep;
use super::facade::{Arc, Mutex, const_fn};
use super::park::{Deadline, Parked, Sleep, Woken};
use super::task::Interrupted;
use super::wait::WaitResult;

/// A counting semaphore. Those who wait get it in order of arrival.
#[doc(alias("sema_init", "DEFINE_SEMAPHORE"))]
pub struct Semaphore {
    state: Mutex<State>,
}

struct State {
    /// Zero while somebody waits.
    count: usize,
    waiters: VecDeque<Arc<Parked>>,
}

impl Semaphore {
    const_fn! {
        /// A semaphore of which `count` are there.
        pub fn new(count: usize) -> Self {
            Self { state: Mutex::new(State { count, waiters: VecDeque::new() }) }
        }
    }

    /// Takes one, asleep until there is one.
    #[track_caller]
    pub fn down(&self) {
        might_sleep();
        let _granted = self.take(Sleep::Uninterruptible, Deadline::NEVER);
    }

    /// Takes one, asleep until there is one or the thread is [interrupted](super::Interrupt).
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the thread was interrupted first, or before; nothing was taken.
    #[track_caller]
    pub fn down_interruptible(&self) -> Result<(), Interrupted> {
        might_sleep();
        match self.take(Sleep::Interruptible, Deadline::NEVER) {
            Woken::Interrupted => Err(Interrupted),
            _ => Ok(()),
        }
    }

    /// Takes one, asleep until there is one or `timeout` is over, and says how much of it was left.
    #[track_caller]
    pub fn down_timeout(&self, timeout: Duration) -> WaitResult {
        might_sleep();
        let deadline = Deadline::after(timeout);
        match self.take(Sleep::Uninterruptible, deadline) {
            Woken::Granted => WaitResult::Ready(deadline.left()),
            _ => WaitResult::TimedOut,
        }
    }

    /// Takes one if there is one. Never sleeps; may be called anywhere. `true` if it took one (the kernel's
    /// says 0 then).
    #[must_use = "whether it was taken"]
    pub fn down_trylock(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let taken = state.count > 0;
        state.count -= usize::from(taken);
        taken
    }

    /// Gives one: to the one that waits longest, or back. Never sleeps; may be called anywhere, also by those
    /// who took none.
    pub fn up(&self) {
        let mut state = self.state.lock().unwrap();
        match state.waiters.pop_front() {
            Some(waiter) => waiter.grant(),
            None => state.count += 1,
        }
    }

    fn take(&self, sleep: Sleep, deadline: Deadline) -> Woken {
        let Some(place) = self.take_or_queue() else { return Woken::Granted };
        let woken = place.sleep(sleep, deadline);
        if woken != Woken::Granted && !self.leave(&place) {
            return Woken::Granted;
        }
        woken
    }

    /// Takes one, or a place in the list.
    fn take_or_queue(&self) -> Option<Arc<Parked>> {
        let mut state = self.state.lock().unwrap();
        if state.count > 0 {
            state.count -= 1;
            return None;
        }
        let place = Parked::current();
        state.waiters.push_back(Arc::clone(&place));
        Some(place)
    }

    /// Leaves the list; `false` if it was given one meanwhile.
    fn leave(&self, place: &Arc<Parked>) -> bool {
        let mut state = self.state.lock().unwrap();
        let before = state.waiters.len();
        state.waiters.retain(|waiter| !Arc::ptr_eq(waiter, place));
        state.waiters.len() != before
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock().unwrap();
        f.debug_struct("Semaphore")
            .field("count", &state.count)
            .field("waiting", &state.waiters.len())
            .finish()
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
