//! A test per rule of `kernel/softirq.c`.

mod dispatchers;
mod ksoftirqd;
mod locking;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::*;
use crate::irq::{Dispatcher, in_hardirq, in_softirq};

const DEADLINE: Duration = Duration::from_secs(60);

fn bench() -> (Dispatcher, Arc<Softirqs>) {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    (dispatcher, softirqs)
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::yield_now();
    }
}

#[test]
fn a_dispatcher_has_one_set_of_softirqs_however_often_it_is_asked_for() {
    let (dispatcher, softirqs) = bench();
    let again = Softirqs::attach(&dispatcher);
    assert!(Arc::ptr_eq(&softirqs, &again));
    let (other, _) = bench();
    assert!(!Arc::ptr_eq(&softirqs, &Softirqs::attach(&other)));
}

#[test]
fn those_who_share_a_vector_all_run_once_for_a_raise_and_a_driver_cannot_open_it() {
    let (_dispatcher, softirqs) = bench();
    let counts = [count(), count()];
    for (_, counter) in &counts {
        let counter = Arc::clone(counter);
        softirqs
            .join(Vector::HrTimer, move || {
                counter.fetch_add(1, Ordering::SeqCst);
            })
            .unwrap();
    }
    assert_eq!(softirqs.open(Vector::HrTimer, || ()).unwrap_err().errno(), Errno::EBUSY);
    softirqs.raise(Vector::HrTimer);
    wait_until("the run", || counts[1].0.load(Ordering::SeqCst) == 1);
    assert_eq!(counts[0].0.load(Ordering::SeqCst), 1, "in the order of joining");
    softirqs.open(Vector::Timer, || ()).unwrap();
    assert_eq!(softirqs.join(Vector::Timer, || ()).unwrap_err().errno(), Errno::EBUSY);
}

/// Holds the dispatcher inside a softirq until the returned sender is dropped.
fn busy(softirqs: &Softirqs) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let held = Mutex::new(held);
    softirqs
        .open(Vector::Sched, move || {
            let _ = entered.send(());
            let _ = held.lock().unwrap().recv_timeout(DEADLINE);
        })
        .unwrap();
    softirqs.raise(Vector::Sched);
    inside.recv_timeout(DEADLINE).unwrap();
    release
}

fn count() -> (Arc<AtomicU64>, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    (Arc::clone(&count), count)
}

#[test]
fn softirqs_that_are_pending_together_run_in_the_order_of_their_vectors() {
    let (_dispatcher, softirqs) = bench();
    let order = Arc::new(Mutex::new(Vec::new()));
    let free = [Vector::Rcu, Vector::Timer, Vector::Block, Vector::NetTx, Vector::HrTimer];
    for vector in free {
        let order = Arc::clone(&order);
        softirqs.open(vector, move || order.lock().unwrap().push(vector)).unwrap();
    }
    let release = busy(&softirqs);
    free.into_iter().for_each(|vector| softirqs.raise(vector));
    drop(release);
    wait_until("five runs", || order.lock().unwrap().len() == 5);
    let mut expected = free;
    expected.sort();
    assert_eq!(*order.lock().unwrap(), expected);
}

