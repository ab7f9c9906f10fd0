//! A test per rule of `kernel/softirq.c`.

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
fn after_ten_rounds_ksoftirqd_takes_over_and_hands_back_when_nothing_is_pending() {
    let (dispatcher, softirqs) = bench();
    let daemon = format!("ksoftirqd/{}", dispatcher.number());
    let Endless { stop, threads } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || threads.lock().unwrap().contains(&daemon));
    {
        let threads = threads.lock().unwrap();
        let on_dispatcher = threads.iter().take_while(|name| **name == "irq/test").count();
        // Fewer where 2 ms are over before.
        assert!((1..=10).contains(&on_dispatcher), "{on_dispatcher} rounds");
        assert!(threads.iter().skip(on_dispatcher).all(|name| *name == daemon));
    }
    stop.store(true, Ordering::SeqCst);
    wait_until("the hand-back", || !softirqs.engine.gate.is_handed_over());
    threads.lock().unwrap().clear();
    softirqs.raise(Vector::Block);
    wait_until("a run", || threads.lock().unwrap().len() == 1);
    assert_eq!(*threads.lock().unwrap(), ["irq/test"]);
    let stats = softirqs.stats();
    assert!(stats.handed_over == 1 && stats.daemon_turns > 0, "{stats:?}");
}

#[test]
fn after_two_milliseconds_ksoftirqd_takes_over() {
    let (_dispatcher, softirqs) = bench();
    let weak = Arc::downgrade(&softirqs);
    let (runs, counter) = count();
    softirqs
        .open(Vector::Block, move || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(3) {
                std::hint::spin_loop();
            }
            if counter.fetch_add(1, Ordering::SeqCst) < 4 {
                weak.upgrade().unwrap().raise(Vector::Block);
            }
        })
        .unwrap();
    softirqs.raise(Vector::Block);
    wait_until("five runs", || runs.load(Ordering::SeqCst) == 5);
    assert_eq!(softirqs.stats().handed_over, 1, "before the tenth round");
}

#[test]
fn while_ksoftirqd_runs_the_dispatcher_serves_its_lines_and_leaves_softirqs_to_it() {
    struct Count(AtomicU64);
    impl crate::irq::AfterHook for Count {
        fn run(&self) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            false
        }
    }
    let (dispatcher, softirqs) = bench();
    let turns = Arc::new(Count(AtomicU64::new(0)));
    let hook: Arc<dyn crate::irq::AfterHook> = turns.clone();
    dispatcher.add_after_hook(&hook);
    let Endless { stop, threads } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || softirqs.engine.gate.is_handed_over());
    let before = turns.0.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(10));
    assert!(turns.0.load(Ordering::SeqCst) <= before + 1, "nothing keeps the dispatcher busy");
    threads.lock().unwrap().clear();
    dispatcher.shared().kick();
    wait_until("a turn", || turns.0.load(Ordering::SeqCst) > before);
    wait_until("runs", || threads.lock().unwrap().len() > 10);
    assert!(threads.lock().unwrap().iter().all(|name| name.starts_with("ksoftirqd/")));
    stop.store(true, Ordering::SeqCst);
}

