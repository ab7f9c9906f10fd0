//! What timers cost, beside `tokio_util::time::DelayQueue` and `clock_nanosleep`:
//! `cargo bench -p uio-core --bench timers`.
//!
//! Rounds are interleaved: each measures every side once, in turn, and a ratio is taken within a round. What is
//! printed is the median over the rounds, of the times and of the ratios. Claims:
//!
//! - start, cancel and expiry are at most 1.3 times slower with 1,000,000 pending than with 100;
//! - they are at least 10 times faster than `DelayQueue`;
//! - the lateness of an hrtimer is at the 99.9th percentile at most 1.1 times that of `clock_nanosleep`.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use tokio_util::time::DelayQueue;
use uio_core::irq::Dispatcher;
use uio_core::time::wheel::{Key, Wheel};
use uio_core::time::{
    HrTimer, HrTimerBase, HrTimerRestart, Jiffies, Monotonic, Timer, TimerBase, ktime_get,
    now_jiffies,
};

const ROUNDS: usize = 21;
/// Timers that are started, cancelled and expired; the others only lie there. So many that reading the clock
/// around them does not count.
const ACTIVE: usize = 512;
/// How often all active ones are taken through it in a round.
const REPEATS: usize = 40;
/// As often, where it takes real time to expire.
const EXPIRING_REPEATS: usize = 20;

const FEW: usize = 100;
const MANY: usize = 1_000_000;

/// Nanoseconds for one timer.
#[derive(Clone, Copy, Default)]
struct Cost {
    start: f64,
    cancel: f64,
    expire: f64,
}