#[test]
fn a_vector_raised_twice_before_it_runs_runs_once() {
    let (_dispatcher, softirqs) = bench();
    let (runs, counter) = count();
    softirqs
        .open(Vector::Timer, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    let release = busy(&softirqs);
    softirqs.raise(Vector::Timer);
    softirqs.raise(Vector::Timer);
    drop(release);
    wait_until("the run", || softirqs.stats().vector(Vector::Timer).runs == 1);
    drop(softirqs.bh_disable());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn a_vector_raised_while_it_runs_runs_again_in_the_next_round() {
    let (_dispatcher, softirqs) = bench();
    let order = Arc::new(Mutex::new(Vec::new()));
    let weak = Arc::downgrade(&softirqs);
    let note = Arc::clone(&order);
    softirqs
        .open(Vector::Timer, move || {
            let mut order = note.lock().unwrap();
            order.push("timer");
            if order.len() == 1 {
                let softirqs = weak.upgrade().unwrap();
                softirqs.raise(Vector::Timer);
                softirqs.raise_irqoff(Vector::Rcu);
            }
        })
        .unwrap();
    let note = Arc::clone(&order);
    softirqs.open(Vector::Rcu, move || note.lock().unwrap().push("rcu")).unwrap();
    softirqs.raise(Vector::Timer);
    wait_until("three runs", || order.lock().unwrap().len() == 3);
    assert_eq!(*order.lock().unwrap(), ["timer", "timer", "rcu"]);
    // Nothing was left after the second round, so that its time does not matter. Waits for the end of the run.
    drop(softirqs.bh_disable());
    assert_eq!(softirqs.stats().handed_over, 0);
}

/// A vector that raises itself until told to stop; the threads that ran it, in order.
struct Endless {
    stop: Arc<AtomicBool>,
    threads: Arc<Mutex<Vec<String>>>,
}

fn endless(softirqs: &Arc<Softirqs>) -> Endless {
    let (stop, threads) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let weak = Arc::downgrade(softirqs);
    let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&threads));
    softirqs
        .open(Vector::Block, move || {
            let name = thread::current().name().unwrap_or_default().to_owned();
            seen.lock().unwrap().push(name);
            if let Some(softirqs) = weak.upgrade().filter(|_| !stopped.load(Ordering::SeqCst)) {
                softirqs.raise(Vector::Block);
            }
        })
        .unwrap();
    Endless { stop, threads }
}

#[test]
fn a_vector_is_opened_once_and_those_of_tasklets_never() {
    let (_dispatcher, softirqs) = bench();
    softirqs.open(Vector::Timer, || ()).unwrap();
    for vector in [Vector::Timer, Vector::Hi, Vector::Tasklet] {
        let error = softirqs.open(vector, || ()).unwrap_err();
        assert_eq!(error.errno(), Errno::EBUSY);
        assert!(error.to_string().contains(vector.name()), "{error}");
    }
}

#[test]
fn raising_a_vector_that_nobody_opened_does_nothing() {
    let (_dispatcher, softirqs) = bench();
    softirqs.raise(Vector::Rcu);
    wait_until("the round", || !softirqs.engine.gate.is_pending());
}

#[test]
fn a_softirq_that_panics_is_not_run_again_and_hurts_no_other() {
    let (_dispatcher, softirqs) = bench();
    softirqs.open(Vector::Timer, || panic!("a bug of the driver")).unwrap();
    let (runs, counter) = count();
    softirqs
        .open(Vector::Rcu, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    for round in 1..=2 {
        softirqs.raise(Vector::Timer);
        softirqs.raise(Vector::Rcu);
        wait_until("the good one", || runs.load(Ordering::SeqCst) == round);
    }
    let stats = softirqs.stats();
    assert_eq!(stats.vector(Vector::Timer).runs, 1);
    assert!(stats.vector(Vector::Timer).is_broken && !stats.vector(Vector::Rcu).is_broken);
}

#[test]
fn statistics_tell_what_is_pending_and_who_has_it() {
    let (_dispatcher, softirqs) = bench();
    softirqs.open(Vector::Timer, || ()).unwrap();
    let held = softirqs.bh_disable();
    softirqs.raise(Vector::Timer);
    let pending = |vector| softirqs.stats().vector(vector).is_pending;
    assert!(pending(Vector::Timer) && !pending(Vector::Rcu));
    drop(held);
    wait_until("the run", || softirqs.stats().vector(Vector::Timer).runs == 1);
    assert!(!pending(Vector::Timer));
    let Endless { stop, .. } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || softirqs.stats().is_handed_over);
    stop.store(true, Ordering::SeqCst);
    wait_until("the hand-back", || !softirqs.stats().is_handed_over);
}

