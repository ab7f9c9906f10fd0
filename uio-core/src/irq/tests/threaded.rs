//! The rules of `request_threaded_irq`.

use super::*;
use crate::sync::testing::Reports;

type Act = Box<dyn Fn() -> ThreadedIrqReturn + Send + Sync>;

/// A handler of two halves; the thread function is a probe.
struct Halves {
    primary: Option<Act>,
    thread_fn: Arc<Probe>,
}

impl Halves {
    fn new(thread_fn: &Arc<Probe>) -> Arc<Self> {
        Arc::new(Self { primary: None, thread_fn: Arc::clone(thread_fn) })
    }

    fn with(
        primary: impl Fn() -> ThreadedIrqReturn + Send + Sync + 'static,
        thread_fn: &Arc<Probe>,
    ) -> Arc<Self> {
        Arc::new(Self { primary: Some(Box::new(primary)), thread_fn: Arc::clone(thread_fn) })
    }
}

impl ThreadedHandler for Halves {
    fn handle(&self) -> ThreadedIrqReturn {
        self.primary.as_ref().map_or(ThreadedIrqReturn::WakeThread, |primary| primary())
    }

    fn handle_threaded(&self) -> IrqReturn {
        self.thread_fn.handle()
    }

    fn has_primary(&self) -> bool {
        self.primary.is_some()
    }
}

#[test]
fn a_threaded_handler_without_a_primary_one_needs_oneshot() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let refused =
        ThreadedRegistration::request(&line, Flags::empty(), "probe", Halves::new(&probe));
    let error = refused.unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL);
    assert!(error.hint().unwrap().contains("ONESHOT"), "{error}");
    let _held =
        ThreadedRegistration::request(&line, Flags::ONESHOT, "probe", Halves::new(&probe)).unwrap();
    device.raise(1);
    probe.wait_for(1);
}

#[test]
fn the_default_primary_handler_only_wakes_the_thread_which_is_called_irq_and_the_name() {
    let (_dispatcher, device, line) = bench();
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let probe = Probe::new(move |_| {
        let name = thread::current().name().map(str::to_owned);
        *note.lock().unwrap() = Some((name, current_level()));
        IrqReturn::Handled
    });
    let _held =
        ThreadedRegistration::request(&line, Flags::ONESHOT, "edu", Halves::new(&probe)).unwrap();
    device.raise(1);
    probe.wait_for(1);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, Some((Some("irq/edu".to_owned()), Level::Task)));
}

#[test]
fn oneshot_keeps_the_line_masked_until_the_thread_function_has_run() {
    let (_dispatcher, device, line) = bench();
    let gate = Arc::new(Mutex::new(()));
    let running = Arc::new(AtomicBool::new(false));
    let probe = {
        let (gate, running) = (Arc::clone(&gate), Arc::clone(&running));
        Probe::new(move |_| {
            running.store(true, Ordering::SeqCst);
            drop(gate.lock().unwrap());
            IrqReturn::Handled
        })
    };
    let _held =
        ThreadedRegistration::request(&line, Flags::ONESHOT, "probe", Halves::new(&probe)).unwrap();
    assert_eq!(device.unmasked.load(Ordering::SeqCst), 1);
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the thread", || running.load(Ordering::SeqCst));
    thread::sleep(Duration::from_millis(5));
    assert_eq!(device.unmasked.load(Ordering::SeqCst), 1, "still masked");
    drop(closed);
    wait_until("the unmask", || device.unmasked.load(Ordering::SeqCst) == 2);
}

#[test]
fn without_oneshot_the_line_fires_again_while_the_thread_function_runs() {
    let (_dispatcher, device, line) = bench();
    let gate = Arc::new(Mutex::new(()));
    let probe = {
        let gate = Arc::clone(&gate);
        Probe::new(move |_| {
            drop(gate.lock().unwrap());
            IrqReturn::Handled
        })
    };
    let primaries = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&primaries);
    let handler = Halves::with(
        move || {
            count.fetch_add(1, Ordering::SeqCst);
            ThreadedIrqReturn::WakeThread
        },
        &probe,
    );
    let _held = ThreadedRegistration::request(&line, Flags::empty(), "probe", handler).unwrap();
    let closed = gate.lock().unwrap();
    for count in 1..=3 {
        device.raise(1);
        wait_until("the primary", || primaries.load(Ordering::SeqCst) == count);
    }
    drop(closed);
    probe.wait_for(1);
}

#[test]
fn a_thread_woken_while_its_function_runs_runs_it_once_more() {
    let (_dispatcher, device, line) = bench();
    let gate = Arc::new(Mutex::new(()));
    let started = Arc::new(AtomicU64::new(0));
    let probe = {
        let (gate, started) = (Arc::clone(&gate), Arc::clone(&started));
        Probe::new(move |_| {
            started.fetch_add(1, Ordering::SeqCst);
            drop(gate.lock().unwrap());
            IrqReturn::Handled
        })
    };
    let handler = Halves::with(|| ThreadedIrqReturn::WakeThread, &probe);
    let held = ThreadedRegistration::request(&line, Flags::empty(), "probe", handler).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the thread", || started.load(Ordering::SeqCst) == 1);
    for round in 2..=4 {
        device.raise(1);
        wait_until("the round", || line.stats().handled == round);
    }
    drop(closed);
    held.synchronize();
    assert_eq!(probe.calls.load(Ordering::SeqCst), 2, "three wake-ups while it ran, one run");
}

