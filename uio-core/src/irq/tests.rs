//! Dispatcher, lines and registrations together, over an eventfd that stands in for a device. The tests of
//! one facility each are in the files beside, and use what is made here.

mod affinity;
mod chain;
mod contexts;
mod disable;
mod hold;
mod locking;
mod spurious;
mod storm;
mod threaded;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::*;
use crate::error::Result;
use crate::sync::WaitQueue;

const DEADLINE: Duration = Duration::from_secs(60);

/// A device that counts in an eventfd, and remembers what the line asked of it.
struct Device {
    fd: EventFd,
    unmasked: AtomicU64,
    masked: AtomicU64,
    gone: AtomicBool,
}

impl Device {
    fn new() -> Arc<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Arc::new(Self {
            fd: EventFd::from_flags(flags).unwrap(),
            unmasked: AtomicU64::new(0),
            masked: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        })
    }

    fn raise(&self, times: u64) {
        self.fd.write(times).unwrap();
    }

    fn unplug(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.raise(1);
    }
}

struct Source(Arc<Device>);

impl LineSource for Source {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    fn take(&self) -> Result<u32, Errno> {
        if self.0.gone.load(Ordering::SeqCst) {
            return Err(Errno::ENODEV);
        }
        match self.0.fd.read() {
            Ok(count) => Ok(u32::try_from(count).unwrap()),
            Err(Errno::EAGAIN) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    fn unmask(&self) -> Result<(), Errno> {
        self.0.unmasked.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn mask(&self) -> Result<(), Errno> {
        self.0.masked.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn masks_itself(&self) -> bool {
        true
    }
}

/// Counts its calls, does what it is told, and wakes the test.
struct Probe {
    calls: AtomicU64,
    woken: WaitQueue,
    act: Box<dyn Fn(u64) -> IrqReturn + Send + Sync>,
}

impl Probe {
    fn new(act: impl Fn(u64) -> IrqReturn + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { calls: AtomicU64::new(0), woken: WaitQueue::new(), act: Box::new(act) })
    }

    fn handled() -> Arc<Self> {
        Self::new(|_| IrqReturn::Handled)
    }

    fn wait_for(&self, calls: u64) {
        let reached =
            self.woken.wait_until_timeout(DEADLINE, || self.calls.load(Ordering::SeqCst) >= calls);
        assert!(reached.is_ready(), "the handler was not called {calls} times");
    }
}

impl Handler for Probe {
    fn handle(&self) -> IrqReturn {
        let result = (self.act)(self.calls.load(Ordering::SeqCst));
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.woken.wake_all();
        result
    }
}

fn bench() -> (Dispatcher, Arc<Device>, IrqLine) {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let device = Device::new();
    let line = IrqLine::new("test", Box::new(Source(Arc::clone(&device))), &dispatcher);
    (dispatcher, device, line)
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come about");
        thread::yield_now();
    }
}

#[test]
fn an_interrupt_reaches_its_handler_and_the_line_is_unmasked_after_it() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    assert_eq!(device.unmasked.load(Ordering::SeqCst), 1, "the first request unmasks");
    device.raise(1);
    probe.wait_for(1);
    wait_until("the unmask", || device.unmasked.load(Ordering::SeqCst) == 2);
    assert_eq!(line.stats().handled, 1);
}

#[test]
fn coalesced_interrupts_are_one_round_and_are_counted_as_missed() {
    let (_dispatcher, device, line) = bench();
    device.raise(5);
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    probe.wait_for(1);
    wait_until("the count", || line.stats().handled == 1);
    let stats = line.stats();
    assert_eq!((stats.raised, stats.missed, stats.none), (5, 4, 0));
}

#[test]
fn every_handler_of_a_shared_line_is_asked_in_order_of_registration() {
    let (_dispatcher, device, line) = bench();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str, result| {
        let order = Arc::clone(&order);
        Probe::new(move |_| {
            order.lock().unwrap().push(name);
            result
        })
    };
    let (first, second) = (note("first", IrqReturn::Handled), note("second", IrqReturn::None));
    let _first = Registration::request(&line, Flags::SHARED, "first", first).unwrap();
    let _second = Registration::request(&line, Flags::SHARED, "second", second.clone()).unwrap();
    assert_eq!(line.handlers(), ["first", "second"]);
    device.raise(1);
    second.wait_for(1);
    assert_eq!(*order.lock().unwrap(), ["first", "second"]);
}

#[test]
fn an_interrupt_that_nobody_wants_is_counted_as_none() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::new(|_| IrqReturn::None);
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.raise(1);
    wait_until("the count", || line.stats().none == 1);
    assert_eq!(line.stats().handled, 0);
}

