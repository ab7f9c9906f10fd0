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
use crate::sync::facade::atomic::{AtomicUsize, Ordering};

pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Arc<Pool>,
    /// Under the lock of the pool.
    state: Mutex<LaneState>,
    /// Items on the worklist, set aside or running. Changed under the lock of the pool.
    active: AtomicUsize,
    /// Items that are pending or running, by colour. Changed under the lock of the pool.
    in_flight: [AtomicUsize; 2],
}

struct LaneState {
    limit: usize,
    color: usize,
    inactive: List,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, pool: Arc<Pool>, limit: usize) -> Arc<Self> {
        let state = LaneState { limit, color: 0, inactive: List::default() };
        Arc::new(Self {
            shared,
            pool,
            state: Mutex::new(state),
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
        let mut state = self.state();
        place.at = At::Lane(Arc::clone(self));
        place.color = state.color;
        self.in_flight[state.color].fetch_add(1, Ordering::Relaxed);
        state.inactive.push_back(work, On::Inactive);
        self.fill(pool, &mut state);
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
            self.state().inactive.remove(work);
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
        let idle = self.active.fetch_sub(1, Ordering::Release) == 1;
        let flushed = self.count_out(color);
        self.fill(pool, &mut self.state());
        idle || flushed
    }

    fn count_out(&self, color: usize) -> bool {
        // Pairs with the load in `is_flushed`: whoever sees zero sees what the items did.
        self.in_flight[color].fetch_sub(1, Ordering::Release) == 1
    }

    /// Activates what the limit allows, in order.
    fn fill(&self, pool: &mut PoolState, state: &mut LaneState) {
        while self.active.load(Ordering::Relaxed) < state.limit {
            let Some(work) = state.inactive.pop_front() else { return };
            self.active.fetch_add(1, Ordering::Relaxed);
            pool.worklist.push_back(&work, On::Worklist);
        }
    }

    /// Changes how many items may be active; 0 freezes.
    pub(super) fn set_limit(&self, limit: usize) {
        let mut pool = self.pool.lock();
        let mut state = self.state();
        state.limit = limit;
        self.fill(&mut pool, &mut state);
        drop(state);
        let kick = pool.kick();
        drop(pool);
        self.pool.act(kick);
    }

    /// From now on, items are counted in the other colour. Returns the one until now.
    pub(super) fn turn_color(&self) -> usize {
        let _pool = self.pool.lock();
        let mut state = self.state();
        let color = state.color;
        state.color = 1 - color;
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

    fn state(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap()
    }
}
