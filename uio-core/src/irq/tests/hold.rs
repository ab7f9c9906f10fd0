//! `local_irq_save` and `spin_lock_irqsave`.

use super::*;

#[test]
fn no_handler_starts_while_delivery_is_held_and_what_came_in_runs_after() {
    let (dispatcher, device, line) = bench();
    let probe = Probe::handled();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    let outer = dispatcher.hold_delivery();
    let inner = line.hold_delivery();
    device.raise(1);
    thread::sleep(Duration::from_millis(20));
    drop(outer);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0, "holds nest");
    drop(inner);
    probe.wait_for(1);
}

#[test]
fn a_holder_waits_for_a_handler_that_runs() {
    let (dispatcher, device, line) = bench();
    let running = Arc::new(AtomicBool::new(false));
    let gate = Arc::new(Mutex::new(()));
    let probe = {
        let (running, gate) = (Arc::clone(&running), Arc::clone(&gate));
        Probe::new(move |_| {
            running.store(true, Ordering::SeqCst);
            drop(gate.lock().unwrap());
            running.store(false, Ordering::SeqCst);
            IrqReturn::Handled
        })
    };
    let _held = Registration::request(&line, Flags::empty(), "probe", probe).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    wait_until("the handler", || running.load(Ordering::SeqCst));
    thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _held = dispatcher.hold_delivery();
            assert!(!running.load(Ordering::SeqCst), "it waited");
        });
        thread::sleep(Duration::from_millis(5));
        assert!(!holder.is_finished());
        drop(closed);
        holder.join().unwrap();
    });
}

#[test]
fn a_handler_may_hold_its_own_dispatcher() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::new(|_| {
        let _outer = hold_delivery();
        drop(hold_delivery());
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    for round in 1..=10 {
        device.raise(1);
        probe.wait_for(round);
    }
}

#[test]
fn spin_lock_irqsave_keeps_the_handler_out_and_both_see_what_the_other_wrote() {
    let (dispatcher, device, line) = bench();
    // The handlers of other tests are not this one's to hold.
    super::super::hold::belong_to(&Arc::downgrade(dispatcher.shared()));
    let counter = Arc::new(SpinLockIrq::new(0u64));
    let probe = {
        let counter = Arc::clone(&counter);
        Probe::new(move |_| {
            *counter.lock() += 1;
            IrqReturn::Handled
        })
    };
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    for round in 1..=500 {
        device.raise(1);
        *counter.lock() += 1;
        probe.wait_for(round);
    }
    assert_eq!(*counter.lock(), 1000);
    let locked = counter.lock();
    assert!(counter.try_lock().is_none());
    device.raise(1);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(probe.calls.load(Ordering::SeqCst), 500, "the holder holds delivery");
    drop(locked);
    probe.wait_for(501);
}