#[test]
fn a_line_is_shared_only_if_everybody_agrees() {
    let (_dispatcher, _device, line) = bench();
    let _held = Registration::request(&line, Flags::SHARED, "one", Probe::handled()).unwrap();
    let error = Registration::request(&line, Flags::empty(), "two", Probe::handled()).unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY);
    assert!(error.to_string().contains("one has it"), "{error}");
}

#[test]
fn what_fires_while_masked_runs_when_unmasked() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    line.mask();
    device.raise(1);
    wait_until("the count", || line.stats().raised == 1);
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    line.unmask();
    probe.wait_for(1);
}

#[test]
fn a_bottom_half_on_another_thread_may_unmask() {
    let (_dispatcher, device, line) = bench();
    let masking = line.clone();
    let probe = Probe::new(move |_| {
        masking.mask();
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    for round in 1..=100 {
        device.raise(1);
        probe.wait_for(round);
        line.unmask();
    }
    wait_until("the unmasks", || device.unmasked.load(Ordering::SeqCst) == 101);
    assert!(!line.is_masked());
}

#[test]
fn dropping_the_last_registration_masks_the_device_and_waits_for_the_handler() {
    let (_dispatcher, device, line) = bench();
    let gate = Arc::new(Mutex::new(()));
    let running = Arc::new(AtomicBool::new(false));
    let probe = {
        let (gate, running) = (Arc::clone(&gate), Arc::clone(&running));
        Probe::new(move |_| {
            running.store(true, Ordering::SeqCst);
            drop(gate.lock().unwrap());
            running.store(false, Ordering::SeqCst);
            IrqReturn::Handled
        })
    };
    let held = Registration::request(&line, Flags::empty(), "probe", probe).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the handler", || running.load(Ordering::SeqCst));
    let release = thread::spawn(move || drop(held));
    wait_until("the mask", || device.masked.load(Ordering::SeqCst) == 1);
    assert!(!release.is_finished(), "the drop waits for the handler");
    drop(closed);
    release.join().unwrap();
    assert!(!running.load(Ordering::SeqCst));
    assert!(line.handlers().is_empty());
}

#[test]
fn a_handler_may_leave_the_chain_from_inside_itself() {
    let (_dispatcher, device, line) = bench();
    let held: Arc<Mutex<Option<Registration>>> = Arc::new(Mutex::new(None));
    let probe = {
        let held = Arc::clone(&held);
        Probe::new(move |_| {
            drop(held.lock().unwrap().take());
            IrqReturn::Handled
        })
    };
    *held.lock().unwrap() =
        Some(Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap());
    device.raise(1);
    probe.wait_for(1);
    wait_until("an empty chain", || line.handlers().is_empty());
}

#[test]
fn a_line_may_be_requested_again_after_its_last_handler_left() {
    let (_dispatcher, device, line) = bench();
    for round in 0..3 {
        let probe = Probe::handled();
        let held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
        device.raise(1);
        probe.wait_for(1);
        drop(held);
        assert_eq!(device.masked.load(Ordering::SeqCst), round + 1);
    }
}

#[test]
fn a_device_that_goes_away_is_reported_once_and_never_served_again() {
    let (_dispatcher, device, line) = bench();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reports);
    line.on_gone(move |errno| seen.lock().unwrap().push(errno));
    let probe = Probe::handled();
    let held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.unplug();
    device.unplug();
    wait_until("the report", || !reports.lock().unwrap().is_empty());
    drop(held);
    assert_eq!(*reports.lock().unwrap(), [Errno::ENODEV]);
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    let error = Registration::request(&line, Flags::empty(), "probe", probe).unwrap_err();
    assert_eq!(error.errno(), Errno::ENODEV);
}

#[test]
fn a_handler_that_panics_ends_its_line_and_no_other() {
    let (dispatcher, device, line) = bench();
    let probe = Probe::new(|_| panic!("a bug of the driver"));
    let _held = Registration::request(&line, Flags::empty(), "bad", probe).unwrap();
    let other = Device::new();
    let other_line = IrqLine::new("other", Box::new(Source(Arc::clone(&other))), &dispatcher);
    let good = Probe::handled();
    let _good = Registration::request(&other_line, Flags::empty(), "good", good.clone()).unwrap();
    device.raise(1);
    wait_until("the end of the line", || line.line.state.is_dead());
    other.raise(1);
    good.wait_for(1);
}

#[test]
fn a_dispatcher_serves_a_storm_without_losing_the_last_interrupt() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe).unwrap();
    (0..20_000).for_each(|_| device.raise(1));
    wait_until("every interrupt", || line.stats().raised == 20_000);
    wait_until("the last round", || {
        let stats = line.stats();
        stats.handled + stats.missed == 20_000
    });
}
