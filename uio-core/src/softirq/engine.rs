//! The bounded loop that runs softirqs, on the dispatcher or in its `ksoftirqd`.
//!
//! A round takes all pending bits and runs their vectors in order of priority; what is raised meanwhile makes
//! another round. After 10 rounds or 2 ms with work left the rest is `ksoftirqd`'s, an ordinary thread that
//! competes with others for the processor, while the dispatcher goes back to its lines.
//!
//! Mirrors `__do_softirq` and `run_ksoftirqd` of `kernel/softirq.c`. While `ksoftirqd` has them the dispatcher
//! leaves softirqs alone, as kernels up to 6.2 do (`ksoftirqd_running`); later ones run them on the next
//! interrupt too, which they can since both are on one processor.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use super::door::Door;
use super::gate::Runner;
use super::napi::PollList;
use super::stats::{Counters, SoftirqStats};
use super::tasklet;
use super::vector::Vector;
use crate::cycles::{CycleBudget, get_cycles};
use crate::irq::{Shared, hold};
use crate::sync::WaitQueue;
#[cfg(not(loom))]
use crate::sync::WaitResult;
use crate::sync::context::{self, Level};
use crate::sync::facade::Snapshot;

/// Rounds before the lines get their turn again: `MAX_SOFTIRQ_RESTART`.
pub(super) const MAX_ROUNDS: usize = 10;
/// Time before the lines get their turn again: `MAX_SOFTIRQ_TIME`.
pub(super) const MAX_TIME: Duration = Duration::from_millis(2);
/// Tasklets of one dispatcher. Each is queued at most once, so the queues never overflow.
pub(super) const MAX_TASKLETS: usize = 1024;
/// How often `ksoftirqd` goes round at the most once the dispatcher has ended.
const LAST_ROUNDS: usize = 10;
/// How often a wait looks whether the dispatcher is still there to wake it.
#[cfg(not(loom))]
const DISPATCHER_CHECK: Duration = Duration::from_millis(100);

pub(super) type Action = Box<dyn Fn() + Send + Sync>;
pub(super) type Member = Arc<dyn Fn() + Send + Sync>;

/// Who a vector belongs to.
enum Owner {
    /// The one who opened it.
    One(Action),
    /// All who joined it.
    Members(Snapshot<Member>),
}

/// What the dispatcher and its `ksoftirqd` share.
pub(super) struct Engine {
    pub(super) door: Arc<Door>,
    pub(super) number: usize,
    owners: [OnceLock<Owner>; Vector::COUNT],
    /// Vectors whose function panicked.
    broken: AtomicU32,
    pub(super) high: ArrayQueue<Arc<tasklet::Inner>>,
    pub(super) normal: ArrayQueue<Arc<tasklet::Inner>>,
    pub(super) polls: PollList,
    pub(super) counters: Counters,
    stop: AtomicBool,
}

impl Deref for Engine {
    type Target = Door;

    fn deref(&self) -> &Door {
        &self.door
    }
}

