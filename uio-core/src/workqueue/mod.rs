//! BOTTOM HALF that may sleep: items of work, run by threads that are shared and made as they are needed.
//!
//! # Vocabulary
//!
//! - **item** ([`Work`]): what to do. **Pending** from the request until it starts, then **running**; it may
//!   become pending again while it runs, and then runs again afterwards. Never beside itself.
//! - **queue** ([`Workqueue`]): where an item is queued: a domain for flushing, priority, the number of items
//!   under way (`max_active`). It has no threads.
//! - **worker**: a thread that runs items, `kworker/0:1` in `ps`; `kworker/u2:0` if bound to no CPU, with an H
//!   at the end if of high priority.
//! - **pool**: the workers of one CPU and priority, and the list of items that wait for them. All queues
//!   share the pools.
//! - **lane**: a queue's part of one pool. It holds back what exceeds `max_active`, in order.
//! - **running worker**: one that is in an item and awake. A bound pool wants one, and no more: when the last
//!   one sleeps, the next is woken ([concurrency management](#concurrency)).
//! - **rescuer**: a queue's own thread, for when no worker can be made.
//!
//! # The way of an item
//!
//! ```text
//!             delay over          fewer than max_active        a worker is free
//!   on timer ───────────▶ inactive ───────────▶ on the worklist ───────────▶ running
//!      ▲                     ▲                        ▲  │ it runs already        │
//!      │ enqueue_delayed     │ enqueue                │  ▼                        ▼
//!    idle ───────────────────┘                        └─ set aside              idle
//!                                           that run ends
//! ```
//!
//! The word behind it, and why nothing is lost, are in `state`.
//!
//! # Concurrency
//!
//! An item that sleeps through the primitives of this crate, or inside [`blocking`], tells its pool, and the
//! next item starts. An item that sleeps otherwise is noticed within some milliseconds, one that keeps its
//! CPU busy after 10 ms. So items need not care how long others take, and there are no more threads than
//! needed. Idle ones go after 300 s, if there are more than two.
//!
//! # From a top half
//!
//! [`Workqueue::enqueue`] takes short locks, allocates nothing, and wakes at most one thread; a burst of
//! items wakes one.
//!
//! # Lock order
//!
//! pool, then the item's place, then the lane, then links; the timer's after the place. The locks of wait
//! queues and of the watchdog are leaves.
//!
//! Mirrors `kernel/workqueue.c`, `include/linux/workqueue.h`, `Documentation/core-api/workqueue.rst` and
//! `rust/kernel/workqueue.rs`.

mod builder;
mod delayed;
mod flags;
mod lane;
mod list;
mod pool;
mod pools;
mod queue;
mod rescuer;
mod services;
mod state;
mod system;
mod timer;
mod watch;
mod work;
mod worker;

pub use builder::Builder;
pub use delayed::DelayedWork;
pub use flags::{Queued, WqFlags};
pub use queue::Workqueue;
pub use system::{
    freeze, schedule_delayed_work, schedule_work, schedule_work_on, system, system_freezable,
    system_highpri, system_long, system_unbound, thaw,
};
pub use work::{Work, WorkItem};
pub use worker::{blocking, current_work};

#[cfg(all(test, not(loom)))]
mod tests;
