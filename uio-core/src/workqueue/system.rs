//! The queues that are always there, for items that need none of their own.
//!
//! Each is made when it is first used, which starts threads and may sleep. The first of them, [`system`], is there
//! once there is an item, so that a top half may be the first to call [`schedule_work`]; for one of the others,
//! reach for it once in `probe`, before a top half does.

use std::sync::OnceLock;
use std::time::Duration;

use super::delayed::DelayedWork;
use super::flags::{Queued, WqFlags};
use super::pools::Pools;
use super::queue::Workqueue;
use super::work::Work;
use crate::sync::context::{Level, current_level, might_sleep};

const EVENTS: &str = "events";
static SYSTEM: OnceLock<Workqueue> = OnceLock::new();

fn made(cell: &'static OnceLock<Workqueue>, name: &str, flags: WqFlags) -> &'static Workqueue {
    cell.get_or_init(|| {
        let made = Workqueue::builder(name).flags(flags).build();
        // PANIC: documented; without its threads the process can do nothing of what it is for.
        made.unwrap_or_else(|error| panic!("no system work queue: {error}"))
    })
}

/// For items that run not too long, on the CPU that queues them.
///
/// # Panics
///
/// As all of these, if its threads cannot be started on the first call.
#[doc(alias = "system_wq")]
#[doc(alias = "system_percpu_wq")]
pub fn system() -> &'static Workqueue {
    made(&SYSTEM, EVENTS, WqFlags::empty())
}

/// Makes the [`system`] queue if it is not there and the caller may sleep. If it cannot be made, whoever needs it
/// is told.
pub(super) fn prepare() {
    if SYSTEM.get().is_none()
        && current_level() == Level::Task
        && let Ok(queue) = Workqueue::builder(EVENTS).build()
    {
        // Another may have been faster; then this one ends unused.
        let _ = SYSTEM.set(queue);
    }
}

/// As [`system`], with high priority.
#[doc(alias = "system_highpri_wq")]
pub fn system_highpri() -> &'static Workqueue {
    static QUEUE: OnceLock<Workqueue> = OnceLock::new();
    made(&QUEUE, "events_highpri", WqFlags::HIGHPRI)
}

/// As [`system`], for items that may run long: nobody waits for a flush of this queue.
#[doc(alias = "system_long_wq")]
pub fn system_long() -> &'static Workqueue {
    static QUEUE: OnceLock<Workqueue> = OnceLock::new();
    made(&QUEUE, "events_long", WqFlags::empty())
}

/// For items that may run anywhere; each starts as soon as it can.
#[doc(alias = "system_unbound_wq")]
#[doc(alias = "system_dfl_wq")]
pub fn system_unbound() -> &'static Workqueue {
    static QUEUE: OnceLock<Workqueue> = OnceLock::new();
    made(&QUEUE, "events_unbound", WqFlags::UNBOUND)
}

/// As [`system`], and takes part in [`freeze`].
#[doc(alias = "system_freezable_wq")]
pub fn system_freezable() -> &'static Workqueue {
    static QUEUE: OnceLock<Workqueue> = OnceLock::new();
    made(&QUEUE, "events_freezable", WqFlags::FREEZABLE)
}

/// Queues `work` on the [`system`] queue. May be called anywhere.
pub fn schedule_work(work: &Work) -> Queued {
    system().enqueue(work)
}

/// Queues `work` on the [`system`] queue, for the CPU with that number.
pub fn schedule_work_on(cpu: usize, work: &Work) -> Queued {
    system().enqueue_on(cpu, work)
}

/// Queues `work` on the [`system`] queue when `delay` is over.
pub fn schedule_delayed_work(work: &DelayedWork, delay: Duration) -> Queued {
    system().enqueue_delayed(work, delay)
}

/// Keeps items of every queue with [`FREEZABLE`](WqFlags::FREEZABLE) from starting, and waits until none of
/// them runs. What is queued meanwhile waits for [`thaw`]. Not to be called by such an item.
#[doc(alias = "freeze_workqueues_begin")]
#[doc(alias = "freeze_workqueues_busy")]
pub fn freeze() {
    might_sleep();
    // Without pools there is no queue, and nothing to freeze.
    if let Ok(pools) = Pools::global() {
        pools.freeze();
    }
}

/// Undoes [`freeze`]: what was held back runs.
#[doc(alias = "thaw_workqueues")]
pub fn thaw() {
    if let Ok(pools) = Pools::global() {
        pools.thaw();
    }
}
