//! [`Wheel`]: which timeout is due when. Pure: it knows no clock, no descriptor and no thread.
//!
//! # Vocabulary
//!
//! - **timeout**: one entry of the wheel, known by its [`Key`], with a place of its own from
//!   [`insert`](Wheel::insert) to [`remove`](Wheel::remove).
//! - **level**: 64 buckets of the same granularity. Level 0 has one jiffy a bucket, each next one 8 times
//!   more; there are 9. A timeout goes to the level that its distance asks for.
//! - **clk**: the next jiffy that has not been looked at.
//! - **due**: its bucket's time has come, and it waits to be [popped](Wheel::pop_expired).
//!
//! # States
//!
//! ```text
//!  insert            start                 its bucket's time             pop_expired
//! ───────▶ detached ───────▶ in a bucket ────────────────────▶ due ───────────────────▶ detached
//!            ▲                  │                               │
//!            └──────────────────┴───────────── cancel ──────────┘
//! ```
//!
//! # What it costs, and what that buys
//!
//! No entry ever moves to a finer level ("no cascading"): most timeouts are cancelled, so the exactness of a
//! far one is not worth a second look at it. Instead it is rounded **up** to the granularity of its level:
//! never early, and late by at most that granularity, which is at most an eighth of the distance or so:
//!
//! | level | distance, in jiffies | granularity |
//! | --- | --- | --- |
//! | 0 | below 63 | 1 |
//! | *n* | from 63 * 8^(*n*-1) | 8^*n* |
//! | 8 | from 132,120,576 (1.5 days) to 1,056,964,608 (12 days) | 16,777,216 |
//!
//! `start`, `cancel` and the pop of one timeout are O(1): links of a list, a bit of a map. Finding the next
//! expiry looks at nine words. Nothing but `insert` allocates.
//!
//! # Differences from the kernel
//!
//! A timeout beyond the last level expires early in the kernel, at the wheel's capacity. Here it is looked at
//! then, and put back: never early holds without exception.
//!
//! Mirrors `kernel/time/timer.c`.

use std::fmt;

/// Levels: `LVL_DEPTH`.
const LEVELS: u32 = 9;
/// Buckets of a level: `LVL_SIZE`.
const SLOTS: u32 = 64;
/// How much coarser each level is than the one before, as a shift: `LVL_CLK_SHIFT`.
const SHIFT: u32 = 3;
/// The furthest distance that the last level can hold: `WHEEL_TIMEOUT_MAX`.
const FURTHEST: u64 = ((SLOTS as u64 - 1) << (LEVELS * SHIFT - SHIFT)) - granularity(LEVELS - 1);

/// The lists after the buckets: what is due, one a level.
const DUE: u32 = LEVELS * SLOTS;
const LISTS: usize = (DUE + LEVELS) as usize;

/// No entry: the end of a list.
const NIL: u32 = u32::MAX;
/// In `prev`: this entry is the first, of the list in the other bits.
const FIRST: u32 = 1 << 31;
/// In `prev`: in no list.
const DETACHED: u32 = u32::MAX;
/// In `prev`: no timeout has this place.
const VACANT: u32 = u32::MAX - 1;
/// The most timeouts of one wheel.
const MOST: usize = 1 << 30;

/// Jiffies in a bucket of `level`: `LVL_GRAN`.
const fn granularity(level: u32) -> u64 {
    1 << (level * SHIFT)
}

/// Whether `a` is before `b`, across the wrap.
const fn before(a: u64, b: u64) -> bool {
    // CAST: the sign of the difference.
    (a.wrapping_sub(b) as i64) < 0
}

/// The place of one timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u32);

impl Key {
    /// A small number, dense from 0, for tables beside the wheel.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy)]
struct Entry {
    expires: u64,
    next: u32,
    /// The entry before, `FIRST` and the list, `DETACHED`, or `VACANT`.
    prev: u32,
}

/// The timeouts of one timer base. Points are jiffies, compared across the wrap.
pub struct Wheel {
    entries: Vec<Entry>,
    vacant: u32,
    heads: [u32; LISTS],
    /// Buckets that are not empty, a bit each.
    pending: [u64; LEVELS as usize],
    /// Due lists that are not empty, a bit each.
    due: u32,
    clk: u64,
    len: usize,
    next: Next,
}

/// The bucket that comes first, and when.
#[derive(Clone, Copy)]
struct Next {
    time: u64,
    /// Or `NEVER`, or `UNKNOWN`.
    bucket: u32,
}

/// In `Next::bucket`: no bucket has a timeout.
const NEVER: u32 = u32::MAX;
/// In `Next::bucket`: the bucket that came first is empty now.
const UNKNOWN: u32 = u32::MAX - 1;

impl Wheel {
    /// An empty wheel whose time begins at `clk`.
    pub fn new(clk: u64) -> Self {
        Self {
            entries: Vec::new(),
            vacant: NIL,
            heads: [NIL; LISTS],
            pending: [0; LEVELS as usize],
            due: 0,
            clk,
            len: 0,
            next: Next { time: 0, bucket: NEVER },
        }
    }

