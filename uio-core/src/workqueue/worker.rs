//! A worker: takes items, runs them, sleeps when there are none, and says when it sleeps inside of one.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

use nix::unistd::{Pid, gettid};

use super::lane::Lane;
use super::pool::{Creation, Kick, Pool, PoolState, Run};
use super::queue::Shared;
use super::work::{Inner, Work};
use crate::sync::sleep::{self, Transition};
use crate::sys::sched::{self, CpuSet, Scheduler};

/// The nice value of workers of high priority: `HIGHPRI_NICE_LEVEL`.
const HIGH_NICE: i8 = -20;

pub(super) struct Worker {
    pub(super) id: usize,
    thread: OnceLock<Thread>,
    tid: OnceLock<Pid>,
    /// It was taken off the idle list and is to look for work.
    signal: AtomicBool,
    /// Changed under the pool's lock, as `resume` is: it counts as running.
    counted: AtomicBool,
    /// It was counted when it fell asleep, and is again when it wakes.
    resume: AtomicBool,
    /// How many sleeps it is in, one inside the other.
    asleep: AtomicU32,
    /// Items that it has started.
    items: AtomicU64,
    /// What the watchdog saw: an item, and since when.
    seen: Mutex<(u64, Option<Instant>)>,
}

/// What runs on the calling thread.
struct Current {
    /// None on a rescuer, whom nobody counts.
    worker: Option<Arc<Worker>>,
    run: Run,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// How a worker gets to its items.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Born,
    Woken,
}

impl Worker {
    pub(super) fn new(id: usize) -> Arc<Self> {
        Arc::new(Self {
            id,
            thread: OnceLock::new(),
            tid: OnceLock::new(),
            signal: AtomicBool::new(false),
            counted: AtomicBool::new(false),
            resume: AtomicBool::new(false),
            asleep: AtomicU32::new(0),
            items: AtomicU64::new(0),
            seen: Mutex::new((0, None)),
        })
    }

    pub(super) fn signal(&self) {
        // Pairs with the swap in `wait_for_work`.
        self.signal.store(true, Ordering::Release);
    }

    pub(super) fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn begin(&self, counted: bool) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.counted.store(counted, Ordering::Relaxed);
    }

    /// From now on it does not count. Whether it did.
    pub(super) fn uncount(&self) -> bool {
        self.resume.store(false, Ordering::Relaxed);
        self.counted.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed)
    }

    pub(super) fn tid(&self) -> Option<Pid> {
        self.tid.get().copied()
    }

    /// For the watchdog: the item that it is in, and since when it was seen there.
    pub(super) fn look(&self, now: Instant) -> (u64, Instant) {
        let mut seen = self.seen.lock().unwrap();
        let item = self.items.load(Ordering::Relaxed);
        match *seen {
            (same, Some(since)) if same == item => (item, since),
            _ => {
                *seen = (item, Some(now));
                (item, now)
            }
        }
    }

    pub(super) fn is_in(&self, item: u64) -> bool {
        self.is_counted() && self.items.load(Ordering::Relaxed) == item
    }
}

/// What a worker's thread does.
pub(super) fn life(pool: &Arc<Pool>, this: &Arc<Worker>) {
    let _ = this.thread.set(thread::current());
    let _ = this.tid.set(gettid());
    sleep::install(on_sleep);
    settle(pool);
    let mut arrival = Arrival::Born;
    loop {
        work_off(pool, this, arrival);
        if !wait_for_work(pool, this) {
            return;
        }
        arrival = Arrival::Woken;
    }
}

/// Goes where the pool's workers run, as well as the process may.
fn settle(pool: &Pool) {
    let this = Pid::from_raw(0);
    if pool.high
        && let Err(errno) = sched::set_scheduler(gettid(), Scheduler::Other { nice: HIGH_NICE })
    {
        tracing::debug!(pool = %pool.label, %errno, "workers of high priority run as all others");
    }
    if let Some(cpu) = pool.cpu
        && let Err(errno) = CpuSet::of([cpu]).and_then(|cpus| sched::set_affinity(this, &cpus))
    {
        tracing::debug!(pool = %pool.label, %errno, "workers are bound to no CPU");
    }
}

/// Runs items until there are none, or others run.
fn work_off(pool: &Arc<Pool>, this: &Arc<Worker>, arrival: Arrival) {
    let mut state = pool.lock();
    match arrival {
        Arrival::Born => {
            state.creation = Creation::None;
            state.mayday = None;
        }
        Arrival::Woken => state.coming = false,
    }
    let mut quiet: Option<Run> = None;
    loop {
        let next = state.take(this, pool.cpu.is_some());
        let kicks = if next.is_some() {
            [state.kick(), state.keep_reserve()]
        } else {
            if !pool.is_stopping() {
                state.idle.push(Arc::clone(this));
            }
            [Kick::Nothing, Kick::Nothing]
        };
        drop(state);
        kicks.into_iter().for_each(|kick| pool.act(kick));
        if let Some(run) = quiet.take() {
            run.lane.shared.idle.wake_all();
        }
        let Some(run) = next else { return };
        let run = execute(Some(this), run);
        state = pool.lock();
        state.leave(this);
        // Whoever waits for the queue is woken when the pool is unlocked.
        quiet = run.lane.retire(&mut state, run.color).then_some(run);
    }
}

