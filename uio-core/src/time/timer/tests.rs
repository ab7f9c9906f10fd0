//! A test per rule of `kernel/time/timer.c`'s kernel-doc. Real time passes here: tests wait for conditions
//! with deadlines, and check bounds that no slow machine can break.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use super::*;
use crate::irq::Dispatcher;
use crate::sync::context;
use crate::time::jiffies::{HZ, msecs_to_jiffies, now_jiffies};

mod softirq;

const DEADLINE: Duration = Duration::from_secs(60);

struct Bench {
    dispatcher: Dispatcher,
    base: Arc<TimerBase>,
}

fn bench() -> Bench {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let base = TimerBase::attach(&dispatcher).unwrap();
    Bench { dispatcher, base }
}

impl Bench {
    fn timer(&self, callback: impl FnMut(&mut TimerContext<'_>) + Send + 'static) -> Timer {
        Timer::new(&self.base, "test", callback)
    }

    /// A timer that counts its runs.
    fn counting(&self) -> (Arc<AtomicU64>, Timer) {
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let timer = self.timer(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        (count, timer)
    }

    /// A timer whose run has begun, and ends when the sender is dropped or sends.
    fn running(
        &self,
        mut after: impl FnMut(&mut TimerContext<'_>) + Send + 'static,
    ) -> (Timer, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel::<()>();
        let (entered, inside) = mpsc::channel();
        let timer = self.timer(move |context| {
            let _ = entered.send(());
            let _ = held.recv_timeout(DEADLINE);
            after(context);
        });
        timer.modify(now_jiffies());
        inside.recv_timeout(DEADLINE).unwrap();
        (timer, release)
    }
}

fn soon() -> Jiffies {
    now_jiffies() + msecs_to_jiffies(2)
}

fn far() -> Jiffies {
    now_jiffies() + Jiffies::new(3600 * HZ)
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn a_timer_expires_once_in_softirq_context_and_never_early() {
    let bench = bench();
    for msecs in [0, 1, 5, 20, 70] {
        let (seen, expired) = mpsc::channel();
        let timer = bench.timer(move |context| {
            seen.send((now_jiffies(), context.expires(), context::in_softirq())).unwrap();
        });
        let expires = now_jiffies() + msecs_to_jiffies(msecs);
        assert!(!timer.modify(expires));
        let (at, told, in_softirq) = expired.recv_timeout(DEADLINE).unwrap();
        assert!(at.is_after(expires), "{msecs} ms: at {at} instead of after {expires}");
        assert!(told == expires && in_softirq);
        assert!(!timer.is_pending());
    }
}

#[test]
fn mod_timer_of_a_pending_timer_moves_it_and_says_so() {
    let bench = bench();
    let (count, timer) = bench.counting();
    assert!(!timer.modify(far()), "it was idle");
    assert!(timer.modify(soon()), "it was pending");
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
    assert!(!timer.modify(far()), "it has expired");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_timer_moved_away_does_not_expire_at_its_old_time() {
    let bench = bench();
    let (count, timer) = bench.counting();
    let (other_count, other) = bench.counting();
    // On a busy machine it may expire before it is moved away; then again.
    wait_until("a move in time", || {
        timer.delete_sync();
        timer.modify(soon());
        timer.modify(far())
    });
    let before = count.load(Ordering::SeqCst);
    // When this one has run, the old time is over.
    other.modify(now_jiffies() + msecs_to_jiffies(20));
    wait_until("the other", || other_count.load(Ordering::SeqCst) == 1);
    assert!(count.load(Ordering::SeqCst) == before && timer.is_pending());
}

#[test]
fn a_callback_may_start_its_own_timer_again() {
    let bench = bench();
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let timer = bench.timer(move |context| {
        if counter.fetch_add(1, Ordering::SeqCst) < 4 {
            context.modify(now_jiffies());
        }
    });
    timer.modify(now_jiffies());
    wait_until("five runs", || count.load(Ordering::SeqCst) == 5);
    assert!(!timer.is_pending());
}

#[test]
fn del_timer_says_whether_the_timer_was_pending() {
    let bench = bench();
    let (count, timer) = bench.counting();
    assert!(!timer.delete());
    timer.modify(far());
    assert!(timer.is_pending());
    assert!(timer.delete());
    assert!(!timer.is_pending() && !timer.delete());
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn del_timer_does_not_wait_for_a_running_callback() {
    let bench = bench();
    let (timer, release) = bench.running(|_| {});
    assert!(!timer.delete(), "a running timer is not pending");
    drop(release);
}

#[test]
fn del_timer_sync_waits_for_a_running_callback() {
    let bench = bench();
    let done = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&done);
    let (timer, release) = bench.running(move |_| finished.store(true, Ordering::SeqCst));
    let deleter = {
        let timer = timer.clone();
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            timer.delete_sync();
            done.load(Ordering::SeqCst)
        })
    };
    wait_until("the wait", || bench.base.waiters() == 1);
    assert!(!deleter.is_finished());
    drop(release);
    assert!(deleter.join().unwrap(), "it returned before the callback did");
}

#[test]
fn del_timer_sync_ends_a_timer_that_starts_itself_again() {
    let bench = bench();
    let (timer, release) = bench.running(|context| {
        context.modify(now_jiffies());
    });
    let deleter = {
        let timer = timer.clone();
        std::thread::spawn(move || timer.delete_sync())
    };
    wait_until("the wait", || bench.base.waiters() == 1);
    drop(release);
    deleter.join().unwrap();
    assert!(!timer.is_pending(), "the callback could not start it again");
    assert!(!timer.modify(far()) && timer.is_pending(), "it can be started again later");
}

#[test]
fn del_timer_sync_in_its_own_callback_does_not_wait_for_itself() {
    let bench = bench();
    let own: Arc<Mutex<Option<Timer>>> = Arc::new(Mutex::new(None));
    let (inner, (done, finished)) = (Arc::clone(&own), mpsc::channel());
    let timer = bench.timer(move |context| {
        let own = inner.lock().unwrap();
        context.modify(far());
        assert!(own.as_ref().unwrap().delete_sync());
        context.modify(far());
        done.send(()).unwrap();
    });
    *own.lock().unwrap() = Some(timer.clone());
    timer.modify(now_jiffies());
    finished.recv_timeout(DEADLINE).unwrap();
    assert!(!timer.is_pending());
    *own.lock().unwrap() = None;
}

#[test]
fn a_timer_started_while_it_runs_runs_again_and_never_beside_itself() {
    let bench = bench();
    let (inside, runs) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counter, total) = (Arc::clone(&inside), Arc::clone(&runs));
    let timer = bench.timer(move |_| {
        assert_eq!(counter.fetch_add(1, Ordering::SeqCst), 0, "beside itself");
        total.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        counter.fetch_sub(1, Ordering::SeqCst);
    });
    let deadline = Instant::now() + DEADLINE;
    let starters: Vec<_> = (0..2)
        .map(|_| {
            let (timer, runs) = (timer.clone(), Arc::clone(&runs));
            std::thread::spawn(move || {
                while runs.load(Ordering::SeqCst) < 50 {
                    assert!(Instant::now() < deadline);
                    // Not at the jiffy it has: that would keep moving it away.
                    timer.reduce(now_jiffies());
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    starters.into_iter().for_each(|starter| starter.join().unwrap());
    timer.delete_sync();
    assert!(runs.load(Ordering::SeqCst) >= 50);
}

#[test]
fn a_timer_that_is_shut_down_cannot_be_started() {
    let bench = bench();
    let (count, timer) = bench.counting();
    timer.modify(far());
    assert!(timer.shutdown_sync(), "it was pending");
    assert!(!timer.modify(now_jiffies()) && !timer.is_pending());
    timer.add(now_jiffies());
    assert!(!timer.is_pending());
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn dropping_a_timer_waits_for_its_callback_and_gives_its_place_back() {
    let bench = bench();
    let done = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&done);
    let (timer, release) = bench.running(move |context| {
        context.modify(now_jiffies());
        finished.store(true, Ordering::SeqCst);
    });
    let dropper = std::thread::spawn(move || drop(timer));
    wait_until("the wait", || bench.base.waiters() == 1);
    drop(release);
    dropper.join().unwrap();
    assert!(done.load(Ordering::SeqCst));
    assert_eq!(bench.base.pending(), 0);
    let (count, successor) = bench.counting();
    successor.modify(now_jiffies());
    wait_until("the successor", || count.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_timer_that_is_dropped_in_its_callback_starts_no_other_that_gets_its_place() {
    let bench = bench();
    let own: Arc<Mutex<Option<Timer>>> = Arc::default();
    let (inner, base, (done, told)) = (Arc::clone(&own), Arc::clone(&bench.base), mpsc::channel());
    let timer = bench.timer(move |context| {
        drop(inner.lock().unwrap().take());
        // It gets the place that was given back.
        let other = Timer::new(&base, "other", |_| {});
        let refused = !context.modify(now_jiffies()) && !other.is_pending();
        other.modify(far());
        done.send((refused, context.modify(now_jiffies()), other.expires())).unwrap();
        std::mem::forget(other);
    });
    let mut held = own.lock().unwrap();
    timer.modify(now_jiffies());
    *held = Some(timer);
    drop(held);
    let (refused, was_pending, expires) = told.recv_timeout(DEADLINE).unwrap();
    assert!(refused && !was_pending && expires.is_after(now_jiffies()));
    wait_until("the end of the run", || bench.base.stats().expired == 1);
    assert_eq!(bench.base.pending(), 1, "the other one, as it was started");
}

#[test]
fn mod_timer_pending_leaves_an_idle_timer_idle() {
    let bench = bench();
    let (_, timer) = bench.counting();
    assert!(!timer.modify_pending(far()));
    assert!(!timer.is_pending());
    let (earlier, later) = (far(), far() + Jiffies::new(1000));
    timer.modify(earlier);
    assert!(timer.modify_pending(later));
    assert_eq!(timer.expires(), later);
}

#[test]
fn timer_reduce_never_makes_a_timer_later() {
    let bench = bench();
    let (_, timer) = bench.counting();
    let (earlier, later) = (far(), far() + Jiffies::new(1000));
    assert!(!timer.reduce(later), "an idle timer is started");
    assert!(timer.reduce(earlier));
    assert_eq!(timer.expires(), earlier);
    assert!(timer.reduce(later));
    assert_eq!(timer.expires(), earlier);
}

#[test]
fn add_timer_of_a_pending_timer_changes_nothing() {
    let bench = bench();
    let (_, timer) = bench.counting();
    let first = far();
    timer.add(first);
    timer.add(first + Jiffies::new(1000));
    assert_eq!(timer.expires(), first);
}

#[test]
fn a_deferrable_timer_does_not_wake_the_dispatcher_and_runs_when_it_is_awake() {
    let bench = bench();
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let lazy = Timer::with_flags(&bench.base, "lazy", TimerFlags::DEFERRABLE, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let expires = now_jiffies();
    lazy.modify(expires);
    wait_until("its time", || now_jiffies().is_after(expires + Jiffies::new(5)));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(bench.base.stats().armed, 0, "nothing was armed for it");
    bench.dispatcher.shared().kick();
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
}

#[test]
fn the_timerfd_is_armed_only_when_the_earliest_deadline_changes() {
    let bench = bench();
    let armed = || bench.base.stats().armed;
    let timers: Vec<Timer> = (0..100).map(|_| bench.counting().1).collect();
    // Each later than the one before: the earliest deadline changes once.
    let start = far();
    for (number, timer) in timers.iter().enumerate() {
        timer.modify(start + Jiffies::new(number as u64 * 1_000_000));
    }
    assert_eq!(armed(), 1);
    // A timeout that is started and cancelled over and over changes it once at the most.
    for _ in 0..1000 {
        timers[50].modify(start - Jiffies::new(1_000_000));
        timers[50].delete();
    }
    assert_eq!(armed(), 2);
    for timer in &timers {
        timer.delete();
    }
    assert_eq!(armed(), 2, "cancelling arms nothing");
    // Those that expire in turn need one each.
    let before = (armed(), bench.base.stats().expired);
    let now = now_jiffies();
    for (number, timer) in timers.iter().take(5).enumerate() {
        timer.modify(now + Jiffies::new(20 + number as u64));
    }
    wait_until("the expiries", || bench.base.stats().expired == before.1 + 5);
    assert!(armed() - before.0 <= 5, "{} for 5 deadlines", armed() - before.0);
}

#[test]
fn timers_expire_in_the_order_of_their_deadlines() {
    let bench = bench();
    // All have to be started before the first expires: on a busy machine with more time, if they were not.
    let in_order = |scale: u64| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let start = now_jiffies();
        let timers: Vec<Timer> = [30, 10, 20, 40]
            .into_iter()
            .map(|msecs| {
                let order = Arc::clone(&order);
                let timer = bench.timer(move |_| order.lock().unwrap().push(msecs));
                timer.modify(start + msecs_to_jiffies(msecs * scale));
                timer
            })
            .collect();
        let in_time = now_jiffies().is_before(start + msecs_to_jiffies(10 * scale));
        wait_until("all of them", || order.lock().unwrap().len() == timers.len());
        assert!(!in_time || *order.lock().unwrap() == [10, 20, 30, 40]);
        in_time
    };
    assert!((0..8).any(|times| in_order(1 << times)));
}

#[test]
fn a_timer_that_panics_is_not_run_again_and_harms_no_other() {
    let bench = bench();
    let bad = bench.timer(|context| {
        context.modify(now_jiffies());
        panic!("a bug of the driver");
    });
    bad.modify(now_jiffies());
    wait_until("the panic", || !bad.is_pending() && bench.base.stats().expired == 1);
    assert!(!bad.modify(now_jiffies()) && !bad.is_pending());
    let (count, good) = bench.counting();
    good.modify(now_jiffies());
    wait_until("the other", || count.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_storm_of_timers_leaves_the_lines_their_turn_and_loses_none() {
    let bench = bench();
    let count = Arc::new(AtomicU64::new(0));
    let timers: Vec<Timer> = (0..200)
        .map(|_| {
            let counter = Arc::clone(&count);
            bench.timer(move |_| {
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(100) {
                    std::hint::spin_loop();
                }
                counter.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    let expires = soon();
    for timer in &timers {
        timer.modify(expires);
    }
    wait_until("all of them", || count.load(Ordering::SeqCst) == 200);
    assert_eq!(bench.base.pending(), 0);
}

#[test]
fn a_timer_may_outlive_its_dispatcher() {
    let Bench { dispatcher, base } = bench();
    let timer = Timer::new(&base, "late", |_| {});
    drop(dispatcher);
    timer.modify(now_jiffies());
    assert!(timer.delete_sync(), "nobody is left to run it");
}