    /// Makes a place for a timeout, not started. The only call that allocates.
    ///
    /// # Panics
    ///
    /// If the wheel has 2^30 timeouts.
    pub fn insert(&mut self) -> Key {
        let fresh = Entry { expires: 0, next: NIL, prev: DETACHED };
        let place = self.vacant;
        if place == NIL {
            assert!(self.entries.len() < MOST, "a timer wheel holds 2^30 timeouts");
            self.entries.push(fresh);
            // CAST: less than 2^30.
            return Key((self.entries.len() - 1) as u32);
        }
        self.vacant = self.entries[place as usize].next;
        self.entries[place as usize] = fresh;
        Key(place)
    }

    /// Gives the place of a timeout back, cancelling it.
    ///
    /// # Panics
    ///
    /// As all calls with a key do: if the key has been removed.
    pub fn remove(&mut self, key: Key) {
        self.cancel(key);
        self.entries[key.index()] = Entry { expires: 0, next: self.vacant, prev: VACANT };
        self.vacant = key.0;
    }

    /// Lets the timeout expire at the first look after the jiffy `expires`: never during it, since it may have
    /// begun to pass when it was asked for. A pending one is moved. Returns whether it was.
    ///
    /// `now` makes the distance, and so the granularity, the true one: the wheel's time passes up to there, as
    /// far as nothing expires on the way.
    #[doc(alias = "mod_timer")]
    #[inline]
    pub fn start(&mut self, key: Key, expires: u64, now: u64) -> bool {
        let entry = self.entries[key.index()];
        let was_pending = entry.prev != DETACHED;
        if was_pending {
            assert!(entry.prev != VACANT, "a removed timeout is used");
            if entry.expires == expires {
                return true;
            }
            self.unlink(key.0);
        }
        if before(self.clk, now) {
            self.forward(now);
        }
        self.enqueue(key.0, expires);
        was_pending
    }

    /// Takes the timeout off the wheel; says whether it was pending.
    #[doc(alias = "timer_delete")]
    #[inline]
    pub fn cancel(&mut self, key: Key) -> bool {
        let was_pending = self.is_pending(key);
        if was_pending {
            self.unlink(key.0);
        }
        was_pending
    }

    /// Whether it is started and not popped yet.
    #[doc(alias = "timer_pending")]
    #[inline]
    pub fn is_pending(&self, key: Key) -> bool {
        let prev = self.entries[key.index()].prev;
        assert!(prev != VACANT, "a removed timeout is used");
        prev != DETACHED
    }

    /// What it was last started with.
    pub fn expires(&self, key: Key) -> u64 {
        self.entries[key.index()].expires
    }

    /// How many are pending.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is pending.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When [`pop_expired`](Self::pop_expired) will next find a timeout.
    #[inline]
    pub fn next_expiry(&mut self) -> Option<u64> {
        if self.due != 0 { Some(self.clk.wrapping_sub(1)) } else { self.next_bucket() }
    }

    /// Takes a timeout that has expired at `now`. Called until there is none.
    ///
    /// Those of an earlier bucket come first; those of one bucket come in no promised order.
    pub fn pop_expired(&mut self, now: u64) -> Option<Key> {
        loop {
            while self.due != 0 {
                let list = DUE + self.due.ilog2();
                let entry = self.heads[list as usize];
                self.unlink(entry);
                // It was beyond the last level: what was reached is the wheel's end, not its own.
                let expires = self.entries[entry as usize].expires;
                if !before(expires, self.clk.wrapping_sub(1)) {
                    self.enqueue(entry, expires);
                    continue;
                }
                return Some(Key(entry));
            }
            if !self.collect(now) {
                return None;
            }
        }
    }

    /// Makes the next buckets due, if they are at `now`. All levels may have one at the same time.
    fn collect(&mut self, now: u64) -> bool {
        let next = self.next_bucket().filter(|next| !before(now, *next));
        let Some(time) = next else {
            if !before(now, self.clk) {
                self.clk = now.wrapping_add(1);
            }
            return false;
        };
        for level in (0..LEVELS).take_while(|level| time & (granularity(*level) - 1) == 0) {
            let bucket = bucket(level, time);
            if self.heads[bucket as usize] != NIL {
                self.make_due(level, bucket);
            }
        }
        self.clk = time.wrapping_add(1);
        self.next.bucket = UNKNOWN;
        true
    }

    /// Moves a whole bucket: only its first entry knows where it is.
    fn make_due(&mut self, level: u32, bucket: u32) {
        let first = std::mem::replace(&mut self.heads[bucket as usize], NIL);
        self.pending[level as usize] &= !(1 << (bucket % SLOTS));
        self.heads[(DUE + level) as usize] = first;
        self.entries[first as usize].prev = FIRST | (DUE + level);
        self.due |= 1 << level;
    }

