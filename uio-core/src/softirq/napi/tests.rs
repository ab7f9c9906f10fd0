//! A test per rule of `Documentation/networking/napi.rst`.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::device::sim::SimLine;
use crate::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};

const DEADLINE: Duration = Duration::from_secs(60);

/// A device with a queue of work, which interrupts when the queue stops being empty.
struct Device {
    queue: AtomicUsize,
    line: Arc<SimLine>,
    /// The budgets that it was polled with, and what it did.
    polls: Mutex<Vec<(usize, usize)>>,
}

impl Device {
    fn new() -> Arc<Self> {
        let line = SimLine::new().unwrap();
        Arc::new(Self { queue: AtomicUsize::new(0), line, polls: Mutex::new(Vec::new()) })
    }

    fn arrive(&self, work: usize) {
        if self.queue.fetch_add(work, Ordering::SeqCst) == 0 {
            self.line.raise();
        }
    }
}

struct Poller(Arc<Device>);

impl Poll for Poller {
    fn poll(&self, budget: usize) -> usize {
        let take = |queued: usize| Some(queued - queued.min(budget));
        let queued = self.0.queue.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap();
        let work = queued.min(budget);
        self.0.polls.lock().unwrap().push((budget, work));
        work
    }
}

struct TopHalf {
    napi: Napi,
    interrupts: AtomicU64,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        self.interrupts.fetch_add(1, Ordering::SeqCst);
        self.napi.schedule();
        IrqReturn::Handled
    }
}

/// In the order in which they go.
struct Bench {
    top_half: Arc<TopHalf>,
    _held: Registration,
    napi: Napi,
    line: IrqLine,
    device: Arc<Device>,
    softirqs: Arc<Softirqs>,
    _dispatcher: Dispatcher,
}

fn bench_with(device: &Arc<Device>, poller: impl Poll + 'static) -> Bench {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    let line = IrqLine::new("test", device.line.source(), &dispatcher);
    let napi = Napi::new(&softirqs, &line, "test", poller).unwrap();
    let top_half = Arc::new(TopHalf { napi: napi.clone(), interrupts: AtomicU64::new(0) });
    let held = Registration::request(&line, Flags::empty(), "test", top_half.clone()).unwrap();
    let device = Arc::clone(device);
    Bench { top_half, _held: held, napi, line, device, softirqs, _dispatcher: dispatcher }
}

fn bench() -> Bench {
    let device = Device::new();
    bench_with(&device, Poller(Arc::clone(&device)))
}

impl Bench {
    fn wait_idle(&self) {
        wait_until("an idle device", || {
            self.device.queue.load(Ordering::SeqCst) == 0
                && !self.napi.inner().state.is_busy()
                && !self.line.is_masked()
        });
    }

    fn interrupts(&self) -> u64 {
        self.top_half.interrupts.load(Ordering::SeqCst)
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::yield_now();
    }
}

#[test]
fn a_poll_that_does_less_than_its_budget_goes_back_to_interrupts() {
    let bench = bench();
    bench.device.arrive(10);
    bench.wait_idle();
    assert_eq!(*bench.device.polls.lock().unwrap(), [(POLL_WEIGHT, 10)]);
    bench.device.arrive(1);
    bench.wait_idle();
    assert_eq!(bench.interrupts(), 2);
    assert_eq!(bench.napi.stats(), NapiStats { polls: 2, work: 11, completed: 2 });
}

#[test]
fn a_burst_is_polled_64_at_a_time_under_one_interrupt() {
    let bench = bench();
    bench.device.arrive(1000);
    bench.wait_idle();
    assert_eq!(bench.interrupts(), 1);
    let polls = bench.device.polls.lock().unwrap();
    assert_eq!(polls.len(), 1000 / POLL_WEIGHT + 1);
    assert!(polls.iter().all(|&(budget, work)| budget == POLL_WEIGHT && work <= POLL_WEIGHT));
}

#[test]
fn a_burst_of_an_exact_multiple_of_the_weight_needs_one_more_poll_to_end() {
    let bench = bench();
    bench.device.arrive(2 * POLL_WEIGHT);
    bench.wait_idle();
    let works: Vec<usize> = bench.device.polls.lock().unwrap().iter().map(|poll| poll.1).collect();
    assert_eq!(works, [POLL_WEIGHT, POLL_WEIGHT, 0]);
}

#[test]
fn an_idle_device_is_not_polled() {
    let bench = bench();
    bench.device.arrive(1);
    bench.wait_idle();
    let runs = || bench.softirqs.stats().vector(Vector::NetRx).runs;
    // A run is counted at its end.
    wait_until("the end of the run", || runs() == 1);
    let polls = bench.napi.stats().polls;
    thread::sleep(Duration::from_millis(20));
    assert_eq!((bench.napi.stats().polls, runs()), (polls, 1));
}