impl Engine {
    pub(super) fn new(dispatcher: &Arc<Shared>) -> Self {
        Self {
            door: Door::new(dispatcher),
            number: dispatcher.number,
            owners: [const { OnceLock::new() }; Vector::COUNT],
            broken: AtomicU32::new(0),
            high: ArrayQueue::new(MAX_TASKLETS),
            normal: ArrayQueue::new(MAX_TASKLETS),
            polls: PollList::new(),
            counters: Counters::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// Gives `vector` its function; `false` if it has one.
    pub(super) fn open(&self, vector: Vector, action: Action) -> bool {
        self.owners[vector.index()].set(Owner::One(action)).is_ok()
    }

    /// Adds `member` to those of `vector`; `false` if it was opened.
    pub(super) fn join(&self, vector: Vector, member: &Member) -> bool {
        let owner = &self.owners[vector.index()];
        match owner.get_or_init(|| Owner::Members(Snapshot::new())) {
            Owner::One(_) => false,
            Owner::Members(members) => {
                members.update(|members| members.push(Arc::clone(member)));
                true
            }
        }
    }

    /// Whether somebody has joined `vector`.
    pub(super) fn is_shared(&self, vector: Vector) -> bool {
        matches!(self.owners[vector.index()].get(), Some(Owner::Members(_)))
    }

    /// Whether `vector` has a function.
    pub(super) fn is_open(&self, vector: Vector) -> bool {
        self.owners[vector.index()].get().is_some()
    }

    /// Whether the caller is the dispatcher or runs its softirqs: it cannot wait for them.
    pub(super) fn is_own_thread(&self) -> bool {
        self.runs_here()
            || self.dispatcher.upgrade().is_some_and(|dispatcher| dispatcher.is_current_thread())
    }

    /// Whether somebody is there to run what is raised.
    #[cfg(not(loom))]
    fn is_served(&self) -> bool {
        self.dispatcher.strong_count() > 0 || self.gate.is_handed_over()
    }

    /// Waits on `queue`, which those who run softirqs wake, until `over` or nobody is there to bring it about.
    #[cfg(not(loom))]
    pub(super) fn wait_until(&self, queue: &WaitQueue, over: impl Fn() -> bool) {
        let over = || over() || !self.is_served();
        while queue.wait_until_timeout(DISPATCHER_CHECK, over) == WaitResult::TimedOut {}
    }

    #[cfg(loom)]
    pub(super) fn wait_until(&self, queue: &WaitQueue, over: impl Fn() -> bool) {
        queue.wait_until(over);
    }

    pub(super) fn raise(&self, vector: Vector) {
        if self.runs_here() {
            // The loop looks before it ends; no wake-up is needed.
            self.gate.raise_here(vector.bit());
        } else {
            self.follow(self.gate.raise(vector.bit()));
        }
    }

    /// Runs what is pending, within the bounds. Runs on the dispatcher only. Whether it is to come back.
    pub(super) fn run_on_dispatcher(&self) -> bool {
        if !self.gate.is_pending() || !self.gate.begin(Runner::Dispatcher) {
            return false;
        }
        let left = self.run();
        let hand_over = left && self.daemon.get().is_some();
        if hand_over {
            self.counters.handed_over();
        }
        self.end(hand_over);
        if hand_over {
            self.wake_daemon();
        }
        left && !hand_over
    }

    /// Whether work is left.
    fn run(&self) -> bool {
        let _running = (self.enter(), context::enter(Level::Softirq));
        self.round();
        if !self.gate.is_pending() {
            return false;
        }
        // The counter, not the clock: asking that may be a system call.
        let budget = CycleBudget::start(MAX_TIME);
        for _ in 1..MAX_ROUNDS {
            self.round();
            if !self.gate.is_pending() || budget.is_over() {
                break;
            }
        }
        self.gate.is_pending()
    }

    fn end(&self, hand_over: bool) {
        if self.gate.end(hand_over) {
            self.idle.wake_all();
        }
    }

    fn round(&self) {
        let pending = self.gate.take() & !self.broken.load(Ordering::Relaxed);
        for vector in Vector::ALL.into_iter().filter(|vector| pending & vector.bit() != 0) {
            let start = get_cycles();
            if catch_unwind(AssertUnwindSafe(|| self.act(vector))).is_err() {
                tracing::error!(vector = vector.name(), "a softirq panicked; it is not run again");
                self.broken.fetch_or(vector.bit(), Ordering::Relaxed);
            }
            self.counters.ran(vector, get_cycles().wrapping_sub(start));
        }
    }

    fn act(&self, vector: Vector) {
        match vector {
            Vector::Hi => run_tasklets(&self.high),
            Vector::Tasklet => run_tasklets(&self.normal),
            Vector::NetRx if self.polls.is_used() => {
                if self.polls.run(&self.counters) {
                    self.gate.raise_here(Vector::NetRx.bit());
                }
            }
            _ => match self.owners[vector.index()].get() {
                Some(Owner::One(action)) => action(),
                Some(Owner::Members(members)) => {
                    members.read(|members| members.iter().for_each(|member| member()));
                }
                None => {}
            },
        }
    }

    /// What was done, and how things stand.
    pub(super) fn stats(&self) -> SoftirqStats {
        let mut stats = self.counters.read();
        stats.dispatcher = self.number;
        stats.is_handed_over = self.gate.is_handed_over();
        let (pending, broken) = (self.gate.pending(), self.broken.load(Ordering::Relaxed));
        for (stats, vector) in stats.vectors.iter_mut().zip(Vector::ALL) {
            stats.is_pending = pending & vector.bit() != 0;
            stats.is_broken = broken & vector.bit() != 0;
        }
        stats
    }

    /// The thread `ksoftirqd/N`.
    pub(super) fn daemon(&self) {
        // The starter may not have stored it yet; both store the same.
        self.set_daemon(thread::current());
        hold::belong_to(&self.dispatcher);
        while !self.stop.load(Ordering::Acquire) {
            if self.gate.is_daemons_turn() {
                self.take_over();
            } else {
                thread::park();
            }
        }
    }

    pub(super) fn set_daemon(&self, thread: Thread) {
        let _ = self.daemon.set(thread);
    }

    pub(super) fn stop_daemon(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake_daemon();
    }

    /// Runs softirqs until none is pending, then hands back.
    fn take_over(&self) {
        let mut last_rounds = LAST_ROUNDS;
        while self.gate.is_pending() && last_rounds > 0 {
            if !self.gate.begin(Runner::Daemon) {
                // Disabled: whoever enables them wakes this thread.
                return;
            }
            self.run();
            self.counters.daemon_turn();
            self.end(false);
            if self.dispatcher.strong_count() == 0 {
                last_rounds -= 1;
            }
            // Others may want this processor: `cond_resched`.
            thread::yield_now();
        }
        self.follow(self.gate.hand_back());
    }
}

/// Runs what is queued now; what is queued meanwhile waits for the next round.
fn run_tasklets(queue: &ArrayQueue<Arc<tasklet::Inner>>) {
    for _ in 0..queue.len() {
        if let Some(tasklet) = queue.pop() {
            tasklet.run();
        }
    }
}
