//! [`Pools`]: all worker pools, two for each CPU and two for none, and the queues that use them.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::pool::Pool;
use super::queue::Queue;
use super::services::{Config, Services};
use crate::error::Result;
use crate::kthread::{self, CpuSet, Kthread};
use crate::sys::sched;

pub(super) struct Pools {
    pub(super) services: Arc<Services>,
    /// By CPU in the order of `config.cpus`; normal, then high priority.
    bound: Vec<[Arc<Pool>; 2]>,
    unbound: [Arc<Pool>; 2],
    /// For each CPU number up to the highest, whose pools serve it.
    by_cpu: Vec<usize>,
    registry: Mutex<Registry>,
    /// The threads that make workers and watch them; stopped first.
    helpers: Vec<Kthread>,
}

#[derive(Default)]
struct Registry {
    frozen: bool,
    queues: Vec<Weak<Queue>>,
}

static GLOBAL: OnceLock<Arc<Pools>> = OnceLock::new();

impl Pools {
    /// Those of the process. Made on the first call, which may sleep.
    pub(super) fn global() -> Result<Arc<Self>> {
        if let Some(pools) = GLOBAL.get() {
            return Ok(Arc::clone(pools));
        }
        let pools = Self::new(Config::new(CpuSet::allowed().iter().collect()))?;
        // Another may have been faster; then these end unused.
        Ok(Arc::clone(GLOBAL.get_or_init(|| pools)))
    }

    pub(super) fn new(config: Config) -> Result<Arc<Self>> {
        let services = Services::new(config);
        let cpus = services.config.cpus.iter();
        let pair = |cpu, label: [String; 2]| {
            let [normal, high] = label;
            [Pool::new(cpu, false, normal, &services), Pool::new(cpu, true, high, &services)]
        };
        let bound: Vec<_> =
            cpus.map(|&cpu| pair(Some(cpu), [cpu.to_string(), cpu.to_string()])).collect();
        let next = services.config.cpus.iter().max().map_or(0, |last| last + 1);
        let unbound = pair(None, [format!("u{next}"), format!("u{}", next + 1)]);
        let all: Vec<_> = bound.iter().chain([&unbound]).flatten().cloned().collect();
        services.serve(&all);
        let creator = Arc::clone(&services);
        let watch = Arc::clone(&services);
        let helpers = vec![
            kthread::run("kworker/create", move || creator.create_workers())?,
            kthread::run("kworker/watch", move || watch.watch.run(&watch))?,
        ];
        let cpus = &services.config.cpus;
        let by_cpu = (0..next).map(|cpu| cpus.iter().position(|&has| has == cpu).unwrap_or(0));
        let by_cpu = by_cpu.collect();
        Ok(Arc::new(Self { services, bound, unbound, by_cpu, registry: Mutex::default(), helpers }))
    }

    /// The pools that a queue has lanes on.
    pub(super) fn choose(&self, unbound: bool, high: bool) -> Vec<Arc<Pool>> {
        let which = usize::from(high);
        if unbound {
            vec![Arc::clone(&self.unbound[which])]
        } else {
            self.bound.iter().map(|pair| Arc::clone(&pair[which])).collect()
        }
    }

    /// Which of a bound queue's lanes is for `cpu`, or for the caller's. Some other one, if the CPU has none.
    pub(super) fn lane_index(&self, cpu: Option<usize>) -> usize {
        let cpu = cpu.unwrap_or_else(sched::current_cpu);
        self.by_cpu.get(cpu).copied().unwrap_or(0)
    }

    pub(super) fn register(&self, queue: &Arc<Queue>) {
        let mut registry = self.registry.lock().unwrap();
        registry.queues.retain(|queue| queue.strong_count() > 0);
        registry.queues.push(Arc::downgrade(queue));
        if registry.frozen {
            queue.set_frozen(true);
        }
    }

    /// Keeps items of freezable queues from starting, and waits for those that run.
    pub(super) fn freeze(&self) {
        let queues = self.set_frozen(true);
        queues.iter().for_each(|queue| queue.wait_until_idle());
    }

    pub(super) fn thaw(&self) {
        self.set_frozen(false);
    }

    fn set_frozen(&self, frozen: bool) -> Vec<Arc<Queue>> {
        let mut registry = self.registry.lock().unwrap();
        registry.frozen = frozen;
        let queues = registry.queues.iter().filter_map(Weak::upgrade);
        let queues: Vec<_> = queues.filter(|queue| queue.is_freezable()).collect();
        queues.iter().for_each(|queue| queue.set_frozen(frozen));
        queues
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        self.helpers.clear();
        self.services.pools().for_each(|pool| pool.stop());
        self.services.bury();
    }
}