#[test]
fn a_shared_oneshot_line_stays_masked_until_every_thread_function_has_run() {
    let (_dispatcher, device, line) = bench();
    let gate = Arc::new(Mutex::new(()));
    let slow = {
        let gate = Arc::clone(&gate);
        Probe::new(move |_| {
            drop(gate.lock().unwrap());
            IrqReturn::Handled
        })
    };
    let quick = Probe::handled();
    let flags = Flags::SHARED | Flags::ONESHOT;
    let _slow = ThreadedRegistration::request(&line, flags, "slow", Halves::new(&slow)).unwrap();
    let _quick = ThreadedRegistration::request(&line, flags, "quick", Halves::new(&quick)).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    quick.wait_for(1);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(device.unmasked.load(Ordering::SeqCst), 1);
    drop(closed);
    wait_until("the unmask", || device.unmasked.load(Ordering::SeqCst) == 2);
}

#[test]
fn a_primary_handler_that_has_dealt_with_it_does_not_wake_the_thread() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let handler = Halves::with(|| ThreadedIrqReturn::Handled, &probe);
    let held = ThreadedRegistration::request(&line, Flags::ONESHOT, "probe", handler).unwrap();
    device.raise(1);
    wait_until("the round", || line.stats().handled == 1);
    held.release();
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn release_runs_what_the_thread_was_asked_for_and_ends_it() {
    let (_dispatcher, device, line) = bench();
    for round in 1..=50 {
        let probe = Probe::handled();
        let held =
            ThreadedRegistration::request(&line, Flags::ONESHOT, "probe", Halves::new(&probe))
                .unwrap();
        device.raise(1);
        wait_until("the round", || line.stats().handled == round);
        held.release();
        assert_eq!(probe.calls.load(Ordering::SeqCst), 1);
        assert_eq!(Arc::strong_count(&probe), 1, "nobody holds the handler any more");
    }
}

#[test]
fn a_threaded_handler_may_leave_from_inside_its_thread_function() {
    let (_dispatcher, device, line) = bench();
    let held: Arc<Mutex<Option<ThreadedRegistration>>> = Arc::new(Mutex::new(None));
    let probe = {
        let held = Arc::clone(&held);
        Probe::new(move |_| {
            drop(held.lock().unwrap().take());
            IrqReturn::Handled
        })
    };
    let registration =
        ThreadedRegistration::request(&line, Flags::ONESHOT, "probe", Halves::new(&probe));
    *held.lock().unwrap() = Some(registration.unwrap());
    device.raise(1);
    probe.wait_for(1);
    wait_until("an empty chain", || line.handlers().is_empty());
}

#[test]
fn a_thread_function_that_panics_ends_its_line() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::new(|_| panic!("a bug of the driver"));
    let held =
        ThreadedRegistration::request(&line, Flags::ONESHOT, "bad", Halves::new(&probe)).unwrap();
    device.raise(1);
    wait_until("the end of the line", || line.line.state.is_dead());
    held.release();
}

#[test]
fn request_threaded_irq_without_any_function_is_refused() {
    let (_dispatcher, _device, line) = bench();
    let error = request_threaded_irq(&line, None, None, Flags::ONESHOT, "none").unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL);
}

#[test]
fn request_threaded_irq_without_a_primary_handler_needs_oneshot() {
    let (_dispatcher, _device, line) = bench();
    let thread_fn = || -> Box<dyn Fn() -> IrqReturn + Send + Sync> { Box::new(|| IrqReturn::None) };
    let refused = request_threaded_irq(&line, None, Some(thread_fn()), Flags::empty(), "one");
    assert_eq!(refused.unwrap_err().errno(), Errno::EINVAL);
    request_threaded_irq(&line, None, Some(thread_fn()), Flags::ONESHOT, "one").unwrap();
}

#[test]
fn wake_thread_without_a_thread_function_is_reported_once() {
    let (_dispatcher, device, line) = bench();
    let reports = Reports::default();
    let own = reports.clone();
    let primary: Act = Box::new(move || {
        own.listen();
        ThreadedIrqReturn::WakeThread
    });
    let held = request_threaded_irq(&line, Some(primary), None, Flags::empty(), "bad").unwrap();
    for round in 1..=2 {
        device.raise(1);
        wait_until("the round", || line.stats().handled == round);
    }
    held.release();
    let said = reports.naming(&["WARN", "asks for its thread", "line=test", "handler=bad"]);
    assert_eq!(said.len(), 1, "{reports:?}");
}

#[test]
fn a_threaded_handler_runs_where_its_options_say() {
    let first = CpuSet::of(CpuSet::allowed().iter().take(1)).unwrap();
    let (_dispatcher, device, line) = bench();
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let probe = Probe::new(move |_| {
        let own = crate::sys::sched::affinity(nix::unistd::Pid::from_raw(0)).unwrap();
        *note.lock().unwrap() = Some(own);
        IrqReturn::Handled
    });
    let options = ThreadOptions { cpus: Some(first), ..ThreadOptions::default() };
    let handler = Halves::new(&probe);
    let held =
        ThreadedRegistration::request_with(&line, Flags::ONESHOT, "placed", handler, &options);
    let _held = held.unwrap();
    device.raise(1);
    probe.wait_for(1);
    assert_eq!(*seen.lock().unwrap(), Some(first));
}