#[test]
fn local_bh_disable_keeps_softirqs_from_starting_and_nests() {
    let (_dispatcher, softirqs) = bench();
    let (runs, counter) = count();
    softirqs
        .open(Vector::Timer, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    let outer = softirqs.bh_disable();
    let inner = softirqs.bh_disable();
    softirqs.raise(Vector::Timer);
    thread::sleep(Duration::from_millis(10));
    drop(outer);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    drop(inner);
    wait_until("the run", || runs.load(Ordering::SeqCst) == 1);
}

#[test]
fn local_bh_disable_waits_for_softirqs_that_run() {
    let (_dispatcher, softirqs) = bench();
    let release = busy(&softirqs);
    thread::scope(|scope| {
        let disabling = scope.spawn(|| drop(softirqs.bh_disable()));
        thread::sleep(Duration::from_millis(5));
        assert!(!disabling.is_finished());
        drop(release);
    });
}

#[test]
fn local_bh_disable_stops_ksoftirqd_and_enable_lets_it_go_on() {
    let (_dispatcher, softirqs) = bench();
    let Endless { stop, threads } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || softirqs.engine.gate.is_handed_over());
    for _ in 0..20 {
        let held = softirqs.bh_disable();
        let runs = threads.lock().unwrap().len();
        thread::sleep(Duration::from_micros(200));
        assert_eq!(threads.lock().unwrap().len(), runs);
        drop(held);
        wait_until("a run", || threads.lock().unwrap().len() > runs);
    }
    stop.store(true, Ordering::SeqCst);
}

#[test]
fn spin_lock_bh_keeps_the_softirq_out() {
    let (_dispatcher, softirqs) = bench();
    let shared = Arc::new(Mutex::new(None::<Arc<SpinLockBh<u64>>>));
    let lock = Arc::new(SpinLockBh::new(&softirqs, 0u64));
    *shared.lock().unwrap() = Some(Arc::clone(&lock));
    let (runs, counter) = count();
    let in_softirq = Arc::clone(&shared);
    softirqs
        .open(Vector::Timer, move || {
            if let Some(lock) = &*in_softirq.lock().unwrap() {
                *lock.lock() += 1;
            }
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    let held = lock.lock();
    softirqs.raise(Vector::Timer);
    thread::sleep(Duration::from_millis(5));
    assert_eq!((runs.load(Ordering::SeqCst), *held), (0, 0));
    drop(held);
    wait_until("the run", || runs.load(Ordering::SeqCst) == 1);
    assert_eq!(*lock.lock(), 1);
    shared.lock().unwrap().take();
}

#[test]
fn kill_of_a_tasklet_that_reschedules_itself_ends_after_two_runs_at_most() {
    let (_dispatcher, softirqs) = bench();
    let own: Arc<Mutex<Option<Tasklet>>> = Arc::new(Mutex::new(None));
    let ((runs, counter), (refusals, refused)) = (count(), count());
    let again = Arc::clone(&own);
    let tasklet = Tasklet::new(&softirqs, "test", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        if again.lock().unwrap().as_ref().is_some_and(|own| !own.schedule()) {
            refused.fetch_add(1, Ordering::SeqCst);
        }
    })
    .unwrap();
    *own.lock().unwrap() = Some(tasklet.clone());
    tasklet.schedule();
    wait_until("some runs", || runs.load(Ordering::SeqCst) > 20);
    tasklet.kill();
    // Nobody else schedules it, so that a refusal tells a run that saw the kill. The run under way saw it, or
    // had rescheduled itself before, and then the one after it did: two at most, and one refusal.
    let after = runs.load(Ordering::SeqCst);
    assert_eq!(refusals.load(Ordering::SeqCst), 1);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(runs.load(Ordering::SeqCst), after, "it has ended");
    own.lock().unwrap().take();
}

#[test]
#[cfg(debug_assertions)]
fn a_sleeping_call_in_a_softirq_is_caught_with_the_place_where_it_was_opened() {
    let (_dispatcher, softirqs) = bench();
    let (say, said) = mpsc::channel();
    let opened = line!() + 1;
    let done = softirqs.open(Vector::Timer, move || {
        let caught = std::panic::catch_unwind(crate::irq::might_sleep).unwrap_err();
        say.send(caught.downcast_ref::<String>().cloned()).unwrap();
    });
    done.unwrap();
    softirqs.raise(Vector::Timer);
    let text = said.recv_timeout(DEADLINE).unwrap().unwrap();
    assert!(text.contains(&format!("(set up at {}:{opened}:", file!())), "{text}");
}
