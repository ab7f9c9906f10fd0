//! [`TimerBase`]: the wheels of one dispatcher, and the loop that runs what has expired: `run_timer_softirq`.
//!
//! # When the timerfd is armed
//!
//! Only for a deadline that is earlier than the one it is armed for, or, after it has rung, for the next.
//! Cancelling leaves it armed: a timeout that is started and cancelled again and again costs no system call,
//! and at most one wake-up for nothing. So `timerfd_settime` is called at most as often as the earliest
//! deadline changes.
//!
//! # Who runs deferrable timers
//!
//! Nothing is armed for them. A hook looks after every round of the dispatcher whether one is due, and raises
//! the softirq then; so they run whenever the dispatcher is awake for something else.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::alarm::{self, Alarm, Expire, MAX_TIME};
use super::super::jiffies::{Jiffies, now_jiffies, recent_jiffies};
use super::super::wheel::{Key, Wheel};
use super::Callback;
use crate::cycles::CycleBudget;
use crate::error::Result;
use crate::irq::{AfterHook, Dispatcher, bump};
use crate::softirq::Vector;
use crate::sync::WaitQueue;
use crate::sys::clock::{ClockId, now_ns};

/// In `TimerBase::deferrable_at`: no deferrable timer waits for the dispatcher to be awake.
const NEVER: i64 = i64::MAX;

/// Callbacks between two looks at how long it has taken.
const LOOK_EVERY: u32 = 8;

/// Where a timer is: which wheel, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    class: Class,
    key: Key,
}

/// `BASE_STD` and `BASE_DEF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Standard,
    Deferrable,
}

/// On what condition a timer is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    IfPending,
    IfIdle,
    /// Or idle.
    IfEarlier,
    /// By its own callback: unless the run is to be the last.
    NotLast,
}

/// What the base has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerStats {
    /// Callbacks that ran.
    pub expired: u64,
    /// System calls made to arm the timerfd.
    pub armed: u64,
}

/// The timers of one dispatcher. The kernel's `struct timer_base`, of which each processor has its own.
///
/// They run as the softirq [`TIMER`](Vector::Timer) of that dispatcher, of which it may have several bases.
pub struct TimerBase {
    state: Mutex<State>,
    alarm: Alarm,
    /// Woken when a callback ends for which somebody waits.
    idle: WaitQueue,
    /// When the first deferrable timer is due, on the monotonic clock. Written under the lock, but for the hook
    /// that takes it away when it raises the softirq.
    deferrable_at: AtomicI64,
    expired: AtomicU64,
}

struct Wheels {
    wheel: Wheel,
    /// By key.
    slots: Vec<Slot>,
}

/// What belongs to one place of a wheel.
struct Slot {
    /// It is out while it runs.
    callback: Option<Box<Callback>>,
    /// It can be started: nobody has shut it down.
    open: bool,
}

struct State {
    standard: Wheels,
    deferrable: Wheels,
    /// What the timerfd is armed for.
    armed: Option<Jiffies>,
    /// The softirq is at it, and arms when it is done.
    expiring: bool,
    running: Option<Place>,
    /// The run that is under way must not start its timer again.
    run_is_last: bool,
    /// The timer that runs has given its place back: its callback has nowhere to go.
    run_is_orphan: bool,
    /// Threads that wait for the end of a run.
    waiters: u32,
}

impl State {
    #[inline]
    fn wheels(&mut self, class: Class) -> &mut Wheels {
        match class {
            Class::Standard => &mut self.standard,
            Class::Deferrable => &mut self.deferrable,
        }
    }

    #[inline]
    fn wheel(&mut self, place: Place) -> &mut Wheel {
        &mut self.wheels(place.class).wheel
    }

    fn slot(&mut self, place: Place) -> &mut Slot {
        &mut self.wheels(place.class).slots[place.key.index()]
    }

    fn pop_expired(&mut self, now: Jiffies) -> Option<(Place, Box<Callback>)> {
        [Class::Standard, Class::Deferrable].into_iter().find_map(|class| {
            let Wheels { wheel, slots } = self.wheels(class);
            let key = wheel.pop_expired(now.get())?;
            // PANIC: not reached; what is pending has its callback, and nothing else runs.
            let callback = slots[key.index()].callback.take().expect("a pending timer exists");
            let place = Place { class, key };
            self.running = Some(place);
            Some((place, callback))
        })
    }
}

