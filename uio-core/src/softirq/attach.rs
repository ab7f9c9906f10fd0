//! [`Softirqs`]: the bottom halves of one dispatcher, as a driver sees them.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use nix::errno::Errno;

use super::bh::{self, BhDisabledGuard};
#[cfg(not(loom))]
use super::engine::Member;
use super::engine::{Engine, MAX_TASKLETS};
use super::stats::SoftirqStats;
use super::tasklet::Inner;
use super::vector::Vector;
use crate::error::{Error, Result};
use crate::irq::{AfterHook, Dispatcher, Shared, ThreadOptions, thread};
#[cfg(not(loom))]
use crate::sync::WaitQueue;
use crate::sync::context::Origin;

/// The order in which scheduled tasklets run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// `HI_SOFTIRQ`.
    High,
    /// `TASKLET_SOFTIRQ`.
    Normal,
}

/// The bottom halves of one dispatcher.
pub struct Softirqs {
    pub(super) engine: Arc<Engine>,
    tasklets: AtomicUsize,
    daemon: Mutex<Option<JoinHandle<()>>>,
}

impl Softirqs {
    /// The bottom halves of `dispatcher`, of which there is one set, as a processor has one: made by the first
    /// call, with a thread `ksoftirqd/N` for when there are too many. Every further call returns the same.
    ///
    /// Without a thread to spare the dispatcher does without: it looks at its lines after 10 rounds or 2 ms,
    /// and comes back by itself.
    pub fn attach(dispatcher: &Dispatcher) -> Arc<Self> {
        let shared = dispatcher.shared();
        let attached = shared.attached.get_or_init(|| {
            let softirqs = Self::new(shared);
            let hook: Arc<dyn AfterHook> = softirqs.clone();
            dispatcher.add_after_hook(&hook);
            let attached: Weak<dyn Any + Send + Sync> = Arc::<Self>::downgrade(&softirqs);
            attached
        });
        // PANIC: not reached; they are a hook of the dispatcher, which the caller has, and nobody else attaches
        // anything.
        let softirqs = attached.upgrade().expect("the dispatcher keeps its hooks");
        softirqs.downcast().expect("softirqs are attached")
    }

    fn new(dispatcher: &Arc<Shared>) -> Arc<Self> {
        let engine = Arc::new(Engine::new(dispatcher));
        bh::announce(&engine.door);
        let own = Arc::clone(&engine);
        let name = format!("ksoftirqd/{}", engine.number);
        let daemon = thread::spawn(&name, &ThreadOptions::default(), move || own.daemon());
        let daemon = daemon.inspect_err(|error| tracing::warn!(%error, "no {name}")).ok();
        if let Some(daemon) = &daemon {
            engine.set_daemon(daemon.thread().clone());
        }
        Arc::new(Self { engine, tasklets: AtomicUsize::new(0), daemon: Mutex::new(daemon) })
    }

    /// Gives `vector` its function, which then runs once for any number of [`raise`](Self::raise) calls made
    /// before it starts. It may not sleep. It stays as long as the bottom halves do, and so must not own them.
    ///
    /// On one dispatcher a vector never runs beside itself, nor beside another. Opened on several dispatchers,
    /// the same function may run on all of them at once.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the vector has a function: the kernel would replace it silently. `HI` and `TASKLET` belong to
    /// tasklets, `NET_RX` to [`Napi`](super::Napi) once there is one, `TIMER` and `HRTIMER` to the timers of
    /// [`time`](crate::time) once the dispatcher has some.
    #[doc(alias = "open_softirq")]
    #[track_caller]
    pub fn open(&self, vector: Vector, action: impl Fn() + Send + Sync + 'static) -> Result<()> {
        let origin = Origin::here();
        let action = move || {
            let _origin = origin.enter();
            action();
        };
        let busy = |cause: &str| {
            Error::new(Errno::EBUSY, "cannot open softirq", vector.name()).with_cause(cause)
        };
        match vector {
            Vector::Hi | Vector::Tasklet => Err(busy("it belongs to tasklets")),
            Vector::NetRx if self.engine.polls.is_used() => {
                Err(busy("it belongs to adaptive polling"))
            }
            _ if self.engine.open(vector, Box::new(action)) => Ok(()),
            _ if self.engine.is_shared(vector) => Err(busy("it belongs to timers")),
            _ => Err(busy("it is open already")),
        }
    }

