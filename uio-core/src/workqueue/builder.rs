//! [`Builder`]: says how a queue is to be, and makes it.

use std::sync::Arc;

use super::flags::WqFlags;
use super::lane::Lane;
use super::pools::Pools;
use super::queue::{Queue, Shared, Workqueue};
use super::{rescuer, timer};
use crate::error::{Error, Result};
use crate::sync::context::might_sleep;

/// Active items per CPU that no queue may exceed: `WQ_MAX_ACTIVE`.
const MAX_ACTIVE: usize = 2048;
/// Those of a queue that does not say: `WQ_DFL_ACTIVE`.
const DEFAULT_ACTIVE: usize = MAX_ACTIVE / 2;

/// Makes a [`Workqueue`]. The parameters of the kernel's `alloc_workqueue`.
#[must_use]
pub struct Builder {
    name: String,
    flags: WqFlags,
    max_active: usize,
    ordered: bool,
    pools: Option<Arc<Pools>>,
}

impl Builder {
    pub(super) fn new(name: String) -> Self {
        Self { name, flags: WqFlags::empty(), max_active: 0, ordered: false, pools: None }
    }

    /// How its items are run.
    pub fn flags(mut self, flags: WqFlags) -> Self {
        self.flags = flags;
        self
    }

    /// How many of its items may be under way at a time: on each CPU, or altogether for an unbound queue.
    /// 0 stands for 1024; more than 2048 is 2048.
    pub fn max_active(mut self, items: usize) -> Self {
        self.max_active = items;
        self
    }

    /// One item at a time, in the order of queueing; the queue is unbound.
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// Runs its items on other threads than those of the process.
    #[cfg(test)]
    pub(super) fn pools(mut self, pools: &Arc<Pools>) -> Self {
        self.pools = Some(Arc::clone(pools));
        self
    }

    /// Makes the queue. The first one starts the helper threads of all of them.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the name has a NUL byte; `EAGAIN` if the system has no thread left.
    pub fn build(self) -> Result<Workqueue> {
        might_sleep();
        if self.name.contains('\0') {
            let name = self.name.escape_debug();
            return Err(Error::invalid("cannot create work queue", name, "NUL in its name"));
        }
        timer::start()?;
        let pools = self.pools.map_or_else(Pools::global, Ok)?;
        let (flags, max_active) = match (self.ordered, self.max_active) {
            (true, _) => (self.flags | WqFlags::UNBOUND, 1),
            (false, 0) => (self.flags, DEFAULT_ACTIVE),
            (false, items) => (self.flags, items.min(MAX_ACTIVE)),
        };
        let unbound = flags.contains(WqFlags::UNBOUND);
        let its_pools = pools.choose(unbound, flags.contains(WqFlags::HIGHPRI));
        let shared = Arc::new(Shared::new(self.name, flags, its_pools.len()));
        let lane = |pool| Lane::new(Arc::clone(&shared), pool, max_active);
        let lanes = its_pools.into_iter().map(lane).collect();
        let queue = Queue::new(Arc::clone(&shared), lanes, max_active, Arc::clone(&pools));
        let rescues = flags.contains(WqFlags::MEM_RECLAIM);
        let rescuer = rescues.then(|| rescuer::start(&shared)).transpose()?;
        pools.register(&queue);
        Ok(Workqueue { queue, rescuer })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("flags", &self.flags)
            .field("max_active", &self.max_active)
            .field("ordered", &self.ordered)
            .finish_non_exhaustive()
    }
}
