//! The timers of delayed work: one wheel for all queues, and the thread that looks at it.
//!
//! An entry of the wheel belongs to a [`DelayedWork`](super::DelayedWork) as long as that lives, so that
//! arming allocates nothing; it holds the item itself only while it is armed.
//!
//! The thread sleeps until the wheel's next expiry. It is woken only by an earlier one: most delays are put off
//! or cancelled, and that costs no wake-up.
//!
//! # Why a thread, and not the softirq `TIMER`
//!
//! The system queues are there without any dispatcher. And the thread may be the last to have an item in its
//! hands: what that owns is dropped here and may sleep, which a softirq may not.
//!
//! # Lock order
//!
//! The lock is a leaf, taken with an item's place locked. [`delayed::expire`] is called without it.
//!
//! Mirrors `delayed_work_timer_fn` and `__queue_delayed_work` of `kernel/workqueue.c`.

use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};

use super::delayed;
use super::work::Inner;
use crate::error::Result;
use crate::kthread::{self, Kthread};
use crate::time::wheel::{Key, Wheel};
use crate::time::{Jiffies, now_jiffies, recent_jiffies};

static TIMERS: LazyLock<Timers> = LazyLock::new(|| Timers {
    state: Mutex::new(State::new(now_jiffies())),
    changed: Condvar::new(),
    thread: Mutex::new(None),
});

struct Timers {
    state: Mutex<State>,
    /// The thread is to look earlier than it meant to.
    changed: Condvar,
    thread: Mutex<Option<Kthread>>,
}

struct State {
    wheel: Wheel,
    /// By key: the items whose timers are armed, and for when.
    armed: Vec<Option<(Arc<Inner>, Jiffies)>>,
    /// When the thread looks at the wheel next, if nobody wakes it.
    looks_at: Option<Jiffies>,
}

/// Starts the thread, once.
pub(super) fn start() -> Result<()> {
    let mut thread = TIMERS.thread.lock().unwrap();
    if thread.is_none() {
        *thread = Some(kthread::run("kworker/timer", || TIMERS.run())?);
    }
    Ok(())
}

/// Makes a timer, not armed. The only call that allocates.
pub(super) fn insert() -> Key {
    TIMERS.state().insert()
}

/// Gives a timer back that is not armed.
pub(super) fn remove(timer: Key) {
    TIMERS.state().wheel.remove(timer);
}

/// Has [`delayed::expire`] called for `work` when `expires` is over, not earlier; for no other time that was set
/// before.
pub(super) fn arm(timer: Key, work: &Arc<Inner>, expires: Jiffies) {
    if TIMERS.state().arm(timer, work, expires, recent_jiffies()) {
        TIMERS.changed.notify_one();
    }
}

/// Takes back `arm`. A call of `expire` that is under way finds that the item has gone.
pub(super) fn disarm(timer: Key) {
    let was_armed = TIMERS.state().disarm(timer);
    // Not under the lock, though the caller has the item, so that it is not freed here.
    drop(was_armed);
}

impl Timers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Runs as long as the process.
    fn run(&self) {
        let mut state = self.state();
        loop {
            let now = now_jiffies();
            // What is armed meanwhile is not earlier, and wakes nobody.
            state.looks_at = Some(now);
            while let Some((work, expires)) = state.pop_expired(now) {
                drop(state);
                delayed::expire(&work, expires);
                drop(work);
                state = self.state();
            }
            state.looks_at = state.wheel.next_expiry().map(Jiffies::new);
            state = match state.looks_at {
                Some(at) => self.changed.wait_timeout(state, at.time_left()).unwrap().0,
                None => self.changed.wait(state).unwrap(),
            };
        }
    }
}

impl State {
    fn new(now: Jiffies) -> Self {
        Self { wheel: Wheel::new(now.get()), armed: Vec::new(), looks_at: None }
    }

    fn insert(&mut self) -> Key {
        let timer = self.wheel.insert();
        if timer.index() == self.armed.len() {
            self.armed.push(None);
        }
        timer
    }

    /// Whether the thread is to be woken.
    fn arm(&mut self, timer: Key, work: &Arc<Inner>, expires: Jiffies, now: Jiffies) -> bool {
        match &mut self.armed[timer.index()] {
            Some((_, at)) => *at = expires,
            free => *free = Some((Arc::clone(work), expires)),
        }
        self.wheel.start(timer, expires.get(), now.get());
        let next = self.wheel.next_expiry().map(Jiffies::new);
        let earlier =
            next.filter(|next| self.looks_at.is_none_or(|looks_at| next.is_before(looks_at)));
        if earlier.is_some() {
            self.looks_at = earlier;
        }
        earlier.is_some()
    }

    fn disarm(&mut self, timer: Key) -> Option<(Arc<Inner>, Jiffies)> {
        self.wheel.cancel(timer);
        self.armed[timer.index()].take()
    }

    fn pop_expired(&mut self, now: Jiffies) -> Option<(Arc<Inner>, Jiffies)> {
        let timer = self.wheel.pop_expired(now.get())?;
        self.armed[timer.index()].take()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn item() -> Arc<Inner> {
        Inner::new("test".to_owned(), Arc::new(|| ()), None)
    }

    fn at(jiffy: u64) -> Jiffies {
        Jiffies::new(jiffy)
    }

    #[test]
    fn the_thread_is_woken_only_for_an_earlier_expiry_than_it_sleeps_for() {
        let mut state = State::new(at(0));
        let (one, other) = (state.insert(), state.insert());
        assert!(state.arm(one, &item(), at(10_000), at(0)), "it sleeps for ever");
        assert!(!state.arm(other, &item(), at(20_000), at(0)));
        assert!(state.arm(other, &item(), at(5_000), at(0)));
        // A delay that is put off again and again, and then cancelled.
        (0..100).for_each(|now| assert!(!state.arm(other, &item(), at(6_000 + now), at(now))));
        state.disarm(other);
        assert!(!state.arm(other, &item(), at(6_000), at(200)), "it looks in time anyway");
    }

    #[test]
    fn a_timer_holds_its_item_only_while_it_is_armed() {
        let mut state = State::new(at(0));
        let (timer, work) = (state.insert(), item());
        state.arm(timer, &work, at(5), at(0));
        state.arm(timer, &work, at(3), at(0));
        assert_eq!(Arc::strong_count(&work), 2);
        assert!(state.pop_expired(at(3)).is_none(), "the jiffy may have begun before the request");
        let (popped, expires) = state.pop_expired(at(4)).unwrap();
        assert!(Arc::ptr_eq(&popped, &work) && expires == at(3));
        drop(popped);
        state.arm(timer, &work, at(9), at(4));
        drop(state.disarm(timer));
        assert_eq!(Arc::strong_count(&work), 1);
        assert!(state.pop_expired(at(100)).is_none());
    }
}
