//! The states of a line from outside: `disable_irq`, `disable_irq_nosync`, `enable_irq`.

use super::*;
use crate::sync::testing::Reports;

/// A handler that waits at a gate, and says whether it runs.
fn gated() -> (Arc<Probe>, Arc<Mutex<()>>, Arc<AtomicBool>) {
    let (gate, running) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
    let (inner_gate, inner_running) = (Arc::clone(&gate), Arc::clone(&running));
    let probe = Probe::new(move |_| {
        inner_running.store(true, Ordering::SeqCst);
        drop(inner_gate.lock().unwrap());
        inner_running.store(false, Ordering::SeqCst);
        IrqReturn::Handled
    });
    (probe, gate, running)
}

#[test]
fn disable_nests_and_the_last_enable_lets_the_line_fire() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    line.disable();
    line.disable_nosync();
    device.raise(1);
    wait_until("the count", || line.stats().raised == 1);
    line.enable();
    assert!(line.is_masked());
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    line.enable();
    probe.wait_for(1);
}

#[test]
fn disable_waits_for_a_handler_that_runs() {
    let (_dispatcher, device, line) = bench();
    let (probe, gate, running) = gated();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the handler", || running.load(Ordering::SeqCst));
    let disabling = {
        let line = line.clone();
        thread::spawn(move || line.disable())
    };
    wait_until("the mask", || line.is_masked());
    assert!(!disabling.is_finished());
    drop(closed);
    disabling.join().unwrap();
    assert!(!running.load(Ordering::SeqCst));
    line.enable();
}

#[test]
fn disable_nosync_does_not_wait_for_a_handler_that_runs() {
    let (_dispatcher, device, line) = bench();
    let (probe, gate, running) = gated();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the handler", || running.load(Ordering::SeqCst));
    line.disable_nosync();
    assert!(running.load(Ordering::SeqCst));
    line.enable();
    drop(closed);
    probe.wait_for(1);
}

#[test]
fn disable_waits_for_a_thread_function_that_runs() {
    struct Threaded(Arc<Probe>);
    impl ThreadedHandler for Threaded {
        fn handle_threaded(&self) -> IrqReturn {
            self.0.handle()
        }
    }
    let (_dispatcher, device, line) = bench();
    let (probe, gate, running) = gated();
    let handler = Arc::new(Threaded(probe));
    let held = ThreadedRegistration::request(&line, Flags::ONESHOT, "probe", handler).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the thread", || running.load(Ordering::SeqCst));
    let disabling = {
        let line = line.clone();
        thread::spawn(move || line.disable())
    };
    wait_until("the mask", || line.is_masked());
    thread::sleep(Duration::from_millis(5));
    assert!(!disabling.is_finished());
    drop(closed);
    disabling.join().unwrap();
    assert!(!running.load(Ordering::SeqCst));
    held.synchronize();
}

#[test]
fn a_line_says_how_it_stands() {
    let (_dispatcher, device, line) = bench();
    assert_eq!(line.state(), LineState::Disabled { pending: false });
    let (probe, gate, running) = gated();
    let held = Registration::request(&line, Flags::empty(), "probe", probe).unwrap();
    assert_eq!(line.state(), LineState::Inactive);
    line.disable_nosync();
    device.raise(1);
    wait_until("what is kept", || line.state() == LineState::Disabled { pending: true });
    let closed = gate.lock().unwrap();
    line.enable();
    wait_until("the handler", || running.load(Ordering::SeqCst));
    assert_eq!(line.state(), LineState::Active);
    drop(closed);
    wait_until("the end of the round", || line.state() == LineState::Inactive);
    device.unplug();
    wait_until("the end", || line.state() == LineState::Gone);
    drop(held);
}

#[test]
fn synchronize_irq_waits_for_a_handler_that_runs_and_leaves_the_line_enabled() {
    let (_dispatcher, device, line) = bench();
    let (probe, gate, running) = gated();
    let held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    held.synchronize();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the handler", || running.load(Ordering::SeqCst));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| held.synchronize());
        wait_until("the waiter", || line.line.idle.has_waiters());
        assert!(!waiting.is_finished());
        drop(closed);
    });
    assert!(!running.load(Ordering::SeqCst) && !line.is_masked());
    device.raise(1);
    probe.wait_for(2);
}

#[test]
fn synchronize_irq_waits_for_a_thread_function_that_runs() {
    let (_dispatcher, device, line) = bench();
    let (probe, gate, running) = gated();
    let thread_fn: Box<dyn Fn() -> IrqReturn + Send + Sync> = Box::new(move || probe.handle());
    let held = request_threaded_irq(&line, None, Some(thread_fn), Flags::ONESHOT, "probe").unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the thread function", || running.load(Ordering::SeqCst));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| held.synchronize());
        wait_until("the waiter", || line.line.idle.has_waiters());
        assert!(!waiting.is_finished());
        drop(closed);
    });
    assert!(!running.load(Ordering::SeqCst));
}

#[test]
fn enable_irq_without_a_disable_is_reported_and_changes_nothing() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    let reports = Reports::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            reports.listen();
            line.enable();
        });
    });
    assert_eq!(reports.naming(&["ERROR", "unmask without a mask", "line=test"]).len(), 1);
    line.disable();
    assert!(line.is_masked(), "one disable is enough");
    line.enable();
    device.raise(1);
    probe.wait_for(1);
}