impl Cost {
    /// A timeout that does not come about.
    fn start_and_cancel(&self) -> f64 {
        self.start + self.cancel
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn timed(total: &mut Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    *total += start.elapsed();
}

fn each(total: Duration, repeats: usize) -> f64 {
    total.as_nanos() as f64 / (repeats * ACTIVE) as f64
}

fn distances() -> Vec<u64> {
    let mut random = Random(42);
    (0..ACTIVE).map(|_| 100 + random.below(5000)).collect()
}

/// The wheel by itself.
struct WheelSide {
    wheel: Wheel,
    active: Vec<Key>,
    idle: Vec<Key>,
    now: u64,
}

impl WheelSide {
    fn new(pending: usize) -> Self {
        let (mut wheel, mut random) = (Wheel::new(0), Random(7));
        let idle: Vec<Key> = (0..pending).map(|_| wheel.insert()).collect();
        for key in &idle {
            wheel.start(*key, 100_000_000 + random.below(1_000_000_000), 0);
        }
        let active = (0..ACTIVE).map(|_| wheel.insert()).collect();
        Self { wheel, active, idle, now: 0 }
    }

    fn round(&mut self) -> Cost {
        let (mut start, mut cancel, mut expire) = <(Duration, Duration, Duration)>::default();
        let distances = distances();
        for _ in 0..REPEATS {
            timed(&mut start, || {
                for (key, distance) in self.active.iter().zip(&distances) {
                    self.wheel.start(*key, self.now + distance, self.now);
                }
            });
            timed(&mut cancel, || {
                for key in &self.active {
                    black_box(self.wheel.cancel(*key));
                }
            });
            for (number, key) in self.active.iter().enumerate() {
                self.wheel.start(*key, self.now + number as u64 % 4, self.now);
            }
            self.now += 8;
            timed(&mut expire, || {
                while let Some(key) = self.wheel.pop_expired(self.now) {
                    black_box(key);
                }
            });
        }
        let cost = |total| each(total, REPEATS);
        Cost { start: cost(start), cancel: cost(cancel), expire: cost(expire) }
    }

    /// Moves pending timers picked at random: every one is a miss of the cache.
    fn cold(&mut self, random: &mut Random) -> f64 {
        let mut total = Duration::ZERO;
        let picked: Vec<Key> = (0..ACTIVE * REPEATS)
            .map(|_| self.idle[random.below(self.idle.len() as u64) as usize])
            .collect();
        timed(&mut total, || {
            for key in &picked {
                let expires = self.now + 100_000_000 + random.below(1_000_000_000);
                self.wheel.start(*key, expires, self.now);
            }
        });
        each(total, REPEATS)
    }
}

/// Timers as a driver has them: with the lock, the clock and the callback.
struct TimerSide {
    _dispatcher: Dispatcher,
    base: Arc<TimerBase>,
    active: Vec<Timer>,
    _idle: Vec<Timer>,
}

impl TimerSide {
    fn new(pending: usize) -> Self {
        let dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
        let base = TimerBase::attach(&dispatcher).expect("timers attach");
        let mut random = Random(7);
        let timer = || Timer::new(&base, "", |_| {});
        let idle: Vec<Timer> = (0..pending).map(|_| timer()).collect();
        for timer in &idle {
            timer.modify(now_jiffies() + Jiffies::new(100_000_000 + random.below(1_000_000_000)));
        }
        let active = (0..ACTIVE).map(|_| timer()).collect();
        Self { _dispatcher: dispatcher, base, active, _idle: idle }
    }

    fn round(&self) -> Cost {
        let (mut start, mut cancel) = <(Duration, Duration)>::default();
        let distances = distances();
        for _ in 0..REPEATS {
            let now = now_jiffies();
            timed(&mut start, || {
                for (timer, distance) in self.active.iter().zip(&distances) {
                    timer.modify(now + Jiffies::new(*distance));
                }
            });
            timed(&mut cancel, || {
                for timer in &self.active {
                    black_box(timer.delete());
                }
            });
        }
        Cost { start: each(start, REPEATS), cancel: each(cancel, REPEATS), expire: f64::NAN }
    }
}

/// The peer.
struct QueueSide {
    runtime: tokio::runtime::Runtime,
    queue: DelayQueue<u32>,
}

impl QueueSide {
    fn new(pending: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime starts");
        let guard = runtime.enter();
        let (mut queue, mut random) = (DelayQueue::new(), Random(7));
        for _ in 0..pending {
            queue.insert(0, Duration::from_millis(100_000_000 + random.below(1_000_000_000)));
        }
        drop(guard);
        Self { runtime, queue }
    }

    fn round(&mut self) -> Cost {
        let Self { runtime, queue } = self;
        runtime.block_on(async {
            let (mut start, mut cancel, mut expire) = <(Duration, Duration, Duration)>::default();
            let distances = distances();
            let mut keys = Vec::with_capacity(ACTIVE);
            for _ in 0..REPEATS {
                // The clock is read once, as for the wheel.
                let now = tokio::time::Instant::now();
                timed(&mut start, || {
                    for distance in &distances {
                        keys.push(queue.insert_at(1, now + Duration::from_millis(*distance)));
                    }
                });
                timed(&mut cancel, || {
                    for key in &keys {
                        black_box(queue.remove(key));
                    }
                });
                keys.clear();
            }
            for _ in 0..EXPIRING_REPEATS {
                let now = tokio::time::Instant::now();
                (0..ACTIVE as u64).for_each(|number| {
                    queue.insert_at(1, now + Duration::from_millis(2 + number % 4));
                });
                tokio::time::sleep(Duration::from_millis(10)).await;
                let mut expired = 0;
                while expired < ACTIVE {
                    poll_fn(|context| {
                        timed(&mut expire, || {
                            while let Poll::Ready(Some(entry)) = queue.poll_expired(context) {
                                black_box(entry);
                                expired += 1;
                            }
                        });
                        if expired == ACTIVE { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                }
            }
            Cost {
                start: each(start, REPEATS),
                cancel: each(cancel, REPEATS),
                expire: each(expire, EXPIRING_REPEATS),
            }
        })
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One value of a cost.
type Part = fn(&Cost) -> f64;

/// The columns.
const COLUMNS: [(&str, Part); 4] = [
    ("start", |cost| cost.start),
    ("cancel", |cost| cost.cancel),
    ("both", Cost::start_and_cancel),
    ("expire", |cost| cost.expire),
];

fn line(name: &str, values: [String; 4]) {
    println!("{name:<34}{}", values.map(|value| format!("{value:>10}")).concat());
}

fn shown(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.2}") }
}

fn row(name: &str, costs: &[Cost]) {
    line(name, COLUMNS.map(|(_, of)| shown(median(costs.iter().map(of).collect()))));
}

fn ratio(name: &str, above: &[Cost], below: &[Cost]) {
    let values = COLUMNS.map(|(_, of)| {
        shown(median(above.iter().zip(below).map(|(above, below)| of(above) / of(below)).collect()))
    });
    line(name, values);
}

fn costs() {
    let (mut few, mut many) = (WheelSide::new(FEW), WheelSide::new(MANY));
    let (timer_few, timer_many) = (TimerSide::new(FEW), TimerSide::new(MANY));
    let (mut queue_few, mut queue_many) = (QueueSide::new(FEW), QueueSide::new(MANY));
    let mut random = Random(99);
    let mut rounds: [Vec<Cost>; 6] = Default::default();
    let mut cold: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(few.round());
        rounds[1].push(many.round());
        rounds[2].push(queue_few.round());
        rounds[3].push(queue_many.round());
        rounds[4].push(timer_few.round());
        rounds[5].push(timer_many.round());
        cold[0].push(few.cold(&mut random));
        cold[1].push(many.cold(&mut random));
    }
    line("ns per timer, median of rounds", COLUMNS.map(|(name, _)| name.to_owned()));
    row("Wheel, 100 pending", &rounds[0]);
    row("Wheel, 1,000,000 pending", &rounds[1]);
    row("DelayQueue, 100 pending", &rounds[2]);
    row("DelayQueue, 1,000,000 pending", &rounds[3]);
    row("Timer, 100 pending", &rounds[4]);
    row("Timer, 1,000,000 pending", &rounds[5]);
    println!();
    line("ratio, median of rounds", COLUMNS.map(|(name, _)| name.to_owned()));
    ratio("Wheel: 1,000,000 / 100", &rounds[1], &rounds[0]);
    ratio("Timer: 1,000,000 / 100", &rounds[5], &rounds[4]);
    ratio("DelayQueue / Wheel, 100", &rounds[2], &rounds[0]);
    ratio("DelayQueue / Wheel, 1,000,000", &rounds[3], &rounds[1]);
    ratio("DelayQueue / Timer, 100", &rounds[2], &rounds[4]);
    ratio("DelayQueue / Timer, 1,000,000", &rounds[3], &rounds[5]);
    let colder = cold[1].iter().zip(&cold[0]).map(|(many, few)| many / few).collect();
    println!(
        "\nmoving a pending one, any of all: {:.1} ns of 100, {:.1} ns of 1,000,000 (cold), ratio {:.2}",
        median(cold[0].clone()),
        median(cold[1].clone()),
        median(colder)
    );
    println!("timerfd_settime calls of Timer: {}", timer_many.base.stats().armed);
}

const SAMPLES: usize = 1000;
const PERIOD: Duration = Duration::from_micros(500);

fn nanosleep_lateness() -> Vec<f64> {
    let mut deadline = ktime_get();
    let mut late = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        deadline = deadline + PERIOD;
        let ns = deadline.as_nanos();
        let point = TimeSpec::new(ns / 1_000_000_000, ns % 1_000_000_000);
        let flags = ClockNanosleepFlags::TIMER_ABSTIME;
        let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, flags, &point);
        late.push(deadline.elapsed().as_nanos() as f64);
    }
    late
}

fn hrtimer_lateness(base: &Arc<HrTimerBase>) -> Vec<f64> {
    let (tell, told) = mpsc::channel();
    let mut late = Vec::with_capacity(SAMPLES);
    let timer = HrTimer::new(base, Monotonic, move |timer| {
        late.push(timer.expires().elapsed().as_nanos() as f64);
        // The next one of the grid, as the peer has it: late ones are not left out.
        let next = timer.expires();
        timer.forward(next, PERIOD);
        if late.len() < SAMPLES {
            return HrTimerRestart::Restart;
        }
        let _ = tell.send(std::mem::take(&mut late));
        HrTimerRestart::NoRestart
    });
    let _running = timer.start(PERIOD);
    told.recv().expect("the timer runs")
}

fn percentile(samples: &[f64], at: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() as f64 * at) as usize).min(sorted.len() - 1)] / 1000.0
}

