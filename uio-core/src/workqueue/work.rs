//! [`Work`]: an item of work, and what can be done to it wherever it is.
//!
//! # Where an item is
//!
//! Its *place* says it: nowhere, on a timer, or with a lane (see [`lane`](super::lane)). *Pending* in the
//! state word and the place change together, under the lock of the place; so whoever finds an item pending
//! finds where it is, and can take it away, without waiting for anybody in between.
//!
//! # Instances
//!
//! Each time an item becomes pending it gets the next number. A flush waits until the number that was the
//! last when it began is neither pending nor running; an item that queues itself again does not hold it up.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use super::lane::Lane;
use super::list::{Links, On};
use super::pool::Kick;
use super::queue::Queue;
use super::state::{Entry, State};
use super::{system, timer, worker};
use crate::sync::WaitQueue;
use crate::sync::context::might_sleep;
use crate::time::Jiffies;
use crate::time::wheel::Key;

/// What a driver implements to have work done for it.
pub trait WorkItem: Send + Sync {
    /// Does the work, on a worker: it may sleep. Never runs beside itself for one [`Work`].
    fn run(self: Arc<Self>);
}

impl<F: Fn() + Send + Sync> WorkItem for F {
    fn run(self: Arc<Self>) {
        self();
    }
}

/// An item of work: a name and what to do.
///
/// It is a handle: clones are the same item. Dropping the last one does not cancel it; what is queued runs,
/// and is freed then. The item must not own its own `Work`, or neither is ever freed: one that queues
/// itself asks for [`current_work`](super::current_work).
#[derive(Clone)]
#[doc(alias = "work_struct")]
pub struct Work {
    pub(super) inner: Arc<Inner>,
}

/// Where a pending item is.
pub(super) enum At {
    Nowhere,
    /// On its timer until `expires` is over, then it is queued.
    Timer {
        queue: Arc<Queue>,
        cpu: Option<usize>,
        expires: Jiffies,
    },
    /// On one of the lane's lists, or set aside: its links say which.
    Lane(Arc<Lane>),
}

pub(super) struct Place {
    pub(super) at: At,
    /// The number of the instance that became pending last.
    pub(super) instance: u64,
    /// The number of the instance that started last.
    pub(super) started: u64,
    /// Which of the lane's two counters it is counted in.
    pub(super) color: usize,
}

pub(super) struct Inner {
    pub(super) name: String,
    pub(super) item: Arc<dyn WorkItem>,
    pub(super) state: State,
    place: Mutex<Place>,
    links: Mutex<Links>,
    /// Woken when a run ends, and when it is cancelled.
    pub(super) idle: WaitQueue,
    /// Its timer, if it is delayed work.
    timer: Option<Key>,
}

impl Work {
    /// An item that is not queued.
    #[doc(alias = "INIT_WORK")]
    pub fn new(name: impl Into<String>, item: Arc<impl WorkItem + 'static>) -> Self {
        system::prepare();
        Self { inner: Inner::new(name.into(), item, None) }
    }

    /// Takes the item off its queue. `true` if it was pending and now will not run for it.
    ///
    /// Does not wait for a run that is under way. May be called anywhere.
    #[doc(alias = "cancel_work")]
    pub fn cancel(&self) -> bool {
        self.inner.cancel()
    }

    /// As [`cancel`](Self::cancel), and waits for a run that is under way.
    ///
    /// When it returns, the item is neither pending nor running, even if it queues itself: requests made
    /// meanwhile are refused. Called by the item itself, it does not wait.
    #[doc(alias = "cancel_work_sync")]
    pub fn cancel_sync(&self) -> bool {
        let was_pending = self.disable_sync();
        self.enable();
        was_pending
    }

    /// Cancels the item and refuses requests until the matching [`enable`](Self::enable). Nests. `true` if
    /// it was pending.
    #[doc(alias = "disable_work")]
    pub fn disable(&self) -> bool {
        self.inner.state.disable();
        self.inner.cancel()
    }

    /// As [`disable`](Self::disable), and waits for a run that is under way.
    #[doc(alias = "disable_work_sync")]
    pub fn disable_sync(&self) -> bool {
        might_sleep();
        let was_pending = self.disable();
        if !worker::is_current(&self.inner) {
            self.inner.idle.wait_until(|| !self.inner.state.is_running());
        }
        was_pending
    }

    /// Undoes one [`disable`](Self::disable). `true` if the item can be queued again; requests made
    /// meanwhile are not made up for.
    ///
    /// # Panics
    ///
    /// If it is not disabled, which is a bug of the driver.
    #[doc(alias = "enable_work")]
    pub fn enable(&self) -> bool {
        let enabled = self.inner.state.enable();
        // PANIC: documented.
        enabled.unwrap_or_else(|| panic!("work {} enabled without a disable", self.inner.name))
    }

