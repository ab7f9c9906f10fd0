//! From a top half to what runs after it without a thread of its own: softirqs, tasklets, adaptive polling.
//!
//! That a tasklet costs no system call and no allocation is counted: `tests/interrupt_cost.rs` and the scenario
//! `eventfd_cost`. Here is what it costs in time.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use uio_core::irq::{Dispatcher, EventFdSource, Flags, Handler, IrqLine, IrqReturn, Registration};
use uio_core::softirq::{Softirqs, Tasklet, Vector};

use crate::support::{Bench, Claim, ns_each};

/// Tasklets that one top half schedules.
const CROWD: usize = 64;

pub(crate) fn run(bench: Bench) {
    let passes = bench.ops(400);
    let (tasklets, softirq) = (TopHalf::with_tasklets(), TopHalf::with_a_softirq());
    bench.compare(
        Claim::at_most(1.0, "a tasklet: scheduled, run", "tokio spawn, current thread"),
        || tasklets.cost(passes, CROWD),
        || tokio_tasks(passes, CROWD),
    );
    bench.compare(
        Claim::beside("a tasklet: scheduled, run", "crossbeam channel of functions")
            .note("The channel alone, without the right to schedule twice, disable, kill."),
        || tasklets.cost(passes, CROWD),
        || channel(passes),
    );
    bench.compare(
        Claim::at_most(
            1.0,
            "a softirq: raised by a top half, run",
            "tokio spawn and await, current thread",
        ),
        || softirq.cost(passes, 1),
        || tokio_tasks(passes, 1),
    );
}

/// A dispatcher, a line that we signal, and a handler that hands over. The time is taken on the dispatcher, from
/// the first thing that the top half does to the last that the bottom half does.
struct TopHalf {
    device: std::os::fd::OwnedFd,
    shared: Arc<Timing>,
    _held: Registration,
    _dispatcher: Dispatcher,
}

struct Timing {
    start: Mutex<Instant>,
    nanoseconds: AtomicU64,
    rounds: AtomicU64,
}

impl Timing {
    fn begin(&self) {
        *self.start.lock().expect("nobody panicked") = Instant::now();
    }

    fn end(&self) {
        let span = self.start.lock().expect("nobody panicked").elapsed();
        self.nanoseconds.fetch_add(span.as_nanos() as u64, Ordering::Relaxed);
        self.rounds.fetch_add(1, Ordering::Release);
    }
}

struct HandOver<F>(Arc<Timing>, F);

impl<F: Fn() + Send + Sync> Handler for HandOver<F> {
    fn handle(&self) -> IrqReturn {
        self.0.begin();
        (self.1)();
        IrqReturn::Handled
    }
}

impl TopHalf {
    fn new<F: Fn() + Send + Sync + 'static>(
        hand_over: impl FnOnce(&Arc<Softirqs>, &Arc<Timing>) -> F,
    ) -> Self {
        let dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
        let softirqs = Softirqs::attach(&dispatcher);
        let source = EventFdSource::new().expect("there are descriptors");
        let device = source.trigger().expect("there are descriptors");
        let line = IrqLine::new("bench", Box::new(source), &dispatcher);
        let (start, nanoseconds, rounds) =
            (Mutex::new(Instant::now()), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Timing { start, nanoseconds, rounds });
        let handler = Arc::new(HandOver(Arc::clone(&shared), hand_over(&softirqs, &shared)));
        let held = Registration::request(&line, Flags::empty(), "bench", handler);
        let _held = held.expect("the line is free");
        Self { device, shared, _held, _dispatcher: dispatcher }
    }

    fn with_tasklets() -> Self {
        Self::new(|softirqs, timing| {
            let tasklet = |function: Box<dyn Fn() + Send + Sync>| {
                Tasklet::new(softirqs, "bench", function).expect("there is room")
            };
            let last = Arc::clone(timing);
            let mut crowd: Vec<Tasklet> = (1..CROWD).map(|_| tasklet(Box::new(work))).collect();
            crowd.push(tasklet(Box::new(move || last.end())));
            move || crowd.iter().for_each(|tasklet| assert!(tasklet.schedule()))
        })
    }

    fn with_a_softirq() -> Self {
        Self::new(|softirqs, timing| {
            let last = Arc::clone(timing);
            softirqs.open(Vector::Block, move || last.end()).expect("nobody has it");
            let softirqs = Arc::clone(softirqs);
            move || softirqs.raise(Vector::Block)
        })
    }

    /// Nanoseconds of each of `crowd` that a pass hands over.
    fn cost(&self, passes: usize, crowd: usize) -> f64 {
        let rounds = || self.shared.rounds.load(Ordering::Acquire);
        self.shared.nanoseconds.store(0, Ordering::Relaxed);
        for _ in 0..passes {
            let before = rounds();
            nix::unistd::write(&self.device, &1_u64.to_ne_bytes()).expect("the count is not full");
            while rounds() == before {
                thread::yield_now();
            }
        }
        self.shared.nanoseconds.load(Ordering::Relaxed) as f64 / (passes * crowd) as f64
    }
}

fn work() {
    black_box(());
}

fn tokio_tasks(passes: usize, crowd: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime starts");
    ns_each(passes * crowd, || {
        for _ in 0..passes {
            runtime.block_on(async {
                // The last of them is waited for, and comes after the others.
                let tasks = (0..crowd).map(|_| tokio::spawn(async { work() }));
                let last = tasks.reduce(|_, task| task).expect("there is one");
                last.await.expect("it does not panic");
            });
        }
    })
}

fn channel(passes: usize) -> f64 {
    let (sender, receiver) = crossbeam_channel::bounded::<Arc<dyn Fn() + Send + Sync>>(CROWD);
    let functions: Vec<Arc<dyn Fn() + Send + Sync>> =
        (0..CROWD).map(|_| Arc::new(work) as Arc<dyn Fn() + Send + Sync>).collect();
    ns_each(passes * CROWD, || {
        for _ in 0..passes {
            for function in &functions {
                sender.send(Arc::clone(function)).expect("there is room");
            }
            (0..CROWD).for_each(|_| receiver.recv().expect("there are as many")());
        }
    })
}