fn lateness() {
    let dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
    let base = HrTimerBase::attach(&dispatcher).expect("timers attach");
    // Without this the peer sleeps 50 us longer than it was asked to.
    let _ = nix::sys::prctl::set_timerslack(1);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let (a, b) = if round % 2 == 0 {
            let a = hrtimer_lateness(&base);
            (a, nanosleep_lateness())
        } else {
            let b = nanosleep_lateness();
            (hrtimer_lateness(&base), b)
        };
        ratios.push(percentile(&a, 0.999) / percentile(&b, 0.999));
        ours.extend(a);
        peer.extend(b);
    }
    println!("\n{:<34} {:>9} {:>9} {:>9}", "lateness, us, all rounds", "median", "99 %", "99.9 %");
    for (name, late) in [("HrTimer", &ours), ("clock_nanosleep(TIMER_ABSTIME)", &peer)] {
        let [median, p99, p999] = [0.5, 0.99, 0.999].map(|at| percentile(late, at));
        println!("{name:<34} {median:>9.1} {p99:>9.1} {p999:>9.1}");
    }
    println!(
        "HrTimer / clock_nanosleep at 99.9 %, median of {ROUNDS} rounds: {:.2}",
        median(ratios)
    );
}

fn main() {
    costs();
    lateness();
}