    /// Lets `member` run whenever `vector` does, beside the members that it has already: for the bases of
    /// timers, of which a dispatcher may have several. It stays as long as the bottom halves do.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a driver has opened the vector.
    #[cfg(not(loom))]
    pub(crate) fn join(
        &self,
        vector: Vector,
        member: impl Fn() + Send + Sync + 'static,
    ) -> Result<()> {
        if self.engine.join(vector, &(Arc::new(member) as Member)) {
            return Ok(());
        }
        Err(Error::new(Errno::EBUSY, "cannot share softirq", vector.name())
            .with_cause("a driver has opened it for something else"))
    }

    /// Makes `vector` run soon, on this dispatcher. May be called anywhere; in a top half or a softirq of this
    /// dispatcher it costs no system call. Raised while it runs, it runs again in the next round. Raising a
    /// vector that nobody opened does nothing.
    #[doc(alias = "raise_softirq")]
    pub fn raise(&self, vector: Vector) {
        self.engine.raise(vector);
    }

    /// As [`raise`](Self::raise), where softirqs are looked at anyway: in a top half or a softirq of this
    /// dispatcher, with no check for a wake-up.
    #[doc(alias = "raise_softirq_irqoff")]
    pub fn raise_irqoff(&self, vector: Vector) {
        debug_assert!(self.engine.is_own_thread(), "raise_irqoff outside of the dispatcher");
        self.engine.gate.raise_here(vector.bit());
    }

    /// Keeps softirqs from starting on this dispatcher until the guard is dropped, and waits for those that
    /// run, unless called from one. Nests. What is raised meanwhile runs afterwards. Not in a top half. In debug
    /// builds the [checker](crate::sync::lockdep) knows that they are disabled, and reports whoever sleeps then.
    ///
    /// # Panics
    ///
    /// In debug builds, in a top half.
    #[track_caller]
    pub fn bh_disable(&self) -> BhDisabledGuard<'_> {
        BhDisabledGuard::of(&self.engine)
    }

    /// What they have done so far, and how they stand.
    pub fn stats(&self) -> SoftirqStats {
        self.engine.stats()
    }

    /// Whether the caller is the dispatcher or runs these softirqs: it cannot wait for them.
    #[cfg(not(loom))]
    pub(crate) fn is_own_thread(&self) -> bool {
        self.engine.is_own_thread()
    }

    /// Waits on `queue`, which a softirq wakes, until `over` or nobody is there to bring it about.
    #[cfg(not(loom))]
    pub(crate) fn wait_until(&self, queue: &WaitQueue, over: impl Fn() -> bool) {
        self.engine.wait_until(queue, over);
    }

    /// Takes a place for one more tasklet.
    pub(super) fn reserve(&self, name: &str) -> Result<()> {
        if self.tasklets.fetch_add(1, Ordering::Relaxed) >= MAX_TASKLETS {
            self.unreserve();
            return Err(Error::new(Errno::ENOSPC, "cannot create tasklet", name)
                .with_cause(format!("this dispatcher has {MAX_TASKLETS} tasklets already")));
        }
        Ok(())
    }

    pub(super) fn unreserve(&self) {
        self.tasklets.fetch_sub(1, Ordering::Relaxed);
    }

    /// Queues a tasklet that is not queued, and raises its vector.
    pub(super) fn enqueue(&self, tasklet: Arc<Inner>, priority: Priority) {
        let (queue, vector) = match priority {
            Priority::High => (&self.engine.high, Vector::Hi),
            Priority::Normal => (&self.engine.normal, Vector::Tasklet),
        };
        // PANIC: not reached; every tasklet has a reserved place, and is queued at most once.
        assert!(queue.push(tasklet).is_ok(), "more tasklets are queued than exist");
        self.engine.raise(vector);
    }
}

impl AfterHook for Softirqs {
    fn run(&self) -> bool {
        self.engine.run_on_dispatcher()
    }
}

impl Drop for Softirqs {
    fn drop(&mut self) {
        self.engine.stop_daemon();
        let daemon = self.daemon.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last owner may be on the very thread: a tasklet, or its look at a dispatcher that ends.
        let this = std::thread::current().id();
        if let Some(daemon) = daemon.filter(|daemon| daemon.thread().id() != this) {
            // It catches what softirqs throw; nothing else can fail.
            let _ = daemon.join();
        }
    }
}

impl fmt::Debug for Softirqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Softirqs")
            .field("dispatcher", &self.engine.number)
            .field("tasklets", &self.tasklets)
            .field("gate", &self.engine.gate)
            .finish_non_exhaustive()
    }
}
