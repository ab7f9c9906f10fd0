//! What is said of a queue when it is made, and of an item when it is queued.

bitflags::bitflags! {
    /// How the items of a queue are run. The kernel's `WQ_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct WqFlags: u32 {
        /// Its workers are bound to no CPU, and start every item as soon as they can: no concurrency
        /// management. For items that run long, or come from everywhere.
        const UNBOUND = 1 << 1;
        /// Takes part in [`freeze`](super::freeze) and [`thaw`](super::thaw).
        const FREEZABLE = 1 << 2;
        /// Has a rescuer: a thread of its own that runs its items when no worker can be made in time.
        const MEM_RECLAIM = 1 << 3;
        /// Its workers have a higher priority (a nice value of -20, where the process may), and a pool of
        /// their own.
        const HIGHPRI = 1 << 4;
        /// Its items may keep a CPU busy: while one runs, others of the pool start all the same. Without
        /// meaning for an unbound queue.
        const CPU_INTENSIVE = 1 << 5;
    }
}

/// What became of a request to queue an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// It is queued now, and will run.
    New,
    /// It was queued already and has not started: it will run once. Whatever the caller wrote before is
    /// seen by that run.
    AlreadyPending,
    /// It will not run: it is [disabled](super::Work::disable), or its queue is being drained or destroyed
    /// and the caller is not one of its items.
    Refused,
}

impl Queued {
    /// Whether the request queued the item: what `queue_work` returns.
    pub fn is_new(self) -> bool {
        self == Self::New
    }
}