#[test]
fn schedule_while_scheduled_polls_once_more() {
    /// Schedules itself from inside its poll, once.
    struct Again(Mutex<Option<Napi>>, Arc<AtomicU64>);
    impl Poll for Arc<Again> {
        fn poll(&self, _budget: usize) -> usize {
            self.1.fetch_add(1, Ordering::SeqCst);
            if let Some(napi) = self.0.lock().unwrap().take() {
                assert!(!napi.schedule(), "it is scheduled");
            }
            0
        }
    }
    let again = Arc::new(Again(Mutex::new(None), Arc::new(AtomicU64::new(0))));
    let bench = bench_with(&Device::new(), Arc::clone(&again));
    *again.0.lock().unwrap() = Some(bench.napi.clone());
    assert!(bench.napi.schedule());
    wait_until("the second poll", || again.1.load(Ordering::SeqCst) == 2);
    bench.wait_idle();
    assert_eq!(again.1.load(Ordering::SeqCst), 2);
}

#[test]
fn work_that_came_before_the_unmask_without_an_interrupt_is_found_by_the_last_look() {
    /// A device that never interrupts for what comes while it is polled.
    struct Silent(Arc<Device>, AtomicBool);
    impl Poll for Silent {
        fn poll(&self, budget: usize) -> usize {
            let work = Poller(Arc::clone(&self.0)).poll(budget);
            if !self.1.swap(true, Ordering::SeqCst) {
                self.0.queue.fetch_add(5, Ordering::SeqCst);
            }
            work
        }
        fn has_work(&self) -> bool {
            self.0.queue.load(Ordering::SeqCst) > 0
        }
    }
    let device = Device::new();
    let bench = bench_with(&device, Silent(Arc::clone(&device), AtomicBool::new(false)));
    device.arrive(1);
    bench.wait_idle();
    assert_eq!(bench.napi.stats().work, 6);
    assert_eq!(bench.interrupts(), 1);
}

#[test]
fn no_work_is_lost_in_a_thousand_arrivals_at_any_moment() {
    let bench = bench();
    let mut sent = 0;
    for round in 0..1000 {
        let work = round % 7 + 1;
        sent += work;
        bench.device.arrive(work);
        (0..round % 64).for_each(|_| std::hint::spin_loop());
    }
    bench.wait_idle();
    assert_eq!(bench.napi.stats().work, sent as u64);
}

#[test]
fn disable_waits_and_what_is_scheduled_meanwhile_is_polled_after_enable() {
    let bench = bench();
    bench.napi.disable();
    bench.device.arrive(3);
    wait_until("the interrupt", || bench.interrupts() == 1);
    assert!(!bench.napi.is_scheduled());
    assert!(!bench.napi.schedule());
    thread::sleep(Duration::from_millis(5));
    assert_eq!(bench.napi.stats().polls, 0);
    bench.napi.enable();
    bench.wait_idle();
    assert_eq!(bench.napi.stats().work, 3);
}

#[test]
fn all_polls_of_a_round_together_do_at_most_300() {
    let bench = bench();
    let others: Vec<(Arc<Device>, Napi)> = (0..8)
        .map(|_| {
            let device = Device::new();
            let line = IrqLine::new("other", device.line.source(), &bench._dispatcher);
            let poller = Poller(Arc::clone(&device));
            let napi = Napi::new(&bench.softirqs, &line, "other", poller).unwrap();
            device.queue.store(POLL_WEIGHT, Ordering::SeqCst);
            (device, napi)
        })
        .collect();
    let held = bench.softirqs.bh_disable();
    others.iter().for_each(|(_, napi)| assert!(napi.schedule()));
    drop(held);
    wait_until("all work", || others.iter().all(|(_, napi)| napi.stats().work == 64));
    assert!(bench.softirqs.stats().squeezed >= 1, "8 * 64 are more than 300");
    // A run is counted at its end.
    wait_until("two runs", || bench.softirqs.stats().vector(Vector::NetRx).runs >= 2);
}

#[test]
fn a_poll_that_panics_is_not_polled_again_and_its_line_stays_masked() {
    struct Bad;
    impl Poll for Bad {
        fn poll(&self, _budget: usize) -> usize {
            panic!("a bug of the driver")
        }
    }
    let bench = bench_with(&Device::new(), Bad);
    bench.napi.schedule();
    wait_until("the end", || !bench.napi.inner().state.is_busy());
    assert!(bench.line.is_masked() && !bench.napi.schedule());
}

#[test]
fn net_rx_is_open_for_one_of_both() {
    let bench = bench();
    let error = bench.softirqs.open(Vector::NetRx, || ()).unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY);
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    softirqs.open(Vector::NetRx, || ()).unwrap();
    let poller = Poller(Arc::clone(&bench.device));
    let error = Napi::new(&softirqs, &bench.line, "late", poller).unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY);
}
