//! A test per rule of `include/linux/interrupt.h`'s text on tasklets.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use super::*;
use crate::irq::Dispatcher;

const DEADLINE: Duration = Duration::from_secs(60);

struct Bench {
    dispatcher: Dispatcher,
    softirqs: Arc<Softirqs>,
}

fn bench() -> Bench {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    Bench { dispatcher, softirqs }
}

impl Bench {
    fn tasklet(&self, function: impl Fn() + Send + Sync + 'static) -> Tasklet {
        Tasklet::new(&self.softirqs, "test", function).unwrap()
    }

    /// Holds the dispatcher inside a tasklet until the returned sender is dropped.
    fn busy(&self) -> (Tasklet, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel::<()>();
        let (entered, inside) = mpsc::channel();
        let held = Mutex::new(held);
        let tasklet = self.tasklet(move || {
            entered.send(()).unwrap();
            let _ = held.lock().unwrap().recv_timeout(DEADLINE);
        });
        tasklet.schedule();
        inside.recv_timeout(DEADLINE).unwrap();
        (tasklet, release)
    }
}

fn counting() -> (Arc<AtomicU64>, impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    (count, move || {
        counter.fetch_add(1, Ordering::SeqCst);
    })
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

#[test]
fn a_tasklet_scheduled_twice_before_it_runs_runs_once() {
    let bench = bench();
    let (busy, release) = bench.busy();
    let (count, function) = counting();
    let tasklet = bench.tasklet(function);
    assert!(tasklet.schedule());
    assert!(!tasklet.schedule());
    drop(release);
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
    busy.kill();
    tasklet.kill();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_tasklet_scheduled_while_it_runs_runs_again() {
    let bench = bench();
    let (inside, entered) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let tasklet = bench.tasklet(move || {
        inside.send(()).unwrap();
        let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
    });
    tasklet.schedule();
    entered.recv_timeout(DEADLINE).unwrap();
    assert!(tasklet.schedule());
    go.send(()).unwrap();
    entered.recv_timeout(DEADLINE).unwrap();
    go.send(()).unwrap();
}

#[test]
fn a_tasklet_may_reschedule_itself_and_kill_ends_that() {
    let bench = bench();
    let (count, function) = counting();
    let own: Arc<Mutex<Option<Tasklet>>> = Arc::new(Mutex::new(None));
    let again = Arc::clone(&own);
    let tasklet = bench.tasklet(move || {
        function();
        if let Some(own) = &*again.lock().unwrap() {
            own.schedule();
        }
    });
    *own.lock().unwrap() = Some(tasklet.clone());
    tasklet.schedule();
    wait_until("a hundred runs", || count.load(Ordering::SeqCst) >= 100);
    tasklet.kill();
    let after = count.load(Ordering::SeqCst);
    assert!(!tasklet.schedule(), "a killed tasklet is not scheduled");
    assert_eq!(count.load(Ordering::SeqCst), after);
    own.lock().unwrap().take();
}

#[test]
fn a_tasklet_never_runs_beside_itself() {
    let bench = bench();
    let (running, beside) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let seen = Arc::clone(&beside);
    let (count, function) = counting();
    let tasklet = bench.tasklet(move || {
        if running.swap(true, Ordering::SeqCst) {
            seen.store(true, Ordering::SeqCst);
        }
        function();
        running.store(false, Ordering::SeqCst);
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    tasklet.schedule();
                }
            });
        }
    });
    tasklet.schedule();
    tasklet.kill();
    assert!(!beside.load(Ordering::SeqCst));
    assert!(count.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_disabled_tasklet_stays_scheduled_and_runs_when_enabled() {
    let bench = bench();
    let (count, function) = counting();
    let tasklet = bench.tasklet(function);
    tasklet.disable();
    tasklet.disable();
    assert!(tasklet.schedule());
    let (fence, fenced) = counting();
    let after = bench.tasklet(fenced);
    after.schedule();
    wait_until("a later tasklet", || fence.load(Ordering::SeqCst) == 1);
    tasklet.enable();
    assert!(!tasklet.schedule(), "still scheduled");
    assert_eq!(count.load(Ordering::SeqCst), 0);
    tasklet.enable();
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
}

#[test]
fn disable_waits_for_a_run_that_is_under_way() {
    let bench = bench();
    let (busy, release) = bench.busy();
    let waiting = busy.clone();
    let thread = std::thread::spawn(move || waiting.disable());
    wait_until("the disable", || busy.inner().state.depth() == 1);
    assert!(!thread.is_finished());
    drop(release);
    thread.join().unwrap();
}

#[test]
fn high_priority_tasklets_run_before_the_others() {
    let bench = bench();
    let (busy, release) = bench.busy();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        bench.tasklet(move || order.lock().unwrap().push(name))
    };
    let (low, other, high) = (note("low"), note("other"), note("high"));
    low.schedule();
    other.schedule();
    high.schedule_hi();
    drop(release);
    wait_until("three runs", || order.lock().unwrap().len() == 3);
    assert_eq!(*order.lock().unwrap(), ["high", "low", "other"]);
    drop(busy);
}

