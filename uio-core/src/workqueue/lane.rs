//! [`Lane`]: the part of a queue that is on one pool; it holds `max_active` and counts for flushes.
//!
//! The kernel's `pool_workqueue`. A queue that is bound to CPUs has a lane for each of them, an unbound one
//! has one.
//!
//! # Colours
//!
//! An item is counted in one of two counters. A flush lets what comes from then on be counted in the other
//! one, and waits until the first is zero; only one flush is under way at a time, so two are enough.

use std::sync::{Arc, Mutex, MutexGuard};

use super::list::{List, On};
use super::pool::{Pool, PoolState};
use super::queue::Shared;
use super::work::{At, Inner, Place};
use crate::sync::facade::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Arc<Pool>,
    /// Items that exceed the limit. Under the lock of the pool, as everything below is changed.
    inactive: Mutex<List>,
    /// Whether there are any.
    holds_back: AtomicBool,
    limit: AtomicUsize,
    /// Which of the counters is counted in.
    color: AtomicUsize,
    /// Items on the worklist, set aside or running.
    active: AtomicUsize,
    /// Items that are pending or running, by colour.
    in_flight: [AtomicUsize; 2],
}

/// Adds to a counter that is changed under the lock of the pool alone, and returns what it is then. Pairs with
/// the loads in `is_flushed` and `is_idle`: whoever sees zero sees what the items did.
fn add(counter: &AtomicUsize, by: isize) -> usize {
    let now = counter.load(Ordering::Relaxed).wrapping_add_signed(by);
    counter.store(now, Ordering::Release);
    now
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, pool: Arc<Pool>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            shared,
            pool,
            inactive: Mutex::default(),
            holds_back: AtomicBool::new(false),
            limit: AtomicUsize::new(limit),
            color: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            in_flight: [AtomicUsize::new(0), AtomicUsize::new(0)],
        })
    }

    /// Takes an item in that has just become pending.
    pub(super) fn admit(
        self: &Arc<Self>,
        pool: &mut PoolState,
        work: &Arc<Inner>,
        place: &mut Place,
    ) {
        let color = self.color.load(Ordering::Relaxed);
        place.at = At::Lane(Arc::clone(self));
        place.color = color;
        add(&self.in_flight[color], 1);
        if self.has_room() && !self.holds_back() {
            self.activate(pool, work);
        } else {
            self.inactive().push_back(work, On::Inactive);
            self.holds_back.store(true, Ordering::Relaxed);
        }
    }

    /// Takes an item out that did not run.
    pub(super) fn take_out(
        &self,
        pool: &mut PoolState,
        work: &Arc<Inner>,
        on: On,
        color: usize,
    ) -> bool {
        if on == On::Inactive {
            let mut inactive = self.inactive();
            inactive.remove(work);
            self.holds_back.store(!inactive.is_empty(), Ordering::Relaxed);
            return self.count_out(color);
        }
        match on {
            On::Worklist => pool.worklist.remove(work),
            _ => work.links().on = On::Off,
        }
        self.retire(pool, color)
    }

    /// An active item is done with. Says whether somebody may wait for that.
    pub(super) fn retire(&self, pool: &mut PoolState, color: usize) -> bool {
        let idle = add(&self.active, -1) == 0;
        let flushed = self.count_out(color);
        self.fill(pool);
        idle || flushed
    }

    fn count_out(&self, color: usize) -> bool {
        add(&self.in_flight[color], -1) == 0
    }

    fn holds_back(&self) -> bool {
        self.holds_back.load(Ordering::Relaxed)
    }

    fn has_room(&self) -> bool {
        self.active.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed)
    }

    fn activate(&self, pool: &mut PoolState, work: &Arc<Inner>) {
        add(&self.active, 1);
        pool.worklist.push_back(work, On::Worklist);
    }

    /// Activates what the limit allows, in order.
    fn fill(&self, pool: &mut PoolState) {
        while self.holds_back() && self.has_room() {
            let mut inactive = self.inactive();
            let work = inactive.pop_front();
            self.holds_back.store(!inactive.is_empty(), Ordering::Relaxed);
            drop(inactive);
            work.iter().for_each(|work| self.activate(pool, work));
        }
    }

    /// Changes how many items may be active; 0 freezes.
    pub(super) fn set_limit(&self, limit: usize) {
        let mut pool = self.pool.lock();
        self.limit.store(limit, Ordering::Relaxed);
        self.fill(&mut pool);
        let kick = pool.kick();
        drop(pool);
        self.pool.act(kick);
    }

    /// From now on, items are counted in the other colour. Returns the one until now.
    pub(super) fn turn_color(&self) -> usize {
        let _pool = self.pool.lock();
        let color = self.color.load(Ordering::Relaxed);
        self.color.store(1 - color, Ordering::Relaxed);
        color
    }

    pub(super) fn is_flushed(&self, color: usize) -> bool {
        self.in_flight[color].load(Ordering::Acquire) == 0
    }

    /// Whether nothing is pending or running, and nothing that is refused from now on was let in.
    pub(super) fn is_empty(&self) -> bool {
        let _pool = self.pool.lock();
        self.is_flushed(0) && self.is_flushed(1)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.active.load(Ordering::Acquire) == 0
    }

    fn inactive(&self) -> MutexGuard<'_, List> {
        self.inactive.lock().unwrap()
    }
}