/// Sleeps until it is signalled. `false`: it is to end.
fn wait_for_work(pool: &Pool, this: &Arc<Worker>) -> bool {
    let timeout = pool.services.config.idle_timeout;
    let mut since = Instant::now();
    loop {
        if pool.is_stopping() {
            return false;
        }
        // Pairs with the store in `signal`.
        if this.signal.swap(false, Ordering::AcqRel) {
            return true;
        }
        thread::park_timeout(timeout.saturating_sub(since.elapsed()));
        if since.elapsed() >= timeout {
            if go(&mut pool.lock(), this) {
                return false;
            }
            since = Instant::now();
        }
    }
}

/// Leaves the pool, if it has been idle for long and others are.
fn go(state: &mut PoolState, this: &Arc<Worker>) -> bool {
    let idle = !this.signal.load(Ordering::Acquire);
    let goes = idle && state.too_many();
    if goes {
        state.idle.retain(|worker| !Arc::ptr_eq(worker, this));
        state.workers.retain(|worker| !Arc::ptr_eq(worker, this));
    }
    goes
}

/// Runs an item that was started, and ends the run. Only its lane is owed something afterwards.
pub(super) fn execute(worker: Option<&Arc<Worker>>, run: Run) -> Run {
    let item = Arc::clone(&run.work.item);
    CURRENT.set(Some(Current { worker: worker.cloned(), run }));
    let panicked = catch_unwind(AssertUnwindSafe(|| item.run())).is_err();
    // PANIC: it was put there above, and nobody else takes it.
    let Current { run, .. } = CURRENT.take().expect("what runs stays until it has run");
    let work = &run.work;
    if panicked {
        tracing::error!(work = %work.name, "a work item panicked");
    }
    if work.state.finish() {
        work.put_back();
    }
    work.idle.wake_all();
    run
}

/// The sleeping primitives of this crate call this on workers.
fn on_sleep(transition: Transition) {
    // A thread that ends has nothing to count.
    let _ = CURRENT.try_with(|current| {
        let current = current.borrow();
        if let Some(Current { worker: Some(worker), run }) = &*current {
            match transition {
                Transition::Sleeps => fall_asleep(worker, &run.lane),
                Transition::Wakes => wake_up(worker, &run.lane),
            }
        }
    });
}

/// The kernel's `wq_worker_sleeping`.
fn fall_asleep(worker: &Worker, lane: &Lane) {
    if worker.asleep.fetch_add(1, Ordering::Relaxed) != 0 {
        return;
    }
    let pool = &lane.pool;
    let mut state = pool.lock();
    let counted = worker.uncount();
    worker.resume.store(counted, Ordering::Relaxed);
    state.running -= usize::from(counted);
    let kick = state.kick();
    drop(state);
    pool.act(kick);
}

/// The kernel's `wq_worker_running`.
fn wake_up(worker: &Worker, lane: &Lane) {
    if worker.asleep.fetch_sub(1, Ordering::Relaxed) != 1 {
        return;
    }
    let mut state = lane.pool.lock();
    if worker.resume.swap(false, Ordering::Relaxed) {
        worker.counted.store(true, Ordering::Relaxed);
        state.running += 1;
    }
}

/// Whether the caller is the run of `work`.
pub(super) fn is_current(work: &Arc<Inner>) -> bool {
    with_current(|run| Arc::ptr_eq(&run.work, work)).unwrap_or(false)
}

/// Whether the caller is an item of the queue.
pub(super) fn is_item_of(queue: &Arc<Shared>) -> bool {
    with_current(|run| Arc::ptr_eq(&run.lane.shared, queue)).unwrap_or(false)
}

fn with_current<R>(f: impl FnOnce(&Run) -> R) -> Option<R> {
    CURRENT
        .try_with(|current| current.borrow().as_ref().map(|current| f(&current.run)))
        .ok()
        .flatten()
}

/// The item that runs on the calling thread: how an item queues itself again.
pub fn current_work() -> Option<Work> {
    with_current(|run| Work { inner: Arc::clone(&run.work) })
}

/// Calls `f`, which may sleep for long in ways that this crate does not see: a system call, a lock of
/// `std`, a process. Meanwhile another worker runs what waits.
///
/// What sleeps through [`WaitQueue`](crate::sync::WaitQueue) and other primitives of this crate needs no such
/// call, and a sleep without it is noticed after some milliseconds. Outside of an item it just calls `f`.
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    let _asleep = sleep::sleeping();
    f()
}
