//! [`Pool`]: the workers of one CPU, or of none, and the items that wait for them.
//!
//! # Who runs how many
//!
//! A bound pool keeps one worker *running*: the next starts when that one sleeps. A worker that sleeps in an
//! item, or whose item is CPU-intensive, is not *counted*. An unbound pool counts nobody, so that every item
//! gets a worker at once.
//!
//! Of those that are needed, only one is on its way at a time (`coming`); it wakes the next when it takes an
//! item and more are needed. So a burst wakes once. A worker that starts to work with no idle one behind
//! it has one made, so that there is somebody to take over when it sleeps.
//!
//! Mirrors `struct worker_pool`, `need_more_worker`, `keep_working` and `too_many_workers` of
//! `kernel/workqueue.c`.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::lane::Lane;
use super::list::{List, On};
use super::services::Services;
use super::state::Start;
use super::work::{At, Inner};
use super::worker::Worker;
use crate::sync::facade::atomic::{AtomicBool, AtomicU64, Ordering};

/// Idle workers that a pool always keeps.
const MIN_IDLE: usize = 2;
/// Beyond those, one idle worker is kept for so many busy ones.
const BUSY_PER_IDLE: usize = 4;

pub(super) struct Pool {
    /// The CPU that its workers are bound to.
    pub(super) cpu: Option<usize>,
    pub(super) high: bool,
    /// What tells its workers from others, as in `kworker/0:1` and `kworker/u2:0`.
    pub(super) label: String,
    pub(super) services: Arc<Services>,
    state: Mutex<PoolState>,
    /// Set under the lock.
    stopping: AtomicBool,
    /// Times that a worker was woken. For tests and statistics.
    pub(super) wakes: AtomicU64,
}

#[derive(Default)]
pub(super) struct PoolState {
    pub(super) worklist: List,
    /// Those that sleep, the last to fall asleep at the end.
    pub(super) idle: Vec<Arc<Worker>>,
    pub(super) workers: Vec<Arc<Worker>>,
    /// Workers that are counted: in an item, awake as far as is known, and not CPU-intensive.
    pub(super) running: usize,
    /// A worker was woken and has not looked yet.
    pub(super) coming: bool,
    pub(super) creation: Creation,
    /// When the rescuers are called, if no worker has come by then.
    pub(super) mayday: Option<Instant>,
}

/// How far a new worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Creation {
    #[default]
    None,
    Wanted,
    UnderWay,
}

/// What is to be done once the pool is unlocked.
#[must_use]
pub(super) enum Kick {
    Nothing,
    Wake(Arc<Worker>),
    Create,
    /// Items wait behind a worker that is believed to run.
    Watch,
}

/// An item that a worker has taken, and owes its lane.
pub(super) struct Run {
    pub(super) work: Arc<Inner>,
    pub(super) lane: Arc<Lane>,
    pub(super) color: usize,
}

impl Pool {
    pub(super) fn new(
        cpu: Option<usize>,
        high: bool,
        label: String,
        services: &Arc<Services>,
    ) -> Arc<Self> {
        Arc::new(Self {
            cpu,
            high,
            label,
            services: Arc::clone(services),
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
            wakes: AtomicU64::new(0),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap()
    }

    /// Does what a [`PoolState::kick`] found necessary.
    pub(super) fn act(&self, kick: Kick) {
        match kick {
            Kick::Nothing => {}
            Kick::Wake(worker) => {
                self.wakes.fetch_add(1, Ordering::Relaxed);
                worker.unpark();
            }
            Kick::Create => self.services.request_worker(),
            Kick::Watch => self.services.watch.arm(),
        }
    }

    /// Tells every worker to end when there is nothing left to do.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        self.stopping.store(true, Ordering::Release);
        let idle = std::mem::take(&mut state.idle);
        idle.iter().for_each(|worker| worker.signal());
        drop(state);
        idle.iter().for_each(|worker| worker.unpark());
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

impl PoolState {
    /// Finds out whether another worker has to start.
    pub(super) fn kick(&mut self) -> Kick {
        if self.worklist.is_empty() || self.coming {
            return Kick::Nothing;
        }
        if self.running > 0 {
            return Kick::Watch;
        }
        match self.idle.pop() {
            Some(worker) => {
                self.coming = true;
                worker.signal();
                Kick::Wake(worker)
            }
            None => self.want_worker(),
        }
    }

    fn want_worker(&mut self) -> Kick {
        if self.creation != Creation::None {
            return Kick::Nothing;
        }
        self.creation = Creation::Wanted;
        Kick::Create
    }

    /// Sees to it that there is a worker without an item behind one that starts to work.
    pub(super) fn keep_reserve(&mut self) -> Kick {
        let reserve = self.coming || !self.idle.is_empty();
        if reserve { Kick::Nothing } else { self.want_worker() }
    }

    /// Whether items wait, and nobody is there or comes to run them.
    pub(super) fn is_stuck(&self) -> bool {
        !self.worklist.is_empty() && self.running == 0 && !self.coming && self.idle.is_empty()
    }

    /// The next item for `worker`, unless others run already.
    pub(super) fn take(&mut self, worker: &Worker, bound: bool) -> Option<Run> {
        while self.running == 0 {
            let work = self.worklist.pop_front()?;
            if let Some(run) = start(work) {
                let counted = bound && !run.lane.shared.is_cpu_intensive();
                worker.begin(counted);
                self.running += usize::from(counted);
                return Some(run);
            }
        }
        None
    }

    /// The next item of `lane`, for its rescuer.
    pub(super) fn take_of(&mut self, lane: &Arc<Lane>) -> Option<Run> {
        loop {
            let work = self
                .worklist
                .find(|work| matches!(&work.place().at, At::Lane(of) if Arc::ptr_eq(of, lane)))?;
            self.worklist.remove(&work);
            if let Some(run) = start(work) {
                return Some(run);
            }
        }
    }

    /// `worker` is done with its item.
    pub(super) fn leave(&mut self, worker: &Worker) {
        if worker.uncount() {
            self.running -= 1;
        }
    }

    /// Whether a worker that was idle for long may go.
    pub(super) fn too_many(&self) -> bool {
        let (idle, all) = (self.idle.len(), self.workers.len());
        idle > MIN_IDLE && (idle - MIN_IDLE) * BUSY_PER_IDLE >= all - idle
    }

    /// The lowest number that no worker has.
    pub(super) fn free_id(&self) -> usize {
        let taken = |id: &usize| self.workers.iter().any(|worker| worker.id == *id);
        // PANIC: not reached; the workers are fewer than the numbers.
        (0..).find(|id| !taken(id)).expect("there is a number left")
    }
}

/// Starts an item that was taken off the worklist, or sets it aside if it runs elsewhere.
fn start(work: Arc<Inner>) -> Option<Run> {
    let mut place = work.place();
    if work.state.start() == Start::SetAside {
        work.links().on = On::SetAside;
        return None;
    }
    let color = place.color;
    place.started = place.instance;
    let At::Lane(lane) = std::mem::replace(&mut place.at, At::Nowhere) else {
        // PANIC: an item is put on a worklist by its lane, under the lock that is held here.
        unreachable!("an item on a worklist has its lane");
    };
    drop(place);
    Some(Run { work, lane, color })
}
