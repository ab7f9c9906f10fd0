//! The wheel against a model: an ordered map of what is pending.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The latest jiffy at which a timeout may be popped that is started at `now`, when the wheel has looked at all
/// that is before `looked_at`.
fn latest(expires: u64, now: u64, looked_at: u64) -> u64 {
    let from = if before(expires, now) { now } else { expires };
    from.wrapping_add(granularity(place(expires, looked_at).0))
}

#[derive(Clone, Copy)]
struct Pending {
    expires: u64,
    /// When the wheel looks at it first, at the earliest.
    earliest: u64,
    /// When it is popped at the latest, if somebody looks.
    latest: u64,
}

/// What the wheel should be.
#[derive(Default)]
struct Model {
    pending: BTreeMap<Key, Pending>,
    earliest: BTreeSet<(u64, Key)>,
    latest: BTreeSet<(u64, Key)>,
}

impl Model {
    fn start(&mut self, key: Key, expires: u64, now: u64) -> bool {
        // Started with what it has: it stays where it is, with the time it had.
        if self.pending.get(&key).is_some_and(|old| old.expires == expires) {
            return true;
        }
        let was = self.cancel(key);
        // What is over and was not looked at keeps the wheel's time from passing.
        let oldest = self.earliest.range((now.wrapping_add(1 << 63), Key(0))..).next();
        let oldest = oldest.or(self.earliest.first()).map(|(expires, _)| *expires);
        let looked_at = oldest.filter(|oldest| before(*oldest, now)).unwrap_or(now);
        let latest = latest(expires, now, looked_at);
        // Beyond the last level, it is looked at when that ends.
        let end = looked_at.wrapping_add(FURTHEST);
        let earliest = if before(end, expires) { end } else { expires };
        self.pending.insert(key, Pending { expires, earliest, latest });
        self.earliest.insert((earliest, key));
        self.latest.insert((latest, key));
        was
    }

    fn cancel(&mut self, key: Key) -> bool {
        let Some(Pending { earliest, latest, .. }) = self.pending.remove(&key) else {
            return false;
        };
        assert!(self.latest.remove(&(latest, key)));
        assert!(self.earliest.remove(&(earliest, key)));
        true
    }
}

/// A wheel and its model, held together.
struct Pair {
    wheel: Wheel,
    model: Model,
    keys: Vec<Key>,
    now: u64,
}

impl Pair {
    fn new(now: u64, keys: usize) -> Self {
        let mut wheel = Wheel::new(now);
        let keys = (0..keys).map(|_| wheel.insert()).collect();
        Self { wheel, model: Model::default(), keys, now }
    }

    fn start(&mut self, which: usize, expires: u64) {
        let key = self.keys[which % self.keys.len()];
        let was_pending = self.model.start(key, expires, self.now);
        assert_eq!(self.wheel.start(key, expires, self.now), was_pending);
    }

    fn cancel(&mut self, which: usize) {
        let key = self.keys[which % self.keys.len()];
        assert_eq!(self.wheel.cancel(key), self.model.cancel(key));
    }

    fn replace(&mut self, which: usize) {
        let which = which % self.keys.len();
        self.model.cancel(self.keys[which]);
        self.wheel.remove(self.keys[which]);
        self.keys[which] = self.wheel.insert();
    }

    /// Time passes, and nobody looks at the wheel.
    fn pass(&mut self, by: u64) {
        self.now = self.now.wrapping_add(by);
    }

    /// Time passes; nothing comes early, and nothing that is over stays.
    fn advance(&mut self, by: u64) {
        self.now = self.now.wrapping_add(by);
        while let Some(key) = self.wheel.pop_expired(self.now) {
            let Pending { expires, .. } = self.model.pending[&key];
            assert!(before(expires, self.now), "{expires} came early, at {}", self.now);
            assert!(self.model.cancel(key));
        }
        // The set is ordered by number; the one that is next across the wrap may be further on.
        let over = |(latest, _): &&(u64, Key)| !before(self.now, *latest);
        let around = self.model.latest.range((self.now.wrapping_add(1 << 63), Key(0))..).next();
        let overdue = self.model.latest.iter().next().filter(over).or(around.filter(over));
        assert_eq!(overdue, None, "is late at {}", self.now);
        assert_eq!(self.wheel.len(), self.model.pending.len());
    }