#[test]
fn kill_waits_for_a_scheduled_run() {
    let bench = bench();
    let (count, function) = counting();
    let tasklet = bench.tasklet(function);
    for round in 1..=100 {
        let tasklet = if round == 1 { tasklet.clone() } else { bench.tasklet(counting().1) };
        tasklet.schedule();
        tasklet.kill();
    }
    assert_eq!(count.load(Ordering::SeqCst), 1, "what was scheduled ran before the kill returned");
}

#[test]
fn a_disabled_tasklet_can_be_killed() {
    let bench = bench();
    let (count, function) = counting();
    let tasklet = bench.tasklet(function);
    tasklet.disable();
    tasklet.schedule();
    tasklet.kill();
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn a_tasklet_that_panics_is_not_run_again_and_hurts_no_other() {
    let bench = bench();
    let bad = bench.tasklet(|| panic!("a bug of the driver"));
    let (count, function) = counting();
    let good = bench.tasklet(function);
    bad.schedule();
    good.schedule();
    wait_until("the good one", || count.load(Ordering::SeqCst) == 1);
    assert!(!bad.schedule());
}

#[test]
fn dropping_the_dispatcher_first_does_not_hang_a_kill() {
    let Bench { dispatcher, softirqs } = bench();
    let tasklet = Tasklet::new(&softirqs, "test", || ()).unwrap();
    drop(dispatcher);
    tasklet.schedule();
    tasklet.kill();
}

#[test]
fn disable_nosync_does_not_wait_for_a_run_that_is_under_way() {
    let bench = bench();
    let (busy, release) = bench.busy();
    busy.disable_nosync();
    assert!(busy.inner().state.is_running());
    busy.schedule();
    drop(release);
    wait_until("the end of the run", || !busy.inner().state.is_running());
    let (fence, fenced) = counting();
    let after = bench.tasklet(fenced);
    after.schedule();
    wait_until("a later tasklet", || fence.load(Ordering::SeqCst) == 1);
    assert!(busy.inner().state.is_scheduled(), "it does not start");
    busy.kill();
}

#[test]
fn a_dispatcher_has_so_many_tasklets_and_one_that_is_dropped_makes_room() {
    let bench = bench();
    let all: Vec<_> =
        (0..super::super::engine::MAX_TASKLETS).map(|_| bench.tasklet(|| ())).collect();
    let error = Tasklet::new(&bench.softirqs, "more", || ()).unwrap_err();
    assert_eq!(error.errno(), nix::errno::Errno::ENOSPC);
    all[0].kill();
    assert!(Tasklet::new(&bench.softirqs, "more", || ()).is_err(), "it is still there");
    drop(all);
    bench.tasklet(|| ());
}

#[test]
fn a_tasklet_that_is_dropped_by_a_softirq_while_it_is_scheduled_keeps_its_place_until_its_turn() {
    let bench = bench();
    let (runs, made) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (softirqs, counter, noted) =
        (Arc::downgrade(&bench.softirqs), Arc::clone(&runs), Arc::clone(&made));
    let maker = bench.tasklet(move || {
        let softirqs = softirqs.upgrade().unwrap();
        let many = 2 * super::super::engine::MAX_TASKLETS;
        let made = (0..many).map_while(|_| {
            let counter = Arc::clone(&counter);
            let run = move || {
                counter.fetch_add(1, Ordering::SeqCst);
            };
            Tasklet::new(&softirqs, "short", run).ok()?.schedule().then_some(())
        });
        noted.store(made.count() as u64, Ordering::SeqCst);
    });
    maker.schedule();
    // All but the maker's own place.
    let most = super::super::engine::MAX_TASKLETS as u64 - 1;
    wait_until("their runs", || runs.load(Ordering::SeqCst) == most);
    assert_eq!(made.load(Ordering::SeqCst), most);
    wait_until("their end", || Tasklet::new(&bench.softirqs, "more", || ()).is_ok());
}

#[test]
#[cfg(debug_assertions)]
fn a_sleeping_call_in_a_tasklet_is_caught_with_both_places() {
    let bench = bench();
    let (say, said) = mpsc::channel();
    let made = line!() + 1;
    let tasklet = Tasklet::new(&bench.softirqs, "test", move || {
        let sleep = || crate::sync::Completion::new().wait();
        let caught = catch_unwind(AssertUnwindSafe(sleep)).unwrap_err();
        say.send(caught.downcast_ref::<String>().cloned()).unwrap();
    })
    .unwrap();
    tasklet.schedule();
    let text = said.recv_timeout(DEADLINE).unwrap().unwrap();
    let (call, set_up) = text.split_once(" in Softirq context (set up at ").unwrap();
    let file = file!();
    assert!(call.contains(&format!("{file}:{}:", made + 1)), "{text}");
    assert!(set_up.starts_with(&format!("{file}:{made}:")), "{text}");
}
