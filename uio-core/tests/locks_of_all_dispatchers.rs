//! A thread that belongs to no dispatcher holds the delivery, and disables the bottom halves, of all of them. That
//! would be felt by tests beside, so these are in a process of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

fn wait_for(runs: &AtomicUsize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while runs.load(Ordering::SeqCst) < MANY {
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
    wait_for(&runs);
    assert_eq!(*lock.lock_irqsave(), MANY);
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
    wait_for(&runs);
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