    /// Waits until the last instance that was queued has run or is cancelled. `false` if there was nothing
    /// to wait for.
    ///
    /// What is queued meanwhile is not waited for. Called by the item itself, it does not wait.
    #[doc(alias = "flush_work")]
    pub fn flush(&self) -> bool {
        might_sleep();
        let inner = &self.inner;
        let last = inner.place().instance;
        if !inner.is_busy_with(last) {
            return false;
        }
        if worker::is_current(inner) {
            tracing::error!(work = %inner.name, "a work item waits for itself; not waiting");
            return false;
        }
        inner.idle.wait_until(|| !inner.is_busy_with(last));
        true
    }

    /// Whether it waits for its turn, or for its delay to be over.
    #[doc(alias = "work_pending")]
    pub fn is_pending(&self) -> bool {
        self.inner.state.is_pending()
    }

    /// Whether its function is on a worker.
    #[doc(alias = "work_busy")]
    pub fn is_running(&self) -> bool {
        self.inner.state.is_running()
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.inner.name
    }
}

impl Inner {
    pub(super) fn new(name: String, item: Arc<dyn WorkItem>, timer: Option<Key>) -> Arc<Self> {
        let place = Place { at: At::Nowhere, instance: 0, started: 0, color: 0 };
        Arc::new(Self {
            name,
            item,
            state: State::new(),
            place: Mutex::new(place),
            links: Mutex::default(),
            idle: WaitQueue::new(),
            timer,
        })
    }

    pub(super) fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap()
    }

    /// For lists, under the lock of their pool.
    pub(super) fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap()
    }

    /// The timer of delayed work.
    pub(super) fn timer(&self) -> Key {
        // PANIC: not reached; only delayed work is ever on a timer.
        self.timer.expect("delayed work has a timer")
    }

    /// Makes it pending, under the lock of its place.
    pub(super) fn enter(&self, place: &mut Place) -> Entry {
        let entry = self.state.enter();
        if entry == Entry::Won {
            place.instance += 1;
        }
        entry
    }

    /// Whether the instance `number`, or one before it, is pending or running.
    fn is_busy_with(&self, number: u64) -> bool {
        let place = self.place();
        let pending = !matches!(place.at, At::Nowhere) && place.instance <= number;
        pending || (self.state.is_running() && place.started <= number)
    }

    pub(super) fn cancel(self: &Arc<Self>) -> bool {
        loop {
            let mut place = self.place();
            let lane = match &place.at {
                At::Nowhere => return false,
                At::Timer { .. } => {
                    timer::disarm(self.timer());
                    let was_at = self.forget(&mut place);
                    drop(place);
                    // Freed where no lock is held: it may be the last handle on the queue.
                    drop(was_at);
                    break;
                }
                At::Lane(lane) => Arc::clone(lane),
            };
            drop(place);
            // It may have moved before the pool was locked; then look again.
            if let Some(kick) = self.cancel_in(&lane) {
                lane.pool.act(kick);
                lane.shared.idle.wake_all();
                break;
            }
        }
        self.idle.wake_all();
        true
    }

    /// Takes it out of `lane`, if it is there.
    fn cancel_in(self: &Arc<Self>, lane: &Arc<Lane>) -> Option<Kick> {
        let mut pool = lane.pool.lock();
        let (on, color) = {
            let mut place = self.place();
            let there = matches!(&place.at, At::Lane(now) if Arc::ptr_eq(now, lane));
            if !there {
                return None;
            }
            drop(self.forget(&mut place));
            (self.links().on, place.color)
        };
        lane.take_out(&mut pool, self, on, color);
        Some(pool.kick())
    }

    /// It is not pending any more, and whoever calls has taken it from where it was.
    pub(super) fn forget(&self, place: &mut Place) -> At {
        self.state.withdraw();
        std::mem::replace(&mut place.at, At::Nowhere)
    }

    /// It was set aside by another worker while it ran here: puts it back in front.
    pub(super) fn put_back(self: &Arc<Self>) {
        let lane = match &self.place().at {
            At::Lane(lane) => Arc::clone(lane),
            // Cancelled, and perhaps on a timer again.
            _ => return,
        };
        let mut pool = lane.pool.lock();
        // It may have been cancelled and queued anew, with this lane or another: then it is on a list, or
        // its next run puts it back.
        let there = matches!(&self.place().at, At::Lane(now) if Arc::ptr_eq(now, &lane));
        if there && self.links().on == On::SetAside {
            pool.worklist.push_front(self, On::Worklist);
        }
        let kick = pool.kick();
        drop(pool);
        lane.pool.act(kick);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // It is not armed: an armed timer owns its item.
        if let Some(timer) = self.timer {
            timer::remove(timer);
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("name", &self.inner.name)
            .field("pending", &self.is_pending())
            .field("running", &self.is_running())
            .finish_non_exhaustive()
    }
}
