//! From a top half to an item of work: the processor time of queueing it, waking a worker and running it.
//!
//! The one who queues stands for the dispatcher in a top half: afterwards it goes to sleep, and only its time inside
//! of the calls counts. What the workers use is what the process used, less what the one who queues did. No
//! thread is pinned: where the workers run is part of what is measured. Ours are those of the processor on which
//! the item was queued, as the kernel's are, so that none has to be woken on another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use uio_core::workqueue::{Work, Workqueue};

use crate::support::{Bench, Claim, cpu_time, thread_cpu_time};

const BURST: usize = 64;
/// How long the one who queues sleeps at a time.
const PAUSE: Duration = Duration::from_micros(100);

const SPAWN_BLOCKING: &str = "tokio spawn_blocking";
const THREADPOOL: &str = "threadpool execute";

const fn single(peer: &'static str) -> Claim {
    Claim::times_less(3.0, "CPU time of an item of work, one at a time", peer).note(
        "Waking a thread and putting it to sleep is most of it, and all sides do that once. Ours does it on the \
         processor that queued; the peer is dearer by what it costs to wake another processor, which is little \
         where that one is busy.",
    )
}

const fn burst(peer: &'static str) -> Claim {
    Claim::times_less(3.0, "CPU time of an item of work, in bursts of 64", peer).note(
        "An item can be cancelled, flushed, disabled and queued again at any moment and from anywhere, and never \
         runs beside itself; that takes some 30 atomic operations on its way. The peer's is a box in a channel, \
         which can do nothing of that. Both wake a thread once in a burst.",
    )
}

pub(crate) fn run(bench: Bench) {
    let (ours, tokio, pool) = (Ours::new(), Tokio::new(), Pool::new());
    let (singles, bursts) = (bench.ops(400), bench.ops(100));
    bench.compare(single(SPAWN_BLOCKING), || cost(&ours, singles, 1), || cost(&tokio, singles, 1));
    bench.compare(single(THREADPOOL), || cost(&ours, singles, 1), || cost(&pool, singles, 1));
    let many = |side: &dyn Side| cost(side, bursts, BURST);
    bench.compare(burst(SPAWN_BLOCKING), || many(&ours), || many(&tokio));
    bench.compare(burst(THREADPOOL), || many(&ours), || many(&pool));
}

/// Who runs items. Each adds one to `done`.
trait Side {
    fn queue(&self, number: usize);

    fn done(&self) -> &AtomicUsize;
}

/// Nanoseconds of processor time of an item, of `rounds` bursts with `burst` each.
fn cost(side: &dyn Side, rounds: usize, burst: usize) -> f64 {
    let (process, own) = (cpu_time(), thread_cpu_time());
    let mut queueing = Duration::ZERO;
    for _ in 0..rounds {
        let goal = side.done().load(Ordering::Acquire) + burst;
        let start = thread_cpu_time();
        (0..burst).for_each(|number| side.queue(number));
        queueing += thread_cpu_time() - start;
        while side.done().load(Ordering::Acquire) < goal {
            thread::sleep(PAUSE);
        }
        // So that the workers fall asleep.
        thread::sleep(PAUSE);
    }
    let workers = (cpu_time() - process).saturating_sub(thread_cpu_time() - own);
    (workers + queueing).as_nanos() as f64 / (rounds * burst) as f64
}

struct Ours {
    queue: Workqueue,
    items: Vec<Work>,
    done: Arc<AtomicUsize>,
}

impl Ours {
    fn new() -> Self {
        let queue = Workqueue::builder("bench").build();
        let done = Arc::new(AtomicUsize::new(0));
        let item = || {
            let done = Arc::clone(&done);
            let count = move || {
                done.fetch_add(1, Ordering::Release);
            };
            Work::new("bench", Arc::new(count))
        };
        let items = (0..BURST).map(|_| item()).collect();
        Self { queue: queue.expect("a queue is made"), items, done }
    }
}

impl Side for Ours {
    fn queue(&self, number: usize) {
        self.queue.enqueue(&self.items[number]);
    }

    fn done(&self) -> &AtomicUsize {
        &self.done
    }
}

struct Tokio {
    runtime: tokio::runtime::Runtime,
    done: Arc<AtomicUsize>,
}

impl Tokio {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let side = Self { runtime: runtime.expect("a runtime starts"), done: Arc::default() };
        // Its threads are made by those who spawn.
        (0..BURST).for_each(|number| side.queue(number));
        while side.done.load(Ordering::Acquire) < BURST {
            thread::yield_now();
        }
        side
    }
}

impl Side for Tokio {
    fn queue(&self, _: usize) {
        let done = Arc::clone(&self.done);
        drop(self.runtime.spawn_blocking(move || done.fetch_add(1, Ordering::Release)));
    }

    fn done(&self) -> &AtomicUsize {
        &self.done
    }
}

struct Pool {
    pool: threadpool::ThreadPool,
    done: Arc<AtomicUsize>,
}

impl Pool {
    fn new() -> Self {
        Self { pool: threadpool::ThreadPool::default(), done: Arc::default() }
    }
}

impl Side for Pool {
    fn queue(&self, _: usize) {
        let done = Arc::clone(&self.done);
        self.pool.execute(move || {
            done.fetch_add(1, Ordering::Release);
        });
    }

    fn done(&self) -> &AtomicUsize {
        &self.done
    }
}
