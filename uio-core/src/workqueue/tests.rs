//! A test per rule of `Documentation/core-api/workqueue.rst` and the kernel-doc of `kernel/workqueue.c`.
//!
//! Each test has pools of its own, so that none waits for another's items or counts its wake-ups.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::pools::Pools;
use super::services::Config;
use super::*;
use crate::kthread::CpuSet;
use crate::sync::WaitQueue;
use crate::sys::sched;

mod delayed;
mod items;
mod pools;
mod queues;

const DEADLINE: Duration = Duration::from_secs(60);
/// Long enough for what must not happen to happen.
const MOMENT: Duration = Duration::from_millis(20);

fn cpus() -> Vec<usize> {
    CpuSet::allowed().iter().collect()
}

/// Pools for one test, with the kernel's time spans.
fn pools() -> Arc<Pools> {
    Pools::new(Config::new(cpus())).unwrap()
}

/// Pools whose watchdog takes no busy item for a CPU hog: on a machine that is busy itself, it might be.
fn patient_pools() -> Arc<Pools> {
    let mut config = Config::new(cpus());
    config.cpu_intensive = Duration::from_secs(3600);
    Pools::new(config).unwrap()
}

fn queue_with(pools: &Arc<Pools>, flags: WqFlags, max_active: usize) -> Workqueue {
    Workqueue::builder("test").flags(flags).max_active(max_active).pools(pools).build().unwrap()
}

fn bound(pools: &Arc<Pools>) -> Workqueue {
    queue_with(pools, WqFlags::empty(), 0)
}

fn unbound(pools: &Arc<Pools>) -> Workqueue {
    queue_with(pools, WqFlags::UNBOUND, 0)
}

fn work(name: &str, f: impl Fn() + Send + Sync + 'static) -> Work {
    Work::new(name, Arc::new(f))
}

fn counting() -> (Work, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&count);
    let work = work("count", move || {
        own.fetch_add(1, Ordering::SeqCst);
    });
    (work, count)
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_micros(200));
    }
}

/// A door that items wait at, and that the test sees them at.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    waiting: AtomicUsize,
    passed: AtomicUsize,
    queue: WaitQueue,
    /// Those who wait without a word.
    hidden: (Mutex<()>, Condvar),
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Waits as a driver does, on a wait queue.
    fn wait(&self) {
        self.arrive(|| {
            let opened = self.queue.wait_until_timeout(DEADLINE, || self.is_open());
            assert!(opened.is_ready(), "the gate stayed shut");
        });
    }

    /// Waits in a way that nobody is told of. It sleeps all the time: on a busy machine, a thread that looks now
    /// and then waits for the processor whenever somebody looks at it.
    fn wait_hidden(&self) {
        self.arrive(|| {
            let (lock, opened) = &self.hidden;
            let wait =
                opened.wait_timeout_while(lock.lock().unwrap(), DEADLINE, |()| !self.is_open());
            assert!(!wait.unwrap().1.timed_out(), "the gate stayed shut");
        });
    }

    /// Keeps the CPU busy meanwhile.
    fn spin(&self) {
        self.arrive(|| {
            let deadline = Instant::now() + DEADLINE;
            while !self.is_open() {
                assert!(Instant::now() < deadline, "the gate stayed shut");
                std::hint::spin_loop();
            }
        });
    }

    fn arrive(&self, wait: impl FnOnce()) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        wait();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.passed.fetch_add(1, Ordering::SeqCst);
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }

    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.queue.wake_all();
        drop(self.hidden.0.lock().unwrap());
        self.hidden.1.notify_all();
    }

    fn wait_for_waiting(&self, items: usize) {
        wait_for("items at the gate", || self.waiting() == items);
    }

    fn work(self: &Arc<Self>) -> Work {
        let gate = Arc::clone(self);
        work("gate", move || gate.wait())
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn name_of_thread() -> String {
    std::fs::read_to_string("/proc/thread-self/comm").unwrap().trim_end().to_owned()
}