#[test]
fn a_tasklet_never_runs_beside_itself_between_dispatcher_and_ksoftirqd() {
    let (dispatcher, softirqs) = bench();
    let Endless { stop, .. } = endless(&softirqs);
    let (inside, beside) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (runs, counter) = count();
    let seen = Arc::clone(&beside);
    let tasklet = Tasklet::new(&softirqs, "test", move || {
        if inside.swap(true, Ordering::SeqCst) {
            seen.store(true, Ordering::SeqCst);
        }
        thread::yield_now();
        counter.fetch_add(1, Ordering::SeqCst);
        inside.store(false, Ordering::SeqCst);
    })
    .unwrap();
    // The endless vector comes and goes, so that the softirqs move between the two threads.
    for round in 1..=20 {
        stop.store(false, Ordering::SeqCst);
        softirqs.raise(Vector::Block);
        wait_until("the hand-over", || softirqs.stats().handed_over == round);
        for _ in 0..20 {
            tasklet.schedule();
            dispatcher.shared().kick();
            thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
        tasklet.schedule();
        wait_until("the hand-back", || !softirqs.engine.gate.is_handed_over());
        tasklet.schedule();
    }
    tasklet.kill();
    assert!(!beside.load(Ordering::SeqCst));
    assert!(runs.load(Ordering::SeqCst) > 0, "kill waits for what is scheduled");
}

#[test]
fn the_same_vector_runs_on_several_dispatchers_at_once() {
    let (first, second) = (bench(), bench());
    let (meet, inside) = (Arc::new(std::sync::Barrier::new(2)), count());
    for (_, softirqs) in [&first, &second] {
        let (meet, counter) = (Arc::clone(&meet), Arc::clone(&inside.1));
        softirqs
            .open(Vector::NetTx, move || {
                // Passed only by two at a time.
                meet.wait();
                counter.fetch_add(1, Ordering::SeqCst);
            })
            .unwrap();
        softirqs.raise(Vector::NetTx);
    }
    wait_until("both", || inside.0.load(Ordering::SeqCst) == 2);
    for (dispatcher, softirqs) in [&first, &second] {
        wait_until("the count", || softirqs.stats().vector(Vector::NetTx).runs == 1);
        assert_eq!(softirqs.stats().dispatcher, dispatcher.number());
    }
}

#[test]
fn a_softirq_is_in_softirq_and_not_in_hardirq_on_ksoftirqd_too() {
    let (_dispatcher, softirqs) = bench();
    let wrong = Arc::new(AtomicBool::new(false));
    let (seen, weak) = (Arc::clone(&wrong), Arc::downgrade(&softirqs));
    let (runs, counter) = count();
    softirqs
        .open(Vector::Timer, move || {
            if !in_softirq() || in_hardirq() {
                seen.store(true, Ordering::SeqCst);
            }
            if counter.fetch_add(1, Ordering::SeqCst) < 50 {
                weak.upgrade().unwrap().raise(Vector::Timer);
            }
        })
        .unwrap();
    softirqs.raise(Vector::Timer);
    wait_until("51 runs", || runs.load(Ordering::SeqCst) == 51);
    assert!(!wrong.load(Ordering::SeqCst));
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
fn a_tasklet_scheduled_by_another_dispatchers_softirq_runs_with_its_own() {
    let (own, other) = (bench(), bench());
    let (seen, threads) = mpsc::channel();
    let tasklet = Tasklet::new(&own.1, "test", move || {
        let _ = seen.send(thread::current().id());
    })
    .unwrap();
    let scheduling = tasklet.clone();
    other
        .1
        .open(Vector::Timer, move || {
            scheduling.schedule();
        })
        .unwrap();
    other.1.raise(Vector::Timer);
    let ran_on = threads.recv_timeout(DEADLINE).unwrap();
    tasklet.schedule();
    assert_eq!(threads.recv_timeout(DEADLINE).unwrap(), ran_on, "wherever it is scheduled from");
    assert_eq!(other.1.stats().vector(Vector::Tasklet).runs, 0);
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
fn killing_a_tasklet_in_a_softirq_of_another_dispatcher_is_caught() {
    let (own, other) = (bench(), bench());
    let tasklet = Tasklet::new(&own.1, "test", || ()).unwrap();
    let killed = tasklet.clone();
    let (said, caught) = mpsc::channel();
    other
        .1
        .open(Vector::Timer, move || {
            let kill = std::panic::AssertUnwindSafe(|| killed.kill());
            let _ = said.send(std::panic::catch_unwind(kill).is_err());
        })
        .unwrap();
    other.1.raise(Vector::Timer);
    assert!(caught.recv_timeout(DEADLINE).unwrap());
}

#[test]
fn the_dispatcher_may_end_while_ksoftirqd_runs() {
    let (dispatcher, softirqs) = bench();
    let Endless { stop: _, threads } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || softirqs.engine.gate.is_handed_over());
    drop(dispatcher);
    wait_until("the hand-back", || !softirqs.engine.gate.is_handed_over());
    let runs = threads.lock().unwrap().len();
    thread::sleep(Duration::from_millis(2));
    assert_eq!(threads.lock().unwrap().len(), runs, "it has ended");
}

#[test]
fn a_vector_raised_on_one_dispatcher_is_pending_on_no_other() {
    let (first, second) = (bench(), bench());
    let (runs, counter) = count();
    for (_, softirqs) in [&first, &second] {
        let counter = Arc::clone(&counter);
        let count = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        softirqs.open(Vector::NetTx, count).unwrap();
    }
    let held = [first.1.bh_disable(), second.1.bh_disable()];
    first.1.raise(Vector::NetTx);
    let pending = |softirqs: &Softirqs| softirqs.stats().vector(Vector::NetTx).is_pending;
    assert!(pending(&first.1) && !pending(&second.1));
    drop(held);
    wait_until("the run", || first.1.stats().vector(Vector::NetTx).runs == 1);
    drop(second.1.bh_disable());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(second.1.stats().vector(Vector::NetTx).runs, 0);
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
