//! High-resolution timers as the softirq `HRTIMER`: a test per rule of what holds for every softirq.

use super::*;
use crate::error::Errno;
use crate::softirq::{Softirqs, Vector};

fn name_of_thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

/// A timer that is due again at once, so that its vector is never done; it notes the threads that run it. On a
/// clock that no other test timer has: what is due earlier runs first.
fn greedy(bench: &Bench) -> (HrTimerHandle<BootTime>, Arc<Mutex<Vec<String>>>) {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&threads);
    let timer = HrTimer::new(&bench.base, BootTime, move |_| {
        seen.lock().unwrap().push(name_of_thread());
        HrTimerRestart::Restart
    });
    (timer.start(Duration::ZERO), threads)
}

#[test]
fn hrtimers_run_as_the_softirq_hrtimer_and_are_counted_there() {
    let bench = bench();
    let softirqs = Softirqs::attach(&bench.dispatcher);
    let (count, timer) = bench.counting();
    let _handle = timer.start(Duration::ZERO);
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
    wait_until("the count", || softirqs.stats().vector(Vector::HrTimer).runs > 0);
    assert_eq!(softirqs.stats().vector(Vector::Timer).runs, 0);
}

#[test]
fn local_bh_disable_keeps_hrtimers_from_expiring() {
    let bench = bench();
    let softirqs = Softirqs::attach(&bench.dispatcher);
    let (count, timer) = bench.counting();
    let held = softirqs.bh_disable();
    let _handle = timer.start(Duration::ZERO);
    std::thread::sleep(Duration::from_millis(10));
    assert!(count.load(Ordering::SeqCst) == 0 && timer.is_queued());
    drop(held);
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_timer_that_is_always_due_is_left_to_ksoftirqd() {
    let bench = bench();
    let softirqs = Softirqs::attach(&bench.dispatcher);
    let (mut handle, threads) = greedy(&bench);
    let daemon = format!("ksoftirqd/{}", bench.dispatcher.number());
    wait_until("the hand-over", || threads.lock().unwrap().contains(&daemon));
    assert_eq!(threads.lock().unwrap()[0], "irq/test");
    assert!(handle.cancel());
    let runs = threads.lock().unwrap().len();
    assert_eq!(softirqs.stats().handed_over, 1);
    drop(softirqs.bh_disable());
    assert_eq!(threads.lock().unwrap().len(), runs, "it ran after it was cancelled");
}

#[test]
fn cancel_waits_for_a_callback_in_ksoftirqd() {
    let bench = bench();
    let (mut greedy, threads) = greedy(&bench);
    let daemon = format!("ksoftirqd/{}", bench.dispatcher.number());
    wait_until("the hand-over", || threads.lock().unwrap().contains(&daemon));
    let (timer, handle, release) = bench.running(HrTimerRestart::Restart);
    assert_eq!(timer.try_cancel(), None, "it is running");
    let canceller = std::thread::spawn(move || drop(handle));
    wait_until("the wait", || bench.waiters() == 1);
    assert!(timer.is_running() && !canceller.is_finished());
    drop(release);
    canceller.join().unwrap();
    assert!(!timer.is_running() && !timer.is_queued());
    greedy.cancel();
}

#[test]
fn the_vector_of_hrtimers_cannot_be_opened_and_one_that_is_open_has_no_timers() {
    let bench = bench();
    let softirqs = Softirqs::attach(&bench.dispatcher);
    let error = softirqs.open(Vector::HrTimer, || ()).unwrap_err();
    assert!(error.errno() == Errno::EBUSY, "{error}");
    let other = Dispatcher::start("irq/test").unwrap();
    Softirqs::attach(&other).open(Vector::HrTimer, || ()).unwrap();
    let error = HrTimerBase::attach(&other).unwrap_err();
    assert!(error.errno() == Errno::EBUSY && error.to_string().contains("HRTIMER"), "{error}");
}

#[test]
fn a_dispatcher_may_have_several_hrtimer_bases() {
    let bench = bench();
    let other = HrTimerBase::attach(&bench.dispatcher).unwrap();
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let second = HrTimer::new(&other, BootTime, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        HrTimerRestart::NoRestart
    });
    let (count, first) = bench.counting();
    let _handles = (first.start(Duration::ZERO), second.start(Duration::ZERO));
    wait_until("both", || count.load(Ordering::SeqCst) + runs.load(Ordering::SeqCst) == 2);
}