    fn check_next(&mut self) {
        match self.wheel.next_expiry() {
            None => assert!(self.model.pending.is_empty()),
            Some(next) => {
                assert!(self.model.pending.values().all(|pending| !before(pending.latest, next)));
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Start(usize, i64),
    Cancel(usize),
    Replace(usize),
    Pass(u64),
    Advance(u64),
    AdvanceToNext,
}

fn distances() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -3..80_i64,
        4 => 0..5000_i64,
        2 => 0..1_000_000_i64,
        2 => (0..36_u32, -2..3_i64).prop_map(|(shift, off)| (1 << shift) + off),
        1 => (0..10_u32, -2..3_i64).prop_map(|(level, off)| (63 << (3 * level)) + off),
        1 => Just(i64::MAX >> 1),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..32_usize, distances()).prop_map(|(which, distance)| Op::Start(which, distance)),
        2 => (0..32_usize).prop_map(Op::Cancel),
        1 => (0..32_usize).prop_map(Op::Replace),
        2 => distances().prop_map(|by| Op::Pass(by.clamp(0, 1 << 40) as u64)),
        2 => distances().prop_map(|by| Op::Advance(by.clamp(0, 1 << 40) as u64)),
        2 => Just(Op::AdvanceToNext),
    ]
}

proptest! {
    #[test]
    fn a_timeout_is_never_early_and_late_by_at_most_its_levels_granularity(
        start in prop_oneof![any::<u64>(), (0..1_u64 << 31).prop_map(|back| u64::MAX - back)],
        ops in prop::collection::vec(ops(), 1..300),
    ) {
        let mut pair = Pair::new(start, 32);
        for op in ops {
            match op {
                Op::Start(which, distance) => {
                    let expires = pair.now.wrapping_add_signed(distance);
                    pair.start(which, expires);
                }
                Op::Cancel(which) => pair.cancel(which),
                Op::Replace(which) => pair.replace(which),
                Op::Pass(by) => pair.pass(by),
                Op::Advance(by) => pair.advance(by),
                Op::AdvanceToNext => {
                    let next = pair.wheel.next_expiry();
                    let by = next.map_or(0, |next| next.wrapping_sub(pair.now));
                    pair.advance(if by > 1 << 62 { 0 } else { by });
                }
            }
            pair.check_next();
        }
    }
}

/// A generator without a seed from outside, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// 100,000 operations, or as many as `UIOD_WHEEL_OPS` says: 100,000,000 take half a minute in a release build.
#[test]
fn random_operations_are_never_early() {
    let ops = std::env::var("UIOD_WHEEL_OPS").map_or(100_000, |ops| ops.parse().unwrap());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    // The wrap comes after half of the steps or so.
    let mut pair = Pair::new(0_u64.wrapping_sub(ops * 8), 4096);
    let mut pops = 0;
    for _ in 0..ops {
        let which = random.next() as usize;
        match random.below(16) {
            0..=7 => {
                let magnitude = 1 + random.below(24);
                let distance = random.below(1 << magnitude);
                pair.start(which, pair.now.wrapping_add(distance));
            }
            8..=11 => pair.cancel(which),
            12 => pair.pass(random.below(128)),
            _ => {
                let before = pair.wheel.len();
                pair.advance(random.below(128));
                pops += before - pair.wheel.len();
            }
        }
    }
    assert!(pops as u64 > ops / 100, "only {pops} expired: the check checked little");
}

