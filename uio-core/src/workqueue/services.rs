//! What all pools share: the thread that makes workers, and the watchdog.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::pool::{Creation, Pool};
use super::watch::Watch;
use super::worker::{self, Worker};
use crate::error::{Errno, Error, Result};
use crate::kthread::{self, Kthread};

/// The time spans of `kernel/workqueue.c`, and what tests change.
pub(super) struct Config {
    /// The CPUs that have pools.
    pub(super) cpus: Vec<usize>,
    /// How long a worker is idle before it may go: `IDLE_WORKER_TIMEOUT`.
    pub(super) idle_timeout: Duration,
    /// How long to wait after a worker could not be made: `CREATE_COOLDOWN`.
    pub(super) cooldown: Duration,
    /// How long an item may keep a CPU busy while others wait: `wq_cpu_intensive_thresh_us`.
    pub(super) cpu_intensive: Duration,
    /// Makes the creation of workers fail.
    pub(super) fail_creation: AtomicBool,
}

impl Config {
    pub(super) fn new(cpus: Vec<usize>) -> Self {
        Self {
            cpus,
            idle_timeout: Duration::from_secs(300),
            cooldown: Duration::from_secs(1),
            cpu_intensive: Duration::from_millis(10),
            fail_creation: AtomicBool::new(false),
        }
    }
}

pub(super) struct Services {
    pub(super) config: Config,
    pub(super) watch: Watch,
    pools: OnceLock<Vec<Weak<Pool>>>,
    /// The thread that makes workers, and whether it is asked to.
    creator: OnceLock<Thread>,
    wanted: AtomicBool,
    workers: Mutex<Vec<Kthread>>,
}

impl Services {
    pub(super) fn new(config: Config) -> Arc<Self> {
        Arc::new(Self {
            config,
            watch: Watch::new(),
            pools: OnceLock::new(),
            creator: OnceLock::new(),
            wanted: AtomicBool::new(false),
            workers: Mutex::new(Vec::new()),
        })
    }

    /// Says which pools there are, once.
    pub(super) fn serve(&self, pools: &[Arc<Pool>]) {
        let _ = self.pools.set(pools.iter().map(Arc::downgrade).collect());
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = Arc<Pool>> + '_ {
        self.pools.get().into_iter().flatten().filter_map(Weak::upgrade)
    }

    /// Has workers made for the pools that want one. May be called anywhere.
    pub(super) fn request_worker(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel)
            && let Some(creator) = self.creator.get()
        {
            creator.unpark();
        }
    }

    /// What the creating thread does. The kernel's `kthreadd`, and the manager's part of its workers.
    pub(super) fn create_workers(&self) {
        let _ = self.creator.set(std::thread::current());
        let mut failed = false;
        while !kthread::should_stop() {
            // Pairs with the swap in `request_worker`: a wish made before that is seen below.
            if failed || self.wanted.swap(false, Ordering::AcqRel) {
                failed = !self.create_wanted();
            } else {
                kthread::schedule();
            }
            if failed {
                kthread::schedule_timeout(self.config.cooldown);
            }
        }
    }

    /// Makes what is wanted. `false` if a worker could not be made.
    fn create_wanted(&self) -> bool {
        let wanted = self.pools().filter(|pool| pool.lock().creation == Creation::Wanted);
        let mut done = true;
        for pool in wanted {
            if let Err(error) = self.create_for(&pool) {
                tracing::warn!(%error, "items wait for a worker; trying again");
                pool.lock().creation = Creation::Wanted;
                done = false;
            }
        }
        done
    }

    fn create_for(&self, pool: &Arc<Pool>) -> Result<()> {
        let id = {
            let mut state = pool.lock();
            state.creation = Creation::UnderWay;
            state.mayday.get_or_insert_with(|| Instant::now() + super::watch::MAYDAY_INITIAL);
            state.free_id()
        };
        // Should the creation hang, the watchdog calls the rescuers.
        self.watch.arm();
        let name = format!("kworker/{}:{id}{}", pool.label, if pool.high { "H" } else { "" });
        if self.config.fail_creation.load(Ordering::Acquire) {
            return Err(Error::new(Errno::EAGAIN, "cannot create thread", name));
        }
        let worker = Worker::new(id);
        let own = (Arc::clone(pool), Arc::clone(&worker));
        let thread = kthread::create(name, move || worker::life(&own.0, &own.1))?;
        let mut state = pool.lock();
        state.workers.push(worker);
        // So that a worker that goes idle, or is woken, allocates nothing.
        let all = state.workers.len();
        let room = all.saturating_sub(state.idle.len());
        state.idle.reserve(room);
        drop(state);
        thread.wake();
        self.keep(thread);
        Ok(())
    }

    /// Keeps a worker's thread, and buries those that have ended.
    fn keep(&self, thread: Kthread) {
        let mut workers = self.workers.lock().unwrap();
        workers.retain(|worker| !worker.has_ended());
        workers.push(thread);
    }

    /// Waits for all workers, which were told to stop.
    pub(super) fn bury(&self) {
        let workers = std::mem::take(&mut *self.workers.lock().unwrap());
        drop(workers);
    }
}
