//! Timers of the wheel beside `DelayQueue`, and with a million pending beside themselves with few.
//!
//! # What is compared with what
//!
//! `DelayQueue` belongs to one task: it has no lock, and reads the clock if it is given a span. So it stands beside
//! each of ours in the form that does the same:
//!
//! - beside the wheel, which has no lock either, with points that were made of one look at the clock;
//! - beside `Timer`, which any thread may start, in a `Mutex`, and both are given a span from now.
//!
//! The pattern is alike everywhere: 512 timers are started 100 to 5,099 ms ahead in no order, and cancelled; then
//! they are started for the next few milliseconds and expire together, when all are due.

mod queue;
mod timer;
mod wheel;

use std::time::{Duration, Instant};

use self::queue::{Locked, Own};
use self::timer::Timers;
use self::wheel::Wheels;
use crate::support::{Bench, Claim};

/// Timers that are started, cancelled and expired; the others only lie there. So many that reading the clock
/// around them does not count.
const ACTIVE: usize = 512;
/// How often all active ones are started and cancelled in a round.
const REPEATS: usize = 60;
/// How often they expire in a round; where that takes real time.
const EXPIRIES: usize = 10;
/// When all that were started to expire are due.
const DUE: Duration = Duration::from_millis(10);

const FEW: usize = 100;
const MANY: usize = 1_000_000;

const OWN: &str = "tokio_util DelayQueue";
const LOCKED: &str = "tokio_util DelayQueue in a Mutex";

const WHEEL_NOTE: &str =
    "The peer's start is cheap, it pays when it expires: ten times less would be some nine cycles.";
const START_NOTE: &str = "Both take a lock (12 ns) and ask the clock (20 ns), which alone is more than a tenth of the peer's.";
const CANCEL_NOTE: &str =
    "The lock, which both take, is 12 ns of it: more than a tenth of the peer's.";
const EXPIRY_NOTE: &str =
    "The lock, which both take, is 12 ns of it, and ours calls the callback too.";
const COLD_NOTE: &str =
    "Each is a miss of the cache, which any structure of a million entries has.";

/// Nanoseconds for one timer: start, cancel, both (a timeout that does not come about), expire.
type Cost = [f64; 4];

/// One of those that are compared, with a number of timers pending.
trait Side {
    /// Starts and cancels `repeats` times, and lets expire `expiries` times.
    fn round(&mut self, repeats: usize, expiries: usize) -> Cost;
}

/// How much of it is done.
#[derive(Clone, Copy)]
struct Size {
    few: usize,
    many: usize,
    repeats: usize,
    expiries: usize,
}

pub(crate) fn run(bench: Bench) {
    let size = Size {
        few: FEW,
        many: if bench.quick { 10 * FEW } else { MANY },
        repeats: bench.ops(REPEATS),
        expiries: bench.ops(EXPIRIES),
    };
    compare(bench, size, wheel_claims(), &mut Wheels::new(size.many), &mut Own::new(size.many));
    compare(bench, size, timer_claims(), &mut Timers::new(size.many), &mut Locked::new(size.many));
    let growth = growth_claims([
        "start in the Wheel, 1,000,000 pending",
        "cancel in the Wheel, 1,000,000 pending",
        "start and cancel in the Wheel, 1,000,000 pending",
        "expiry in the Wheel, 1,000,000 pending",
    ]);
    compare(bench, size, growth, &mut Wheels::new(size.many), &mut Wheels::new(size.few));
    let growth = growth_claims([
        "start of a Timer from now, 1,000,000 pending",
        "cancel of a Timer, 1,000,000 pending",
        "start and cancel of a Timer, 1,000,000 pending",
        "expiry of a Timer, 1,000,000 pending",
    ]);
    compare(bench, size, growth, &mut Timers::new(size.many), &mut Timers::new(size.few));
    cold(bench, size);
}

fn wheel_claims() -> [Claim; 4] {
    let claim = |what| Claim::times_less(10.0, what, OWN);
    [
        claim("start in the Wheel, 1,000,000 pending").note(WHEEL_NOTE),
        claim("cancel in the Wheel, 1,000,000 pending"),
        claim("start and cancel in the Wheel, 1,000,000 pending").note(WHEEL_NOTE),
        claim("expiry in the Wheel, 1,000,000 pending"),
    ]
}

fn timer_claims() -> [Claim; 4] {
    let claim = |what| Claim::times_less(10.0, what, LOCKED);
    [
        claim("start of a Timer from now, 1,000,000 pending").note(START_NOTE),
        claim("cancel of a Timer, 1,000,000 pending").note(CANCEL_NOTE),
        claim("start and cancel of a Timer, 1,000,000 pending").note(START_NOTE),
        claim("expiry of a Timer, 1,000,000 pending").note(EXPIRY_NOTE),
    ]
}

fn growth_claims(what: [&'static str; 4]) -> [Claim; 4] {
    what.map(|what| Claim::at_most(1.3, what, "itself, 100 pending"))
}

fn compare(bench: Bench, size: Size, claims: [Claim; 4], ours: &mut dyn Side, peer: &mut dyn Side) {
    let Size { repeats, expiries, .. } = size;
    bench.compare_all(claims, || ours.round(repeats, expiries), || peer.round(repeats, expiries));
}

/// Moving pending ones that are picked at random of all.
fn cold(bench: Bench, size: Size) {
    let moves = bench.ops(REPEATS) * ACTIVE;
    let (mut many, mut few) = (Wheels::new(size.many), Wheels::new(size.few));
    let mut peer = Own::new(size.many);
    let claim = Claim::beside("moving any of 1,000,000 pending, Wheel", OWN).note(COLD_NOTE);
    bench.compare(claim, || many.moves(moves), || peer.moves(moves));
    let growth =
        Claim::beside("moving any of 1,000,000 pending, Wheel", "itself, any of 100 pending");
    bench.compare(growth.note(COLD_NOTE), || many.moves(moves), || few.moves(moves));
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// The distance of one that only lies there, in milliseconds.
    fn far(&mut self) -> u64 {
        100_000_000 + self.below(1_000_000_000)
    }
}

/// The distances of the active ones, in milliseconds.
fn distances() -> Vec<u64> {
    let mut random = Random(42);
    (0..ACTIVE).map(|_| 100 + random.below(5000)).collect()
}

/// How long the same took, again and again. What a repeat costs is the median: on a busy machine some are
/// interrupted, and the first finds the caches cold.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn add(&mut self, work: impl FnOnce()) {
        let start = Instant::now();
        work();
        self.0.push(start.elapsed());
    }

    /// Nanoseconds for one of the active ones.
    fn each(mut self) -> f64 {
        let middle = self.0.len() / 2;
        let (_, median, _) = self.0.select_nth_unstable(middle);
        median.as_nanos() as f64 / ACTIVE as f64
    }
}

fn cost([start, cancel, expire]: [Times; 3]) -> Cost {
    let (start, cancel) = (start.each(), cancel.each());
    [start, cancel, start + cancel, expire.each()]
}
