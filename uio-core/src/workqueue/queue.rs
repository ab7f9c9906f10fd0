//! [`Workqueue`]: a queue of items, its flags, and what can be done to all of its items.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;

use super::builder::Builder;
use super::flags::{Queued, WqFlags};
use super::lane::Lane;
use super::pools::Pools;
use super::state::Entry;
use super::work::{At, Inner, Work};
use super::{timer, worker};
use crate::error::Result;
use crate::kthread::Kthread;
use crate::sync::WaitQueue;
use crate::sync::context::might_sleep;
use crate::sync::facade::atomic::{AtomicUsize, Ordering};

/// How often a drain looks before it reports that the queue does not get empty.
const DRAIN_REPORT: u32 = 10;

/// A queue of items of work: a domain for flushing, priority and progress; the threads belong to pools.
///
/// Dropping it drains it. Items that are on a timer then are refused when it expires; cancel them first.
#[doc(alias = "workqueue_struct")]
pub struct Workqueue {
    pub(super) queue: Arc<Queue>,
    pub(super) rescuer: Option<Kthread>,
}

/// What a queue's lanes know of it.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) flags: WqFlags,
    /// Woken when a lane may be flushed or idle.
    pub(super) idle: WaitQueue,
    /// Drains that are under way, and the final one. Set before the lanes are looked at.
    closed: AtomicUsize,
    pub(super) rescuer: OnceLock<Thread>,
    /// Lanes that wait for the rescuer.
    pub(super) maydays: Mutex<Vec<Arc<Lane>>>,
}

pub(super) struct Queue {
    pub(super) shared: Arc<Shared>,
    pub(super) lanes: Vec<Arc<Lane>>,
    max_active: usize,
    pools: Arc<Pools>,
    /// Held by the one flush that is under way.
    flushing: Mutex<()>,
}

impl Workqueue {
    /// Starts to make a queue called `name`: the kernel's `alloc_workqueue`.
    #[doc(alias = "alloc_workqueue")]
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    /// A queue whose items run one at a time, in the order in which they were queued.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::build`].
    #[doc(alias = "alloc_ordered_workqueue")]
    #[doc(alias = "create_singlethread_workqueue")]
    pub fn ordered(name: impl Into<String>) -> Result<Self> {
        Self::builder(name).ordered().build()
    }

    /// Queues `work`; the CPU of the caller runs it, unless the queue is unbound.
    ///
    /// May be called anywhere. It allocates nothing, and wakes at most one thread.
    #[doc(alias = "queue_work")]
    pub fn enqueue(&self, work: &Work) -> Queued {
        self.queue.enqueue(&work.inner, None)
    }

    /// As [`enqueue`](Self::enqueue), for the CPU with that number. Without meaning for an unbound queue; if the
    /// process may not use that CPU, another one runs it.
    #[doc(alias = "queue_work_on")]
    pub fn enqueue_on(&self, cpu: usize, work: &Work) -> Queued {
        self.queue.enqueue(&work.inner, Some(cpu))
    }

    /// Calls `f` once, on a worker. Allocates an item for it.
    pub fn spawn(&self, f: impl FnOnce() + Send + 'static) -> Queued {
        let once = Mutex::new(Some(f));
        let item = move || {
            let f = once.lock().unwrap().take();
            if let Some(f) = f {
                f();
            }
        };
        self.enqueue(&Work::new(self.name(), Arc::new(item)))
    }

    /// Waits until every item that is queued now has run or is cancelled; not for what is queued meanwhile,
    /// nor for what is on a timer. Called by one of its items, it does not wait.
    #[doc(alias = "flush_workqueue")]
    pub fn flush(&self) {
        might_sleep();
        if self.is_own_item("flushed") {
            return;
        }
        self.queue.flush();
    }

    /// Waits until the queue is empty. Until then only its own items may queue further items on it; requests
    /// of others are refused. Called by one of its items, it does not wait.
    #[doc(alias = "drain_workqueue")]
    pub fn drain(&self) {
        might_sleep();
        if self.is_own_item("drained") {
            return;
        }
        self.queue.shared.closed.fetch_add(1, Ordering::SeqCst);
        self.queue.drain();
        self.queue.shared.closed.fetch_sub(1, Ordering::SeqCst);
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.queue.shared.name
    }

    fn is_own_item(&self, done: &str) -> bool {
        let own = worker::is_item_of(&self.queue.shared);
        if own {
            tracing::error!(queue = self.name(), "a work queue is {done} by its item; not waiting");
        }
        own
    }
}

impl Shared {
    pub(super) fn new(name: String, flags: WqFlags, lanes: usize) -> Self {
        Self {
            name,
            flags,
            idle: WaitQueue::new(),
            closed: AtomicUsize::new(0),
            rescuer: OnceLock::new(),
            // Under pressure there is no memory to have it grow.
            maydays: Mutex::new(Vec::with_capacity(lanes)),
        }
    }

