//! Adaptive polling beside an interrupt for each event, of a device that has bursts of 64.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use uio_core::irq::{Dispatcher, EventFdSource, Flags, Handler, IrqLine, IrqReturn, Registration};
use uio_core::softirq::{Napi, Poll, Softirqs};

use crate::support::{Bench, Claim, cpu_time};

const BURST: usize = 64;

pub(crate) fn run(bench: Bench) {
    let bursts = bench.ops(1000);
    let (polled, interrupting) = (Polled::new(), Interrupting::new());
    bench.compare(
        Claim::times_less(1.0, "CPU time of an event, bursts of 64, polled", "an interrupt each"),
        || cost(&polled.device, bursts),
        || cost(&interrupting.device, bursts),
    );
}

/// The device: events that wait, and a line that it signals while it is armed.
struct Device {
    fd: OwnedFd,
    /// It signals events one by one, whether or not those before were taken.
    always: bool,
    armed: AtomicBool,
    waiting: AtomicUsize,
    taken: AtomicUsize,
}

impl Device {
    fn event(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if self.always || self.armed.swap(false, Ordering::SeqCst) {
            nix::unistd::write(&self.fd, &1_u64.to_ne_bytes()).expect("the count is not full");
        }
    }

    /// Takes at most `most` events, as a driver walks a ring of descriptors.
    fn take(&self, most: usize) -> usize {
        let count = self.waiting.load(Ordering::SeqCst).min(most);
        self.waiting.fetch_sub(count, Ordering::SeqCst);
        self.taken.fetch_add(count, Ordering::Release);
        count
    }
}

/// Nanoseconds of processor time of an event, the device's own among them.
fn cost(device: &Device, bursts: usize) -> f64 {
    let start = cpu_time();
    for _ in 0..bursts {
        let goal = device.taken.load(Ordering::Acquire) + BURST;
        (0..BURST).for_each(|_| device.event());
        while device.taken.load(Ordering::Acquire) < goal {
            thread::sleep(Duration::from_micros(20));
        }
    }
    (cpu_time() - start).as_nanos() as f64 / (bursts * BURST) as f64
}

/// A dispatcher, a line on it and the device behind the line.
fn world(always: bool) -> (Dispatcher, IrqLine, Arc<Device>) {
    let dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
    let source = EventFdSource::new().expect("there are descriptors");
    let device = Device {
        fd: source.trigger().expect("there are descriptors"),
        always,
        armed: AtomicBool::new(true),
        waiting: AtomicUsize::new(0),
        taken: AtomicUsize::new(0),
    };
    let line = IrqLine::new("bench", Box::new(source), &dispatcher);
    (dispatcher, line, Arc::new(device))
}

struct TakesAll(Arc<Device>);

impl Handler for TakesAll {
    fn handle(&self) -> IrqReturn {
        self.0.take(usize::MAX);
        IrqReturn::Handled
    }
}

struct Interrupting {
    device: Arc<Device>,
    _held: Registration,
    _dispatcher: Dispatcher,
}

impl Interrupting {
    fn new() -> Self {
        let (dispatcher, line, device) = world(true);
        let handler = Arc::new(TakesAll(Arc::clone(&device)));
        let held = Registration::request(&line, Flags::empty(), "bench", handler);
        Self { device, _held: held.expect("the line is free"), _dispatcher: dispatcher }
    }
}

/// Polls, and arms the device when nothing is left.
struct Poller(Arc<Device>);

impl Poll for Poller {
    fn poll(&self, budget: usize) -> usize {
        let work = self.0.take(budget);
        if work < budget {
            self.0.armed.store(true, Ordering::SeqCst);
        }
        work
    }

    fn has_work(&self) -> bool {
        self.0.waiting.load(Ordering::SeqCst) > 0
    }
}

struct Schedules(Napi);

impl Handler for Schedules {
    fn handle(&self) -> IrqReturn {
        self.0.schedule();
        IrqReturn::Handled
    }
}

struct Polled {
    device: Arc<Device>,
    _held: Registration,
    _dispatcher: Dispatcher,
}

impl Polled {
    fn new() -> Self {
        let (dispatcher, line, device) = world(false);
        let softirqs = Softirqs::attach(&dispatcher);
        let napi = Napi::new(&softirqs, &line, "bench", Poller(Arc::clone(&device)));
        let handler = Arc::new(Schedules(napi.expect("nobody polls yet")));
        let held = Registration::request(&line, Flags::empty(), "bench", handler);
        Self { device, _held: held.expect("the line is free"), _dispatcher: dispatcher }
    }
}
