//! A test per rule of `kernel/time/hrtimer.c`'s kernel-doc and of `rust/kernel/time/hrtimer.rs`. Real time
//! passes here: tests wait for conditions with deadlines, and check bounds that no slow machine can break.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;

use super::*;
use crate::irq::Dispatcher;
use crate::sync::context;
use crate::sys::clock::{ClockId, now_ns};
use crate::time::{BootTime, Monotonic, RealTime};

mod softirq;

const DEADLINE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

struct Bench {
    dispatcher: Dispatcher,
    base: Arc<HrTimerBase>,
}

fn bench() -> Bench {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let base = HrTimerBase::attach(&dispatcher).unwrap();
    Bench { dispatcher, base }
}

impl Bench {
    /// A timer that counts its runs and does not restart.
    fn counting(&self) -> (Arc<AtomicU64>, HrTimer<Monotonic>) {
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let timer = HrTimer::new(&self.base, Monotonic, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            HrTimerRestart::NoRestart
        });
        (count, timer)
    }

    /// A timer whose first run has begun, and ends with `result` when the sender is dropped.
    fn running(
        &self,
        result: HrTimerRestart,
    ) -> (HrTimer<Monotonic>, HrTimerHandle<Monotonic>, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel::<()>();
        let (entered, inside) = mpsc::channel();
        let timer = HrTimer::new(&self.base, Monotonic, move |context| {
            let _ = entered.send(());
            let _ = held.recv_timeout(DEADLINE);
            context.forward_now(HOUR);
            result
        });
        let handle = timer.start(Duration::ZERO);
        inside.recv_timeout(DEADLINE).unwrap();
        (timer, handle, release)
    }

    fn waiters(&self) -> u32 {
        self.base.clock(ClockId::Monotonic).waiters()
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn expires_once_and_not_early<C: ClockSource + Default>(bench: &Bench) {
    let (seen, expired) = mpsc::channel();
    let timer = HrTimer::new(&bench.base, C::default(), move |context| {
        let _ = seen.send((context.expires(), Instant::<C>::now(), context::in_softirq()));
        HrTimerRestart::NoRestart
    });
    for micros in [0, 1, 50, 700, 3000] {
        let span = Duration::from_micros(micros);
        let asked = Instant::<C>::now() + span;
        let relative = timer.start(span);
        let (deadline, at, in_softirq) = expired.recv_timeout(DEADLINE).unwrap();
        assert!(deadline >= asked && at >= deadline && in_softirq, "{deadline:?} {at:?}");
        drop(relative);
        let point = Instant::<C>::now() + span;
        let _absolute = timer.start(point);
        let (deadline, at, _) = expired.recv_timeout(DEADLINE).unwrap();
        assert!(deadline == point && at >= point, "{deadline:?} {at:?}");
        assert!(!timer.is_queued());
    }
}

#[test]
fn a_timer_expires_once_in_softirq_context_and_never_early_on_each_clock() {
    let bench = bench();
    expires_once_and_not_early::<Monotonic>(&bench);
    expires_once_and_not_early::<RealTime>(&bench);
    expires_once_and_not_early::<BootTime>(&bench);
}

#[test]
fn starting_a_started_timer_moves_it() {
    let bench = bench();
    let (count, timer) = bench.counting();
    let _first = timer.start(HOUR);
    assert!(timer.is_queued() && timer.remaining() > HOUR / 2);
    let _second = timer.start(Duration::from_millis(1));
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
    assert!(!timer.is_queued() && timer.remaining().is_zero());
}

#[test]
fn restart_runs_again_at_the_forwarded_deadline() {
    let bench = bench();
    let (seen, expiries) = mpsc::channel();
    let period = Duration::from_millis(2);
    let mut runs = 0;
    let timer = HrTimer::new(&bench.base, Monotonic, move |context| {
        let _ = seen.send((context.expires(), Instant::now()));
        runs += 1;
        if runs == 5 {
            return HrTimerRestart::NoRestart;
        }
        assert!(context.forward_now(period) >= 1);
        HrTimerRestart::Restart
    });
    let _handle = timer.start(period);
    let first = expiries.recv_timeout(DEADLINE).unwrap().0;
    for _ in 1..5 {
        let (deadline, at) = expiries.recv_timeout(DEADLINE).unwrap();
        let since = deadline.saturating_duration_since(first);
        assert!(
            at >= deadline && (since.as_nanos() % period.as_nanos()) == 0,
            "no drift: {since:?}"
        );
    }
    wait_until("the end", || !timer.is_queued() && !timer.is_running());
}

#[test]
fn norestart_stops_the_timer() {
    let bench = bench();
    let (count, timer) = bench.counting();
    let _handle = timer.start(Duration::ZERO);
    wait_until("the end", || count.load(Ordering::SeqCst) == 1 && !timer.is_running());
    assert!(!timer.is_queued());
}

#[test]
fn forward_counts_whole_intervals_and_passes_now() {
    let bench = bench();
    let (done, results) = mpsc::channel();
    let timer = HrTimer::new(&bench.base, Monotonic, move |context| {
        let start = context.expires();
        let ms = Duration::from_millis;
        let mut step = |now, interval| {
            let overruns = context.forward(now, interval);
            (overruns, context.expires().saturating_duration_since(start))
        };
        let results = [
            // Before the deadline nothing happens.
            step(start - ms(1), ms(10)),
            // On it, one interval.
            step(start, ms(10)),
            // Just before the new one: nothing.
            step(start + ms(9), ms(10)),
            // 25 intervals and a half later.
            step(start + ms(10) + ms(255), ms(10)),
            // An interval of nothing still gets past.
            step(start + ms(271), Duration::ZERO),
        ];
        done.send(results).unwrap();
        HrTimerRestart::NoRestart
    });
    let _handle = timer.start(Duration::ZERO);
    let results = results.recv_timeout(DEADLINE).unwrap();
    let ms = Duration::from_millis;
    assert_eq!(results[..4], [(0, ms(0)), (1, ms(10)), (0, ms(10)), (26, ms(270))]);
    assert_eq!(results[4].1, ms(271) + Duration::from_nanos(1));
}

#[test]
fn forward_now_counts_the_intervals_that_were_missed() {
    let bench = bench();
    let (done, results) = mpsc::channel();
    let period = Duration::from_millis(10);
    let timer = HrTimer::new(&bench.base, Monotonic, move |context| {
        let (first, before) = (context.expires(), Instant::now());
        let overruns = context.forward_now(period);
        done.send((first, overruns, context.expires(), before, Instant::now())).unwrap();
        HrTimerRestart::NoRestart
    });
    let late = Instant::now() - 100 * period;
    let _handle = timer.start(late);
    let (first, overruns, next, before, after) = results.recv_timeout(DEADLINE).unwrap();
    assert_eq!(first, late, "a deadline in the past expires at once, and is told as it was");
    assert!(overruns > 100, "{overruns} intervals of 10 ms in more than a second");
    assert_eq!(next, late + period * u32::try_from(overruns).unwrap());
    assert!(next > before && next - period <= after, "past now, and no further than need be");
}

#[test]
fn a_timer_that_is_dropped_in_its_callback_touches_no_other_that_gets_its_place() {
    let bench = bench();
    let own: Arc<Mutex<Option<HrTimerHandle<Monotonic>>>> = Arc::default();
    let (inner, base, (done, told)) = (Arc::clone(&own), Arc::clone(&bench.base), mpsc::channel());
    let timer = HrTimer::new(&bench.base, Monotonic, move |context| {
        drop(inner.lock().unwrap().take());
        // It gets the place that was given back.
        let other = HrTimer::new(&base, Monotonic, |_| HrTimerRestart::NoRestart);
        let before = other.expires();
        let overruns = context.forward_now(HOUR);
        let _ = done.send((overruns, other.expires() == before, other.is_queued()));
        HrTimerRestart::Restart
    });
    let mut held = own.lock().unwrap();
    *held = Some(timer.start(Duration::ZERO));
    // The handle is the last owner now.
    drop(timer);
    drop(held);
    let (overruns, untouched, queued) = told.recv_timeout(DEADLINE).unwrap();
    assert!(overruns >= 1 && untouched && !queued);
    wait_until("the end of the run", || bench.base.stats().expired == 1);
    assert_eq!(bench.base.queued(), 0, "its restart is not heeded");
}

#[test]
fn a_started_timer_is_not_forwarded() {
    let bench = bench();
    let (timer, _handle, release) = bench.running(HrTimerRestart::NoRestart);
    let point = Instant::now() + HOUR * 10;
    let _again = timer.start(point);
    drop(release);
    wait_until("the end of the run", || !timer.is_running());
    assert!(timer.is_queued() && timer.expires() == point, "its callback forwards");
}

#[test]
fn cancel_says_whether_the_timer_was_active() {
    let bench = bench();
    let (count, timer) = bench.counting();
    assert!(!timer.cancel());
    let mut handle = timer.start(HOUR);
    assert!(handle.cancel() && !timer.is_queued());
    assert!(!handle.cancel());
    assert_eq!(timer.try_cancel(), Some(false));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn cancel_waits_for_a_running_callback_and_its_restart_is_not_heeded() {
    let bench = bench();
    let (timer, handle, release) = bench.running(HrTimerRestart::Restart);
    assert_eq!(timer.try_cancel(), None, "it is running");
    let cancelled = Arc::new(AtomicBool::new(false));
    let canceller = {
        let cancelled = Arc::clone(&cancelled);
        std::thread::spawn(move || {
            drop(handle);
            cancelled.store(true, Ordering::SeqCst);
        })
    };
    wait_until("the wait", || bench.waiters() == 1);
    assert!(timer.is_running() && !cancelled.load(Ordering::SeqCst));
    drop(release);
    canceller.join().unwrap();
    assert!(!timer.is_running() && !timer.is_queued());
}

#[test]
fn a_cancel_in_the_callback_takes_effect_when_it_returns() {
    let bench = bench();
    let own: Arc<Mutex<Option<HrTimerHandle<Monotonic>>>> = Arc::default();
    let (inner, runs) = (Arc::clone(&own), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&runs);
    let timer = HrTimer::new(&bench.base, Monotonic, move |_| {
        drop(inner.lock().unwrap().take());
        counter.fetch_add(1, Ordering::SeqCst);
        HrTimerRestart::Restart
    });
    let mut held = own.lock().unwrap();
    *held = Some(timer.start(Duration::ZERO));
    drop(held);
    wait_until("the run", || runs.load(Ordering::SeqCst) == 1 && !timer.is_running());
    assert!(!timer.is_queued());
}

#[test]
fn a_timer_started_while_it_runs_stays_started_whatever_it_returns() {
    for result in [HrTimerRestart::NoRestart, HrTimerRestart::Restart] {
        let bench = bench();
        let (timer, _handle, release) = bench.running(result);
        let point = Instant::now() + HOUR * 5;
        let _again = timer.start(point);
        drop(release);
        wait_until("the end of the run", || !timer.is_running());
        assert!(timer.is_queued() && timer.expires() == point, "{result:?}");
    }
}

#[test]
fn a_timer_never_runs_beside_itself() {
    let bench = bench();
    let (inside, runs) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counter, total) = (Arc::clone(&inside), Arc::clone(&runs));
    let timer = HrTimer::new(&bench.base, Monotonic, move |_| {
        assert_eq!(counter.fetch_add(1, Ordering::SeqCst), 0, "beside itself");
        total.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        counter.fetch_sub(1, Ordering::SeqCst);
        HrTimerRestart::NoRestart
    });
    let deadline = std::time::Instant::now() + DEADLINE;
    let starters: Vec<_> = (0..2)
        .map(|_| {
            let (timer, runs) = (timer.clone(), Arc::clone(&runs));
            std::thread::spawn(move || {
                let mut handles = Vec::new();
                while runs.load(Ordering::SeqCst) < 100 {
                    assert!(std::time::Instant::now() < deadline);
                    handles.push(timer.start(Duration::ZERO));
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    starters.into_iter().for_each(|starter| starter.join().unwrap());
}

#[test]
fn timers_expire_in_the_order_of_their_deadlines_and_equals_in_order_of_start() {
    let bench = bench();
    let order = Arc::new(Mutex::new(Vec::new()));
    // Nothing expires until all are started.
    let (_busy, _handle, release) = bench.running(HrTimerRestart::NoRestart);
    let start = Instant::<Monotonic>::now() + Duration::from_millis(20);
    let handles: Vec<_> = [2, 0, 1, 0]
        .into_iter()
        .enumerate()
        .map(|(number, msecs)| {
            let order = Arc::clone(&order);
            let timer = HrTimer::new(&bench.base, Monotonic, move |_| {
                order.lock().unwrap().push(number);
                HrTimerRestart::NoRestart
            });
            timer.start(start + Duration::from_millis(msecs))
        })
        .collect();
    drop(release);
    wait_until("all of them", || order.lock().unwrap().len() == handles.len());
    assert_eq!(*order.lock().unwrap(), [1, 3, 2, 0]);
}

#[test]
fn one_timerfd_a_clock_is_armed_for_the_earliest_deadline_only() {
    let bench = bench();
    let armed = || bench.base.stats().armed;
    let start = Instant::<Monotonic>::now() + HOUR;
    let timers: Vec<_> = (0..100).map(|_| bench.counting().1).collect();
    let handles: Vec<_> =
        (0..100).map(|n| timers[n].start(start + Duration::from_secs(n as u64))).collect();
    assert_eq!(armed(), 1);
    for _ in 0..1000 {
        drop(timers[50].start(start - Duration::from_secs(1)));
    }
    assert_eq!(armed(), 2, "started and cancelled over and over, it was armed once");
    drop(handles);
    assert_eq!((armed(), bench.base.queued()), (2, 0), "cancelling arms nothing");
}

#[test]
fn a_callback_that_panics_is_not_restarted_and_harms_no_other() {
    let bench = bench();
    let bad = HrTimer::new(&bench.base, Monotonic, |_| panic!("a bug of the driver"));
    let _handle = bad.start(Duration::ZERO);
    wait_until("the panic", || bench.base.stats().expired == 1);
    let (count, good) = bench.counting();
    let _good = good.start(Duration::ZERO);
    wait_until("the other", || count.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_timer_that_is_always_late_leaves_the_others_their_turn() {
    let bench = bench();
    // It never forwards, so that it is due again at once.
    let greedy = HrTimer::new(&bench.base, Monotonic, |_| HrTimerRestart::Restart);
    let mut greedy = greedy.start(Duration::ZERO);
    let boot = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&boot);
    let other = HrTimer::new(&bench.base, BootTime, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        HrTimerRestart::NoRestart
    });
    let _other = other.start(Duration::from_millis(1));
    wait_until("the other", || boot.load(Ordering::SeqCst) == 1);
    greedy.cancel();
}

#[test]
fn a_timer_may_outlive_its_dispatcher() {
    let Bench { dispatcher, base } = bench();
    let timer = HrTimer::new(&base, Monotonic, |_| HrTimerRestart::NoRestart);
    drop(dispatcher);
    let mut handle = timer.start(Duration::ZERO);
    assert!(handle.cancel(), "nobody is left to run it");
}

/// By how much the clock of the test below was set.
static SET_BY: AtomicI64 = AtomicI64::new(0);

fn settable_now() -> i64 {
    now_ns(ClockId::RealTime) + SET_BY.load(Ordering::SeqCst)
}

#[test]
fn a_clock_that_is_set_moves_real_time_timers_and_hurts_no_monotonic_one() {
    let bench = bench();
    let real = ClockBase::with_clock(&bench.dispatcher, ClockId::RealTime, settable_now).unwrap();
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let timer = HrTimer::<RealTime>::on(&real, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        HrTimerRestart::NoRestart
    });
    let (monotonic_runs, monotonic) = bench.counting();
    let _monotonic = monotonic.start(HOUR);
    let _real = timer.start(Instant::from_nanos(settable_now()) + HOUR);
    let set_clock = |by: Duration| {
        SET_BY.fetch_add(span_ns(by), Ordering::SeqCst);
        real.ring_for_set_clock();
    };
    set_clock(HOUR / 2);
    wait_until("the look", || real.armed_count() == 2);
    assert!(timer.is_queued() && timer.remaining() <= HOUR / 2, "half of the time is left");
    set_clock(HOUR);
    wait_until("the run", || runs.load(Ordering::SeqCst) == 1);
    assert_eq!(monotonic_runs.load(Ordering::SeqCst), 0);
    assert!(monotonic.remaining() > HOUR / 2);
}
