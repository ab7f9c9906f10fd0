//! [`HrTimerBase`]: the high-resolution timers of one dispatcher, a queue and a timerfd for each clock.
//!
//! The timerfd is armed for the earliest deadline only, and left alone when that is cancelled: see
//! [`TimerBase`](crate::time::TimerBase), which does the same.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::alarm::{self, Alarm, Expire, MAX_TIME};
use super::queue::{DeadlineQueue, Key};
use super::{HrTimerRestart, Inner};
use crate::cycles::CycleBudget;
use crate::error::Result;
use crate::irq::Dispatcher;
use crate::softirq::Vector;
use crate::sync::WaitQueue;
use crate::sys::clock::{self, ClockId};

/// What a base has done so far, all clocks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HrTimerStats {
    /// Callbacks that ran.
    pub expired: u64,
    /// System calls made to arm the timerfds.
    pub armed: u64,
    /// How often the real-time clock was seen to be set.
    pub clock_sets: u64,
}

/// The high-resolution timers of one dispatcher. The kernel's `struct hrtimer_cpu_base`.
///
/// They run as the softirq [`HRTIMER`](Vector::HrTimer) of that dispatcher, of which it may have several bases.
pub struct HrTimerBase {
    clocks: [Arc<ClockBase>; 3],
}

impl HrTimerBase {
    /// Gives `dispatcher` its high-resolution timers, and its [softirqs](crate::softirq::Softirqs) if it has
    /// none yet.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a driver has opened the vector `HRTIMER`; what the kernel says when the timerfds are made and
    /// watched.
    pub fn attach(dispatcher: &Dispatcher) -> Result<Arc<Self>> {
        let open = |clock| ClockBase::attach(dispatcher, clock);
        let clocks =
            [open(ClockId::Monotonic)?, open(ClockId::RealTime)?, open(ClockId::BootTime)?];
        Ok(Arc::new(Self { clocks }))
    }

    pub(super) fn clock(&self, clock: ClockId) -> &Arc<ClockBase> {
        match clock {
            ClockId::Monotonic => &self.clocks[0],
            ClockId::RealTime => &self.clocks[1],
            ClockId::BootTime => &self.clocks[2],
        }
    }

    /// What the base has done so far.
    pub fn stats(&self) -> HrTimerStats {
        let sum = |count: fn(&ClockBase) -> u64| self.clocks.iter().map(|base| count(base)).sum();
        HrTimerStats {
            expired: sum(|base| base.expired.load(Ordering::Relaxed)),
            armed: sum(|base| base.alarm.sets()),
            clock_sets: sum(|base| base.alarm.clock_sets()),
        }
    }

    /// How many timers are queued.
    pub fn queued(&self) -> usize {
        self.clocks.iter().map(|base| base.lock().queue.len()).sum()
    }
}

/// The timers of one clock. The kernel's `struct hrtimer_clock_base`.
pub(super) struct ClockBase {
    now: fn() -> i64,
    state: Mutex<State>,
    alarm: Alarm,
    /// Woken when a callback ends for which somebody waits.
    idle: WaitQueue,
    expired: AtomicU64,
}

#[derive(Default)]
struct State {
    queue: DeadlineQueue,
    timers: Vec<Option<Arc<Inner>>>,
    /// What the timerfd is armed for.
    armed: Option<i64>,
    /// The softirq is at it, and arms when it is done.
    expiring: bool,
    running: Option<Key>,
    /// The run that is under way was cancelled: it does not restart its timer.
    run_is_last: bool,
    /// The timer that runs has given its place back, which another one may have by now.
    run_is_orphan: bool,
    /// Threads that wait for the end of a run.
    waiters: u32,
}

impl State {
    fn pop_expired(&mut self, now: i64) -> Option<Arc<Inner>> {
        let key = self.queue.pop_expired(now)?;
        self.running = Some(key);
        // PANIC: not reached; a queued timer has its place.
        Some(Arc::clone(self.timers[key.index()].as_ref().expect("a queued timer exists")))
    }
}

impl ClockBase {
    fn attach(dispatcher: &Dispatcher, id: ClockId) -> Result<Arc<Self>> {
        let now = match id {
            ClockId::Monotonic => || clock::now_ns(ClockId::Monotonic),
            ClockId::RealTime => || clock::now_ns(ClockId::RealTime),
            ClockId::BootTime => || clock::now_ns(ClockId::BootTime),
        };
        Self::with_clock(dispatcher, id, now)
    }

    /// As `attach`, with the clock read by `now`: the seam for tests.
    pub(super) fn with_clock(
        dispatcher: &Dispatcher,
        id: ClockId,
        now: fn() -> i64,
    ) -> Result<Arc<Self>> {
        let name = match id {
            ClockId::Monotonic => "hrtimer/monotonic",
            ClockId::RealTime => "hrtimer/realtime",
            ClockId::BootTime => "hrtimer/boottime",
        };
        let base = Arc::new(Self {
            now,
            state: Mutex::default(),
            alarm: Alarm::open(dispatcher, Vector::HrTimer, name, id)?,
            idle: WaitQueue::new(),
            expired: AtomicU64::new(0),
        });
        alarm::attach(&base)?;
        Ok(base)
    }