fn expiry_of(distance: u64) -> u64 {
    let mut wheel = Wheel::new(1000);
    let key = wheel.insert();
    wheel.start(key, 1000 + distance, 1000);
    wheel.next_expiry().unwrap() - 1000
}

#[test]
fn each_level_rounds_up_to_its_granularity() {
    // 1000 is a multiple of 8; the jiffy asked for must be over, hence one more on level 0.
    assert_eq!(expiry_of(0), 1);
    assert_eq!(expiry_of(10), 11);
    assert_eq!(expiry_of(62), 63);
    assert_eq!(expiry_of(63), 64);
    assert_eq!(expiry_of(200), 208);
    assert_eq!((1000 + expiry_of(600)) % 64, 0);
    assert!(expiry_of(600) > 600 && expiry_of(600) <= 664);
}

#[test]
fn a_timeout_in_the_past_expires_at_the_next_look() {
    let mut wheel = Wheel::new(1000);
    let key = wheel.insert();
    wheel.start(key, 1, 1000);
    assert_eq!(wheel.pop_expired(1000), Some(key));
    // During a jiffy that has been looked at, it is the next one.
    wheel.start(key, 1, 1000);
    assert_eq!(wheel.pop_expired(1000), None);
    assert_eq!(wheel.pop_expired(1001), Some(key));
}

#[test]
fn a_timeout_beyond_the_last_level_is_put_back_and_not_early() {
    let mut wheel = Wheel::new(0);
    let key = wheel.insert();
    let far = FURTHEST * 5 / 2;
    wheel.start(key, far, 0);
    let mut looks = 0;
    while wheel.is_pending(key) {
        let next = wheel.next_expiry().unwrap();
        looks += 1;
        if let Some(popped) = wheel.pop_expired(next) {
            assert_eq!(popped, key);
            assert!(next > far && next <= far + granularity(8));
        }
    }
    assert_eq!(looks, 3);
}

#[test]
fn what_is_due_can_still_be_cancelled_and_moved() {
    let mut wheel = Wheel::new(0);
    let keys: Vec<Key> = (0..3).map(|_| wheel.insert()).collect();
    keys.iter().for_each(|key| assert!(!wheel.start(*key, 5, 0)));
    let first = wheel.pop_expired(10).unwrap();
    let rest: Vec<Key> = keys.into_iter().filter(|key| *key != first).collect();
    assert!(wheel.is_pending(rest[0]) && wheel.is_pending(rest[1]));
    assert!(wheel.cancel(rest[0]));
    assert!(wheel.start(rest[1], 20, 10), "it was pending still");
    assert_eq!(wheel.pop_expired(10), None);
    assert_eq!(wheel.pop_expired(21), Some(rest[1]));
    assert!(wheel.is_empty());
}

#[test]
fn cancelling_the_next_one_uncovers_the_one_after() {
    let mut wheel = Wheel::new(0);
    let (soon, late) = (wheel.insert(), wheel.insert());
    wheel.start(soon, 3, 0);
    wheel.start(late, 30, 0);
    assert_eq!(wheel.next_expiry(), Some(4));
    wheel.cancel(soon);
    assert_eq!(wheel.next_expiry(), Some(31));
    wheel.cancel(late);
    assert_eq!(wheel.next_expiry(), None);
}

#[test]
fn starting_keeps_distances_true_and_passes_nothing_that_is_pending() {
    let mut wheel = Wheel::new(0);
    let (late, soon) = (wheel.insert(), wheel.insert());
    wheel.start(late, 100_010, 100_000);
    assert_eq!(wheel.next_expiry(), Some(100_011), "level 0, since the distance is 10");
    wheel.start(soon, 200_010, 200_000);
    assert_eq!(wheel.pop_expired(200_000), Some(late));
}

#[test]
#[should_panic(expected = "a removed timeout is used")]
fn a_removed_key_is_found_out() {
    let mut wheel = Wheel::new(0);
    let key = wheel.insert();
    wheel.remove(key);
    wheel.start(key, 1, 0);
}
