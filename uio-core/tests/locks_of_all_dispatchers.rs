//! A thread that belongs to no dispatcher holds the delivery, and disables the bottom halves, of all of them. That
//! would be felt by tests beside, so these are in a process of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use uio_core::irq::{
    AfterHook, Dispatcher, Flags, Handler, IrqReturn, Registration, hold_delivery,
};
use uio_core::softirq::{Softirqs, Tasklet, Vector, bh_disable};
use uio_core::sync::SpinLock;

#[path = "../examples/support/mod.rs"]
mod support;
use support::device;

const DEADLINE: Duration = Duration::from_secs(60);

/// How many dispatchers there are.
const MANY: usize = 3;

/// What the top half of a line, or a tasklet, does: it counts under a plain lock.
struct Count(Arc<SpinLock<usize>>, Arc<AtomicUsize>);

impl Count {
    fn count(&self) {
        *self.0.lock() += 1;
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

impl Handler for Count {
    fn handle(&self) -> IrqReturn {
        self.count();
        IrqReturn::Handled
    }
}

/// Says that it is there before it waits for the lock.
struct Waits(Count);

impl Waits {
    fn wait(&self) {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        *self.0.0.lock() += 1;
    }
}

impl Handler for Waits {
    fn handle(&self) -> IrqReturn {
        self.wait();
        IrqReturn::Handled
    }
}

fn wait_for(runs: &AtomicUsize, so_many: usize) {
    let deadline = Instant::now() + DEADLINE;
    while runs.load(Ordering::SeqCst) < so_many {
        assert!(Instant::now() < deadline, "not all have run");
        thread::yield_now();
    }
}

#[test]
fn spin_lock_irqsave_of_a_thread_keeps_the_handlers_of_all_dispatchers_out() {
    let (lock, runs) = (Arc::new(SpinLock::new(0)), Arc::new(AtomicUsize::new(0)));
    let benches: Vec<_> = (0..MANY)
        .map(|_| {
            let dispatcher = Dispatcher::start("irq/test").unwrap();
            let (device, hardware) = device("test", &dispatcher).unwrap();
            let handler = Arc::new(Count(Arc::clone(&lock), Arc::clone(&runs)));
            let line = device.line(0).unwrap();
            let held = Registration::request(&line, Flags::empty(), "test", handler).unwrap();
            (held, device, hardware, dispatcher)
        })
        .collect();
    let locked = lock.lock_irqsave();
    benches.iter().for_each(|(_, _, hardware, _)| hardware.raise());
    thread::sleep(Duration::from_millis(5));
    assert_eq!((*locked, runs.load(Ordering::SeqCst)), (0, 0));
    drop(locked);
    wait_for(&runs, MANY);
    assert_eq!(*lock.lock_irqsave(), MANY);
}

/// Has a thread keep a lock with `hold`, and do what that is given in between: `contend`, which makes somebody wait
/// for the lock, and then a hold within the hold, which must come back although that somebody waits.
fn nested(hold: fn(&SpinLock<usize>, &dyn Fn()), contend: impl FnOnce(Count)) {
    let (lock, entered) = (Arc::new(SpinLock::new(0)), Arc::new(AtomicUsize::new(0)));
    let (own, (go_on, told)) = (Arc::clone(&lock), mpsc::channel());
    let (say, said) = mpsc::channel();
    thread::spawn(move || {
        hold(&own, &|| {
            say.send("held").unwrap();
            told.recv().unwrap();
        });
        say.send("done").unwrap();
    });
    assert_eq!(said.recv_timeout(DEADLINE), Ok("held"));
    contend(Count(lock, entered));
    go_on.send(()).unwrap();
    assert_eq!(said.recv_timeout(DEADLINE), Ok("done"));
}

#[test]
fn a_hold_within_a_hold_does_not_wait_for_a_dispatcher_that_came_meanwhile() {
    let mut bench = None;
    let contend = |count: Count| {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let (device, hardware) = device("test", &dispatcher).unwrap();
        let (line, entered) = (device.line(0).unwrap(), Arc::clone(&count.1));
        let held = Registration::request(&line, Flags::empty(), "test", Arc::new(Waits(count)));
        hardware.raise();
        wait_for(&entered, 1);
        bench = Some((held.unwrap(), device, dispatcher));
    };
    let hold = |lock: &SpinLock<usize>, meanwhile: &dyn Fn()| {
        let _locked = lock.lock_irqsave();
        meanwhile();
        drop(hold_delivery());
    };
    nested(hold, contend);
}

#[test]
fn disabled_within_disabled_does_not_wait_for_softirqs_that_came_meanwhile() {
    let mut bench = None;
    let contend = |count: Count| {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let softirqs = Softirqs::attach(&dispatcher);
        let (entered, waits) = (Arc::clone(&count.1), Waits(count));
        let tasklet = Tasklet::new(&softirqs, "test", move || waits.wait()).unwrap();
        tasklet.schedule();
        wait_for(&entered, 1);
        bench = Some((tasklet, softirqs, dispatcher));
    };
    let hold = |lock: &SpinLock<usize>, meanwhile: &dyn Fn()| {
        let _locked = lock.lock_bh();
        meanwhile();
        drop(bh_disable());
    };
    nested(hold, contend);
}

#[test]
fn spin_lock_bh_of_a_thread_keeps_the_tasklets_of_all_dispatchers_out() {
    let (lock, runs) = (Arc::new(SpinLock::new(0)), Arc::new(AtomicUsize::new(0)));
    let benches: Vec<_> = (0..MANY)
        .map(|_| {
            let dispatcher = Dispatcher::start("irq/test").unwrap();
            let softirqs = Softirqs::attach(&dispatcher);
            let count = Count(Arc::clone(&lock), Arc::clone(&runs));
            let tasklet = Tasklet::new(&softirqs, "test", move || count.count()).unwrap();
            (tasklet, softirqs, dispatcher)
        })
        .collect();
    let locked = lock.lock_bh();
    for (tasklet, _, _) in &benches {
        tasklet.schedule();
    }
    thread::sleep(Duration::from_millis(5));
    assert_eq!((*locked, runs.load(Ordering::SeqCst)), (0, 0));
    assert!(lock.try_lock_bh().is_none());
    drop(locked);
    wait_for(&runs, MANY);
    assert_eq!(*lock.lock_bh(), MANY);
}

#[test]
fn what_a_driver_gave_ends_with_its_softirqs_and_not_with_who_has_disabled_those_of_all() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    let given = Arc::new(());
    let own = Arc::clone(&given);
    softirqs.open(Vector::Timer, move || drop(Arc::clone(&own))).unwrap();
    let disabled = bh_disable();
    thread::spawn(move || drop((dispatcher, softirqs))).join().unwrap();
    assert_eq!(Arc::strong_count(&given), 1, "it is gone while they are disabled");
    drop(disabled);
}

#[test]
fn what_a_dispatcher_has_ends_with_it_and_not_with_who_holds_delivery_on_all() {
    struct Nothing;
    impl AfterHook for Nothing {
        fn run(&self) -> bool {
            false
        }
    }
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let given = Arc::new(Nothing);
    let hook: Arc<dyn AfterHook> = given.clone();
    dispatcher.add_after_hook(&hook);
    drop(hook);
    let held = hold_delivery();
    thread::spawn(move || drop(dispatcher)).join().unwrap();
    assert_eq!(Arc::strong_count(&given), 1, "it is gone while delivery is held");
    drop(held);
}
