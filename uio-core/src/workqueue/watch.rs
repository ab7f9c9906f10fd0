//! The watchdog: notices workers that sleep without a word or keep a CPU busy, and calls rescuers.
//!
//! It looks only while items wait behind a running worker, or for a worker that is being made, and for a
//! second after that; otherwise it sleeps, and whoever queues such an item wakes it.
//!
//! # Why it does not sleep over anything
//!
//! It says that it is asleep and then looks at every pool once more, under its lock. An item that was queued
//! before that look is seen by it; whoever queues one later finds it asleep and wakes it. The loom model of
//! `doze` holds this.
//!
//! Mirrors `pool_mayday_timeout` and, for `CPU_INTENSIVE_THRESHOLD`, `wq_worker_tick` of
//! `kernel/workqueue.c`.

mod doze;

use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::pool::{Pool, PoolState};
use super::services::Services;
use super::work::At;
use super::worker::Worker;
use crate::kthread;
use crate::sys::sched;
use doze::Doze;

/// How long items wait for a worker before rescuers are called: `MAYDAY_INITIAL_TIMEOUT`.
pub(super) const MAYDAY_INITIAL: Duration = Duration::from_millis(10);
/// How often they are called again: `MAYDAY_INTERVAL`.
const MAYDAY_INTERVAL: Duration = Duration::from_millis(100);
/// Between two looks.
const TICK: Duration = Duration::from_millis(4);
/// How long it goes on looking after there was something to see.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Watch {
    doze: Doze,
    thread: OnceLock<Thread>,
}

/// A worker that has been in one item since the last look.
struct Suspect {
    worker: Arc<Worker>,
    tid: Pid,
    item: u64,
    since: Instant,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { doze: Doze::new(), thread: OnceLock::new() }
    }

    /// There is something to look at. May be called anywhere; mostly it is a load.
    pub(super) fn arm(&self) {
        if self.doze.rouse()
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    #[cfg(test)]
    pub(super) fn is_active(&self) -> bool {
        self.doze.is_awake()
    }

    /// What the watchdog's thread does.
    pub(super) fn run(&self, services: &Services) {
        let _ = self.thread.set(std::thread::current());
        let mut last = Instant::now();
        while !kthread::should_stop() {
            if !self.doze.is_awake() {
                kthread::schedule();
                last = Instant::now();
                continue;
            }
            kthread::schedule_timeout(TICK);
            let now = Instant::now();
            let busy = services.pools().fold(false, |busy, pool| busy | look(&pool, now));
            if busy {
                last = now;
            } else if now - last >= LINGER {
                let needed = |pool: Arc<Pool>| needs_watch(&pool, &pool.lock());
                self.doze.fall_asleep(|| services.pools().any(needed));
            }
        }
    }
}

fn needs_watch(pool: &Pool, state: &PoolState) -> bool {
    let behind = pool.cpu.is_some() && !state.worklist.is_empty() && state.running > 0;
    behind || state.mayday.is_some()
}

/// Looks at one pool. Whether there was something to see.
fn look(pool: &Arc<Pool>, now: Instant) -> bool {
    let mut state = pool.lock();
    if !needs_watch(pool, &state) {
        return false;
    }
    if state.mayday.is_some_and(|due| due <= now) {
        state.mayday = Some(now + MAYDAY_INTERVAL);
        if state.is_stuck() {
            call_rescuers(&state);
        }
    }
    let suspects = suspects(&state, now);
    drop(state);
    for suspect in suspects {
        judge(pool, &suspect, now);
    }
    true
}

/// Asks the rescuer of every queue that has one and waits here.
fn call_rescuers(state: &PoolState) {
    state.worklist.find(|work| {
        if let At::Lane(lane) = &work.place().at {
            lane.shared.call_rescuer(lane);
        }
        false
    });
}

fn suspects(state: &PoolState, now: Instant) -> Vec<Suspect> {
    let counted = state.workers.iter().filter(|worker| worker.is_counted());
    let suspect = counted.filter_map(|worker| {
        let (item, since) = worker.look(now);
        let tid = worker.tid()?;
        (since < now).then(|| Suspect { worker: Arc::clone(worker), tid, item, since })
    });
    suspect.collect()
}

/// Lets others start beside a worker that sleeps, or has been busy for long.
fn judge(pool: &Pool, suspect: &Suspect, now: Instant) {
    let hogs = now - suspect.since >= pool.services.config.cpu_intensive;
    if !hogs && !sched::is_asleep(suspect.tid) {
        return;
    }
    let mut state = pool.lock();
    if !suspect.worker.is_in(suspect.item) {
        return;
    }
    state.leave(&suspect.worker);
    let kick = state.kick();
    drop(state);
    pool.act(kick);
}