impl TimerBase {
    /// Gives `dispatcher` its timers, and its [softirqs](crate::softirq::Softirqs) if it has none yet.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a driver has opened the vector `TIMER`; what the kernel says when a timerfd is made and
    /// watched.
    pub fn attach(dispatcher: &Dispatcher) -> Result<Arc<Self>> {
        let wheels = || Wheels { wheel: Wheel::new(now_jiffies().get()), slots: Vec::new() };
        let state = State {
            standard: wheels(),
            deferrable: wheels(),
            armed: None,
            expiring: false,
            running: None,
            run_is_last: false,
            run_is_orphan: false,
            waiters: 0,
        };
        let base = Arc::new(Self {
            state: Mutex::new(state),
            alarm: Alarm::open(dispatcher, Vector::Timer, "timer", ClockId::Monotonic)?,
            idle: WaitQueue::new(),
            deferrable_at: AtomicI64::new(NEVER),
            expired: AtomicU64::new(0),
        });
        alarm::attach(&base)?;
        let look: Arc<dyn AfterHook> = Arc::new(Look(Arc::clone(&base)));
        dispatcher.add_after_hook(&look);
        Ok(base)
    }

    /// What the base has done so far.
    pub fn stats(&self) -> TimerStats {
        TimerStats { expired: self.expired.load(Ordering::Relaxed), armed: self.alarm.sets() }
    }