    pub(super) fn now(&self) -> i64 {
        (self.now)()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No callback runs under the lock, so a panic leaves no half-made change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a place for the timer that `make` then puts together.
    pub(super) fn insert(&self, make: impl FnOnce(Key) -> Inner) -> Arc<Inner> {
        let mut state = self.lock();
        let key = state.queue.insert();
        let timer = Arc::new(make(key));
        if key.index() == state.timers.len() {
            state.timers.push(None);
        }
        state.timers[key.index()] = Some(Arc::clone(&timer));
        timer
    }

    /// Cancels a timer for good, waits for a run that is under way, and gives its place back.
    pub(super) fn remove(&self, key: Key) {
        self.cancel(key);
        let mut state = self.lock();
        state.queue.remove(key);
        if state.running == Some(key) {
            state.run_is_orphan = true;
        }
        let gone = state.timers[key.index()].take();
        drop(state);
        // Not under the lock: what the callback owns may be a timer of this base.
        drop(gone);
    }

    pub(super) fn start(&self, key: Key, expires: i64) {
        let mut state = self.lock();
        state.queue.start(key, expires);
        self.arm(&mut state);
    }

    /// Arms the timerfd if the earliest deadline is earlier than before.
    fn arm(&self, state: &mut State) {
        if state.expiring {
            return;
        }
        let Some(next) = state.queue.first() else { return };
        if state.armed.is_none_or(|armed| next < armed) {
            state.armed = Some(next);
            self.alarm.set(next);
        }
    }

    /// Takes a timer out of the queue and waits for a run that is under way, which cannot restart it. Says
    /// whether it was queued or running.
    pub(super) fn cancel(&self, key: Key) -> bool {
        let is_own_thread = self.alarm.is_own_thread();
        let mut state = self.lock();
        let mut was_active = false;
        loop {
            was_active |= state.queue.cancel(key);
            if state.running != Some(key) {
                return was_active;
            }
            was_active = true;
            state.run_is_last = true;
            if is_own_thread {
                return was_active;
            }
            state.waiters += 1;
            drop(state);
            self.alarm.wait_until(&self.idle, || self.lock().running != Some(key));
            state = self.lock();
            state.waiters -= 1;
        }
    }

    /// As `cancel`, without the wait: `None` if it runs, and nothing was changed.
    pub(super) fn try_cancel(&self, key: Key) -> Option<bool> {
        let mut state = self.lock();
        if state.running == Some(key) { None } else { Some(state.queue.cancel(key)) }
    }

    pub(super) fn is_queued(&self, key: Key) -> bool {
        self.lock().queue.is_queued(key)
    }

    pub(super) fn is_running(&self, key: Key) -> bool {
        self.lock().running == Some(key)
    }

    pub(super) fn expires(&self, key: Key) -> i64 {
        self.lock().queue.expires(key)
    }

    /// `hrtimer_forward`: moves the deadline of a timer that is not queued past `now`, by whole intervals.
    pub(super) fn forward(&self, key: Key, now: i64, interval: i64) -> u64 {
        let mut state = self.lock();
        if state.run_is_orphan {
            // Nobody has the deadline any more; as little as can be was missed.
            return 1;
        }
        let expires = state.queue.expires(key);
        if now < expires || state.queue.is_queued(key) {
            return 0;
        }
        // An interval of nothing would never get past `now`.
        let interval = interval.max(1);
        let overruns = now.saturating_sub(expires) / interval + 1;
        let moved = expires.saturating_add(interval.saturating_mul(overruns));
        state.queue.set_expires(key, moved);
        // CAST: not negative.
        overruns as u64
    }

    /// Runs one callback that has expired, and restarts its timer if it says so.
    fn run<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        timer: Arc<Inner>,
    ) -> MutexGuard<'a, State> {
        let key = timer.key;
        drop(state);
        let restart = timer.run();
        drop(timer);
        self.expired.fetch_add(1, Ordering::Relaxed);
        state = self.lock();
        // Somebody may have started it meanwhile, and then that stands.
        let again = restart == HrTimerRestart::Restart && !state.run_is_last;
        if again && !state.queue.is_queued(key) {
            let expires = state.queue.expires(key);
            state.queue.start(key, expires);
        }
        state.running = None;
        state.run_is_last = false;
        state.run_is_orphan = false;
        if state.waiters > 0 {
            self.idle.wake_all();
        }
        state
    }

    #[cfg(test)]
    pub(super) fn waiters(&self) -> u32 {
        self.lock().waiters
    }

    #[cfg(test)]
    pub(super) fn armed_count(&self) -> u64 {
        self.alarm.sets()
    }

    #[cfg(test)]
    pub(super) fn ring_for_set_clock(&self) {
        self.alarm.ring_for_set_clock();
    }
}

impl Expire for ClockBase {
    fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    fn expire(&self, rang: bool) -> bool {
        let mut state = self.lock();
        if rang {
            state.armed = None;
        }
        state.expiring = true;
        let (mut now, budget) = (self.now(), CycleBudget::start(MAX_TIME));
        let left = loop {
            let Some(first) = state.queue.first() else { break false };
            if first > now {
                now = self.now();
            }
            let Some(timer) = state.pop_expired(now) else { break false };
            state = self.run(state, timer);
            if budget.is_over() {
                break true;
            }
        };
        state.expiring = left;
        self.arm(&mut state);
        left
    }
}

impl fmt::Debug for HrTimerBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HrTimerBase")
            .field("queued", &self.queued())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