    pub(super) fn is_cpu_intensive(&self) -> bool {
        self.flags.contains(WqFlags::CPU_INTENSIVE)
    }

    /// Whether the caller may not queue items: the queue drains, and it is not one of its items.
    fn refuses(self: &Arc<Self>) -> bool {
        self.closed.load(Ordering::SeqCst) != 0 && !worker::is_item_of(self)
    }

    fn report_refusal(&self, work: &Inner) {
        tracing::warn!(queue = %self.name, work = %work.name, "queued while the queue is drained");
    }
}

impl Queue {
    pub(super) fn new(
        shared: Arc<Shared>,
        lanes: Vec<Arc<Lane>>,
        max_active: usize,
        pools: Arc<Pools>,
    ) -> Arc<Self> {
        Arc::new(Self { shared, lanes, max_active, pools, flushing: Mutex::new(()) })
    }

    fn lane(&self, cpu: Option<usize>) -> &Arc<Lane> {
        match &*self.lanes {
            [only] => only,
            lanes => &lanes[self.pools.lane_index(cpu)],
        }
    }

    pub(super) fn enqueue(&self, work: &Arc<Inner>, cpu: Option<usize>) -> Queued {
        if work.state.merge() {
            return Queued::AlreadyPending;
        }
        let lane = self.lane(cpu);
        let mut pool = lane.pool.lock();
        if self.shared.refuses() {
            drop(pool);
            self.shared.report_refusal(work);
            return Queued::Refused;
        }
        let mut place = work.place();
        match work.enter(&mut place) {
            Entry::Won => lane.admit(&mut pool, work, &mut place),
            Entry::Pending => return Queued::AlreadyPending,
            Entry::Disabled => return Queued::Refused,
        }
        drop(place);
        let kick = pool.kick();
        drop(pool);
        lane.pool.act(kick);
        Queued::New
    }

    /// Queues an item whose time has come, unless it was cancelled or put off meanwhile.
    pub(super) fn enqueue_expired(
        &self,
        work: &Arc<Inner>,
        cpu: Option<usize>,
        is_due: impl Fn(&At) -> bool,
    ) {
        let lane = self.lane(cpu);
        let mut pool = lane.pool.lock();
        let mut place = work.place();
        if !is_due(&place.at) {
            return;
        }
        timer::disarm(work.timer());
        // Freed below, where no lock is held: it may be the last handle on the queue.
        let refused = self.shared.refuses();
        let before = if refused {
            work.forget(&mut place)
        } else {
            let before = std::mem::replace(&mut place.at, At::Nowhere);
            lane.admit(&mut pool, work, &mut place);
            before
        };
        drop(place);
        let kick = pool.kick();
        drop(pool);
        lane.pool.act(kick);
        if refused {
            self.shared.report_refusal(work);
            work.idle.wake_all();
        }
        drop(before);
    }

    fn flush(&self) {
        let _turn = worker::blocking(|| self.flushing.lock().unwrap());
        let lanes: Vec<_> = self.lanes.iter().map(|lane| (lane, lane.turn_color())).collect();
        self.shared.idle.wait_until(|| lanes.iter().all(|(lane, color)| lane.is_flushed(*color)));
    }

    /// Flushes until it is empty: as often as its items queue others in a chain.
    fn drain(&self) {
        let mut rounds = 0;
        loop {
            self.flush();
            if self.lanes.iter().all(|lane| lane.is_empty()) {
                return;
            }
            rounds += 1;
            if rounds == DRAIN_REPORT {
                tracing::warn!(queue = %self.shared.name, "a drain is not complete after {rounds} tries");
            }
        }
    }

    pub(super) fn is_freezable(&self) -> bool {
        self.shared.flags.contains(WqFlags::FREEZABLE)
    }

    pub(super) fn set_frozen(&self, frozen: bool) {
        if self.is_freezable() {
            let limit = if frozen { 0 } else { self.max_active };
            self.lanes.iter().for_each(|lane| lane.set_limit(limit));
        }
    }

    /// Waits until no item is active: all that remain are held back.
    pub(super) fn wait_until_idle(&self) {
        self.shared.idle.wait_until(|| self.lanes.iter().all(|lane| lane.is_idle()));
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            might_sleep();
        }
        self.queue.shared.closed.fetch_add(1, Ordering::SeqCst);
        if !self.is_own_item("dropped") {
            self.queue.drain();
        }
    }
}

impl fmt::Debug for Workqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workqueue")
            .field("name", &self.name())
            .field("flags", &self.queue.shared.flags)
            .field("max_active", &self.queue.max_active)
            .field("rescuer", &self.rescuer)
            .finish_non_exhaustive()
    }
}
