//! From the signal of an eventfd to its handler, beside a loop over epoll that is written in C by hand.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::eventfd::EventFd;
use uio_core::irq::{
    CpuSet, Dispatcher, EventFdSource, Flags, Handler, IrqLine, IrqReturn, Registration,
    ThreadOptions,
};

use crate::peers::EpollLoop;
use crate::support::{Bench, Claim, cpu_time, percentile, pinned, thread_cpu_time, two_cpus};

const LOOP: &str = "C loop over epoll";

const MEDIAN: Claim = Claim::at_most(1.05, "signal to handler, asleep, median", LOOP);
const TAIL: Claim = Claim::at_most(1.10, "signal to handler, asleep, 99.9 %", LOOP).note(
    "One wake-up in a thousand: it is what else runs on the machine that decides, more than the loop.",
);
const BUSY: Claim = Claim::beside("signal to handler, one upon the other", LOOP);
const CPU: Claim = Claim::beside("CPU time of an event, one upon the other", LOOP);

/// How long the loop is left alone, to fall asleep.
const QUIET: Duration = Duration::from_micros(40);

pub(crate) fn run(bench: Bench) {
    let (ours, peer) = (Ours::new(), Peer::new());
    let _here = pinned(two_cpus().driver);
    let (asleep, busy) = (bench.ops(4000), bench.ops(4000));
    bench.compare_all([MEDIAN, TAIL], || latency(&ours, asleep), || latency(&peer, asleep));
    bench.compare_all([BUSY, CPU], || stream(&ours, busy), || stream(&peer, busy));
}

/// A loop that counts the signals of an eventfd.
trait Side {
    fn device(&self) -> &OwnedFd;

    fn handled(&self) -> &AtomicU64;

    /// Signals, and waits for the handler.
    fn once(&self) {
        let before = self.handled().load(Ordering::Acquire);
        nix::unistd::write(self.device(), &1_u64.to_ne_bytes()).expect("the count is not full");
        while self.handled().load(Ordering::Acquire) == before {
            std::hint::spin_loop();
        }
    }
}

/// The median and the 99.9th percentile.
fn latency(side: &impl Side, count: usize) -> [f64; 2] {
    let sample = |_| {
        let quiet = Instant::now() + QUIET;
        while Instant::now() < quiet {
            std::hint::spin_loop();
        }
        let start = Instant::now();
        side.once();
        start.elapsed().as_nanos() as f64
    };
    let mut samples: Vec<f64> = (0..count).map(sample).collect();
    [percentile(&mut samples, 0.5), percentile(&mut samples, 0.999)]
}

/// The time and the processor time of an event, of many one upon the other.
fn stream(side: &impl Side, count: usize) -> [f64; 2] {
    let (process, own, start) = (cpu_time(), thread_cpu_time(), Instant::now());
    (0..count).for_each(|_| side.once());
    let time = start.elapsed();
    let cpu = (cpu_time() - process).saturating_sub(thread_cpu_time() - own);
    [time, cpu].map(|span| span.as_nanos() as f64 / count as f64)
}

struct Count(AtomicU64);

impl Handler for Count {
    fn handle(&self) -> IrqReturn {
        self.0.fetch_add(1, Ordering::Release);
        IrqReturn::Handled
    }
}

struct Ours {
    device: OwnedFd,
    handler: Arc<Count>,
    _registration: Registration,
    _dispatcher: Dispatcher,
}

impl Ours {
    fn new() -> Self {
        let cpus = CpuSet::of([two_cpus().other]).expect("it is one of ours");
        let options = ThreadOptions { cpus: Some(cpus), ..ThreadOptions::default() };
        let dispatcher = Dispatcher::start_with("irq/bench", &options).expect("it starts");
        let source = EventFdSource::new().expect("there are descriptors");
        let device = source.trigger().expect("there are descriptors");
        let line = IrqLine::new("bench", Box::new(source), &dispatcher);
        let handler = Arc::new(Count(AtomicU64::new(0)));
        let registration = Registration::request(&line, Flags::empty(), "bench", handler.clone());
        let _registration = registration.expect("the line is free");
        Self { device, handler, _registration, _dispatcher: dispatcher }
    }
}

impl Side for Ours {
    fn device(&self) -> &OwnedFd {
        &self.device
    }

    fn handled(&self) -> &AtomicU64 {
        &self.handler.0
    }
}

struct Peer {
    device: OwnedFd,
    stop: Arc<EventFd>,
    handled: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    fn new() -> Self {
        let event_loop = EpollLoop::load();
        let fd = || EventFd::new().expect("there are descriptors");
        let (event, stop, handled) = (fd(), Arc::new(fd()), Arc::new(AtomicU64::new(0)));
        let device = event.as_fd().try_clone_to_owned().expect("there are descriptors");
        let (own_stop, own_handled) = (Arc::clone(&stop), Arc::clone(&handled));
        let thread = thread::spawn(move || {
            let _there = pinned(two_cpus().other);
            event_loop.run(event.as_fd(), own_stop.as_fd(), &own_handled);
        });
        Self { device, stop, handled, thread: Some(thread) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.write(1).expect("the count is not full");
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()), "the loop panicked");
    }
}

impl Side for Peer {
    fn device(&self) -> &OwnedFd {
        &self.device
    }

    fn handled(&self) -> &AtomicU64 {
        &self.handled
    }
}