    /// Lets time pass up to `now`, which is later than `clk`, as far as nothing expires on the way:
    /// `forward_timer_base`. Once a jiffy, and so not where it would be in the way.
    #[inline(never)]
    fn forward(&mut self, now: u64) {
        self.clk = match self.next_bucket() {
            Some(next) if before(next, now) => next,
            _ => now,
        };
    }

    #[inline]
    fn enqueue(&mut self, entry: u32, expires: u64) {
        let (level, time) = place(expires, self.clk);
        let bucket = bucket(level, time);
        let second = std::mem::replace(&mut self.heads[bucket as usize], entry);
        if second == NIL {
            self.pending[level as usize] |= 1 << (bucket % SLOTS);
        } else {
            self.entries[second as usize].prev = entry;
        }
        self.entries[entry as usize] = Entry { expires, next: second, prev: FIRST | bucket };
        self.len += 1;
        let Next { time: first, bucket: known } = self.next;
        if known != UNKNOWN && (known == NEVER || before(time, first)) {
            self.next = Next { time, bucket };
        }
    }

    #[inline]
    fn unlink(&mut self, entry: u32) {
        let Entry { next, prev, .. } = self.entries[entry as usize];
        if next != NIL {
            self.entries[next as usize].prev = prev;
        }
        if prev & FIRST == 0 {
            self.entries[prev as usize].next = next;
        } else {
            let list = prev & !FIRST;
            self.heads[list as usize] = next;
            if next == NIL {
                self.emptied(list);
            }
        }
        self.entries[entry as usize].prev = DETACHED;
        self.len -= 1;
    }

    fn emptied(&mut self, list: u32) {
        if list >= DUE {
            self.due &= !(1 << (list - DUE));
            return;
        }
        self.pending[(list / SLOTS) as usize] &= !(1 << (list % SLOTS));
        if self.next.bucket == list {
            self.next.bucket = UNKNOWN;
        }
    }

    /// The time of the first bucket that is not empty.
    #[inline]
    fn next_bucket(&mut self) -> Option<u64> {
        if self.next.bucket == UNKNOWN {
            self.next = self.find_next();
        }
        (self.next.bucket != NEVER).then_some(self.next.time)
    }

    #[inline(never)]
    fn find_next(&self) -> Next {
        let mut first = Next { time: 0, bucket: NEVER };
        for level in (0..LEVELS).filter(|level| self.pending[*level as usize] != 0) {
            // The level's own clock, rounded up: its first bucket that is still to come.
            let passed = self.clk & (granularity(level) - 1) != 0;
            let clk = (self.clk >> (level * SHIFT)) + u64::from(passed);
            // CAST: below 64.
            let turned = self.pending[level as usize].rotate_right((clk % u64::from(SLOTS)) as u32);
            let time = (clk + u64::from(turned.trailing_zeros())) << (level * SHIFT);
            if first.bucket == NEVER || before(time, first.time) {
                first = Next { time, bucket: bucket(level, time) };
            }
        }
        first
    }
}

/// The level for a timeout that expires then, and its bucket's time: `calc_wheel_index`.
#[inline]
fn place(expires: u64, clk: u64) -> (u32, u64) {
    if before(expires, clk) {
        return (0, clk);
    }
    let distance = expires.wrapping_sub(clk);
    if distance >= LIMITS[LEVELS as usize - 1] {
        return (LEVELS - 1, round_up(clk.wrapping_add(FURTHEST), LEVELS - 1));
    }
    // By the highest bit, which is one level too low for the last 63rd part of it.
    let about = ABOUT[(distance | 1).ilog2() as usize];
    let level = about + u32::from(distance >= LIMITS[about as usize]);
    (level, round_up(expires, level))
}

/// The time of the first bucket of `level` after that point: rounded up, so that a timeout is never early.
#[inline]
fn round_up(point: u64, level: u32) -> u64 {
    // The shift drops what goes beyond the wrap.
    ((point >> (level * SHIFT)) + 1) << (level * SHIFT)
}

/// The distance from which on each level is too fine: `LVL_START` of the next one.
const LIMITS: [u64; LEVELS as usize] = {
    let mut limits = [0; LEVELS as usize];
    let mut level = 0;
    while level < LEVELS {
        limits[level as usize] = (SLOTS as u64 - 1) << (level * SHIFT);
        level += 1;
    }
    limits
};

/// By the highest bit of a distance: the level of the least distance with that bit.
const ABOUT: [u32; u64::BITS as usize] = {
    let mut levels = [0; u64::BITS as usize];
    let mut bit = 0;
    while bit < u64::BITS {
        let mut level = 0;
        while level < LEVELS - 1 && 1 << bit >= LIMITS[level as usize] {
            level += 1;
        }
        levels[bit as usize] = level;
        bit += 1;
    }
    levels
};

#[inline]
fn bucket(level: u32, time: u64) -> u32 {
    // CAST: below 64.
    level * SLOTS + ((time >> (level * SHIFT)) % u64::from(SLOTS)) as u32
}

impl fmt::Debug for Wheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("clk", &self.clk)
            .field("len", &self.len)
            .field("due", &(self.due != 0))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