    /// How many timers are pending.
    pub fn pending(&self) -> usize {
        let state = self.lock();
        state.standard.wheel.len() + state.deferrable.wheel.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No callback runs under the lock, so a panic leaves no half-made change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn waiters(&self) -> u32 {
        self.lock().waiters
    }

    /// Whether the hook has raised the softirq for a deferrable timer, and that has not run.
    #[cfg(test)]
    pub(super) fn deferrable_is_noted(&self) -> bool {
        self.deferrable_at.load(Ordering::Relaxed) == NEVER
    }

    /// Makes a place for a timer.
    pub(super) fn insert(&self, class: Class, callback: Box<Callback>) -> Place {
        let mut state = self.lock();
        let Wheels { wheel, slots } = state.wheels(class);
        let key = wheel.insert();
        if key.index() == slots.len() {
            slots.push(Slot { callback: None, open: false });
        }
        slots[key.index()] = Slot { callback: Some(callback), open: true };
        Place { class, key }
    }

    /// Gives the place of a timer back, which is shut down.
    pub(super) fn remove(&self, place: Place) {
        let mut state = self.lock();
        let gone = state.slot(place).callback.take();
        state.wheel(place).remove(place.key);
        if state.running == Some(place) {
            state.run_is_orphan = true;
        }
        drop(state);
        // Not under the lock: what the callback owns may be a timer of this base.
        drop(gone);
    }

    /// Starts a timer, or moves it; says whether it was pending.
    ///
    /// The jiffy is that of the kernel's last tick: it decides no more than the wheel's level, that is how late a
    /// timer may be. Whether one is early is decided when it expires, by the clock itself.
    #[inline]
    pub(super) fn start(&self, place: Place, expires: Jiffies, when: When) -> bool {
        let now = recent_jiffies();
        let mut state = self.lock();
        let run_is_last = state.run_is_last;
        let Wheels { wheel, slots } = state.wheels(place.class);
        let refused = match when {
            When::Always => false,
            When::IfPending => !wheel.is_pending(place.key),
            When::IfIdle => wheel.is_pending(place.key),
            When::IfEarlier => {
                let pending_for = Jiffies::new(wheel.expires(place.key));
                wheel.is_pending(place.key) && pending_for.is_before_eq(expires)
            }
            When::NotLast => run_is_last,
        };
        if refused || !slots[place.key.index()].open {
            return !run_is_last && wheel.is_pending(place.key);
        }
        let was_pending = wheel.start(place.key, expires.get(), now.get());
        match place.class {
            Class::Standard => self.arm(&mut state),
            Class::Deferrable => self.set_deferrable(&mut state),
        }
        was_pending
    }

    /// Arms the timerfd if the earliest deadline is earlier than before.
    #[inline]
    fn arm(&self, state: &mut State) {
        if state.expiring {
            return;
        }
        let Some(next) = state.standard.wheel.next_expiry().map(Jiffies::new) else { return };
        if state.armed.is_none_or(|armed| next.is_before(armed)) {
            state.armed = Some(next);
            self.alarm.set(next.starts_at_ns());
        }
    }

    /// Tells the hook when to look again.
    fn set_deferrable(&self, state: &mut State) {
        let next = state.deferrable.wheel.next_expiry();
        let at = next.map_or(NEVER, |next| Jiffies::new(next).starts_at_ns());
        self.deferrable_at.store(at, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn cancel(&self, place: Place) -> bool {
        self.lock().wheel(place).cancel(place.key)
    }

    /// Cancels, and keeps the timer from being started.
    pub(super) fn shut_down(&self, place: Place) -> bool {
        let mut state = self.lock();
        state.slot(place).open = false;
        state.wheel(place).cancel(place.key)
    }

    /// Cancels, and waits for the end of a run.
    pub(super) fn cancel_sync(&self, place: Place) -> bool {
        let mut state = self.lock();
        let mut was_pending = false;
        loop {
            was_pending |= state.wheel(place).cancel(place.key);
            if state.running != Some(place) {
                return was_pending;
            }
            state.run_is_last = true;
            if self.alarm.is_own_thread() {
                return was_pending;
            }
            state.waiters += 1;
            drop(state);
            self.alarm.wait_until(&self.idle, || self.lock().running != Some(place));
            state = self.lock();
            state.waiters -= 1;
        }
    }

    pub(super) fn is_pending(&self, place: Place) -> bool {
        self.lock().wheel(place).is_pending(place.key)
    }

    pub(super) fn expires(&self, place: Place) -> Jiffies {
        Jiffies::new(self.lock().wheel(place).expires(place.key))
    }

    /// A run has ended. Gives the callback back if nobody has a place for it any more.
    fn leave(
        &self,
        state: &mut State,
        (place, callback): (Place, Box<Callback>),
        is_well: bool,
    ) -> Option<Box<Callback>> {
        let orphan = std::mem::take(&mut state.run_is_orphan);
        let left_over = if orphan {
            Some(callback)
        } else {
            state.slot(place).callback = Some(callback);
            None
        };
        if !orphan && !is_well {
            state.slot(place).open = false;
            state.wheel(place).cancel(place.key);
        }
        state.running = None;
        state.run_is_last = false;
        if state.waiters > 0 {
            self.idle.wake_all();
        }
        left_over
    }

    /// Runs one timer; the lock is released meanwhile.
    fn run<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        mut timer: (Place, Box<Callback>),
    ) -> MutexGuard<'a, State> {
        drop(state);
        let is_well = timer.1.run(self, timer.0);
        bump(&self.expired, 1);
        let mut state = self.lock();
        let Some(left_over) = self.leave(&mut state, timer, is_well) else { return state };
        drop(state);
        // Not under the lock: what it owns may be a timer of this base.
        drop(left_over);
        self.lock()
    }
}

impl Expire for TimerBase {
    fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    fn expire(&self, rang: bool) -> bool {
        let mut state = self.lock();
        if rang {
            state.armed = None;
        }
        state.expiring = true;
        let (now, budget) = (now_jiffies(), CycleBudget::start(MAX_TIME));
        let (mut runs, mut left) = (0_u32, false);
        while !left && let Some(timer) = state.pop_expired(now) {
            state = self.run(state, timer);
            runs += 1;
            left = runs.is_multiple_of(LOOK_EVERY) && budget.is_over();
        }
        self.set_deferrable(&mut state);
        state.expiring = left;
        self.arm(&mut state);
        left
    }
}

/// The hook that looks for deferrable timers.
struct Look(Arc<TimerBase>);

impl AfterHook for Look {
    fn run(&self) -> bool {
        let at = &self.0.deferrable_at;
        let due = at.load(Ordering::Relaxed);
        // Taken away, so that it raises once, however long the softirq has to wait; that one sets it again.
        let order = Ordering::Relaxed;
        if due != NEVER
            && due <= now_ns(ClockId::Monotonic)
            && at.compare_exchange(due, NEVER, order, order).is_ok()
        {
            self.0.alarm.run_soon();
        }
        false
    }
}

impl fmt::Debug for TimerBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerBase")
            .field("pending", &self.pending())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
