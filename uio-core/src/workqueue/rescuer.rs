//! Rescuers: a thread that a queue keeps for the time when no worker can be made.
//!
//! The watchdog notices that items have waited for a worker for 10 ms and calls the rescuers of their queues.
//! A rescuer runs the items of its queue in that pool, one after the other, until the pool has somebody
//! again. So a queue with [`MEM_RECLAIM`](super::WqFlags::MEM_RECLAIM) gets on, whatever else happens.
//!
//! Mirrors `send_mayday` and `rescuer_thread` of `kernel/workqueue.c`.

use std::sync::Arc;
use std::thread;

use super::lane::Lane;
use super::pool::Run;
use super::queue::Shared;
use super::worker;
use crate::error::Result;
use crate::kthread::{self, Kthread};

/// Gives a queue its rescuer.
pub(super) fn start(shared: &Arc<Shared>) -> Result<Kthread> {
    let own = Arc::clone(shared);
    let rescuer = kthread::create(format!("kworker/R-{}", shared.name), move || {
        let _ = own.rescuer.set(thread::current());
        while !kthread::should_stop() {
            let lane = own.maydays.lock().unwrap().pop();
            match lane {
                Some(lane) => rescue(&lane),
                None => kthread::schedule(),
            }
        }
    })?;
    rescuer.wake();
    Ok(rescuer)
}

impl Shared {
    /// Tells the rescuer that items of `lane` wait for a worker in vain. Allocates nothing.
    pub(super) fn call_rescuer(&self, lane: &Arc<Lane>) {
        let Some(rescuer) = self.rescuer.get() else { return };
        let mut maydays = self.maydays.lock().unwrap();
        if !maydays.iter().any(|waits| Arc::ptr_eq(waits, lane)) {
            maydays.push(Arc::clone(lane));
        }
        drop(maydays);
        rescuer.unpark();
    }
}

/// Runs the items of `lane` that wait, while nobody else can.
fn rescue(lane: &Arc<Lane>) {
    while let Some(run) = next(lane) {
        let run = worker::execute(None, run);
        let quiet = lane.retire(&mut lane.pool.lock(), run.color);
        if quiet {
            lane.shared.idle.wake_all();
        }
    }
    let kick = lane.pool.lock().kick();
    lane.pool.act(kick);
}

fn next(lane: &Arc<Lane>) -> Option<Run> {
    let mut pool = lane.pool.lock();
    if pool.is_stuck() { pool.take_of(lane) } else { None }
}
