//! Timers of the wheel, beside `tokio_util::time::DelayQueue`: a start, a cancel and an expiry cost the same
//! whether 100 or 1,000,000 are pending, and at least 10 times less than the peer's.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio_util::time::DelayQueue;
use uio_core::irq::Dispatcher;
use uio_core::time::wheel::{Key, Wheel};
use uio_core::time::{Jiffies, Timer, TimerBase, now_jiffies};

use crate::support::{Bench, Claim};

/// Timers that are started, cancelled and expired; the others only lie there. So many that reading the clock
/// around them does not count.
const ACTIVE: usize = 512;
/// How often all active ones are taken through it in a round.
const REPEATS: usize = 40;
/// As often, where it takes real time to expire.
const EXPIRING_REPEATS: usize = 8;

const FEW: usize = 100;
const MANY: usize = 1_000_000;

const SAME: &str = "with 100 pending";
const QUEUE: &str = "tokio-util DelayQueue";

const ABOUT: &str = "Ten times is about what it is, and on a busy machine sometimes less.";

const fn flat(what: &'static str) -> Claim {
    Claim::at_most(1.3, what, SAME)
}

const fn faster(what: &'static str) -> Claim {
    Claim::times_less(10.0, what, QUEUE)
}

const WHEEL_GROWTH: [Claim; 3] = [
    flat("wheel, 1,000,000 pending: start"),
    flat("wheel, 1,000,000 pending: cancel"),
    flat("wheel, 1,000,000 pending: expire"),
];
const TIMER_GROWTH: [Claim; 2] =
    [flat("Timer, 1,000,000 pending: start"), flat("Timer, 1,000,000 pending: cancel")];
const WHEEL_FEW: [Claim; 2] = [
    faster("wheel, 100 pending: start and cancel").note(ABOUT),
    faster("wheel, 100 pending: expire"),
];
const WHEEL_MANY: [Claim; 2] = [
    faster("wheel, 1,000,000 pending: start and cancel").note(ABOUT),
    faster("wheel, 1,000,000 pending: expire"),
];

pub(crate) fn run(bench: Bench) {
    let many = if bench.quick { 1000 } else { MANY };
    wheels(bench, many);
    let (few_timers, many_timers) = (TimerSide::new(FEW), TimerSide::new(many));
    let starts = |side: &TimerSide| [side.round().start, side.round().cancel];
    bench.compare_all(TIMER_GROWTH, || starts(&many_timers), || starts(&few_timers));
    let against = |claim, timers: &TimerSide, pending| {
        let mut queue = QueueSide::new(pending);
        let ours = || timers.round().start_and_cancel();
        bench.compare(claim, ours, || queue.round(false).start_and_cancel());
    };
    let shared = |what| {
        faster(what).note(
            "A Timer may be started and cancelled by any thread, so it is under a lock, which alone costs more \
             than a tenth of the peer. A DelayQueue belongs to one task; what is like it is the wheel above.",
        )
    };
    against(shared("Timer, 100 pending: start and cancel"), &few_timers, FEW);
    against(shared("Timer, 1,000,000 pending: start and cancel"), &many_timers, many);
}

fn wheels(bench: Bench, many: usize) {
    let (mut few_pending, mut many_pending) = (WheelSide::new(FEW), WheelSide::new(many));
    let parts = |Cost { start, cancel, expire }| [start, cancel, expire];
    bench.compare_all(WHEEL_GROWTH, || parts(many_pending.round()), || parts(few_pending.round()));
    let mut random = Random(99);
    let mut other = Random(98);
    bench.compare(
        Claim::beside("wheel, 1,000,000 pending: move any of them", SAME)
            .note("Each is a miss of the cache: so much memory is in use."),
        || many_pending.cold(&mut random),
        || few_pending.cold(&mut other),
    );
    let pair = |cost: Cost| [cost.start_and_cancel(), cost.expire];
    let against = |claims, wheel: &mut WheelSide, pending| {
        let mut queue = QueueSide::new(pending);
        bench.compare_all(claims, || pair(wheel.round()), || pair(queue.round(true)));
    };
    against(WHEEL_FEW, &mut few_pending, FEW);
    against(WHEEL_MANY, &mut many_pending, many);
}

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
        Self { _dispatcher: dispatcher, active, _idle: idle }
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

    fn round(&mut self, expiring: bool) -> Cost {
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
            for _ in 0..if expiring { EXPIRING_REPEATS } else { 0 } {
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
