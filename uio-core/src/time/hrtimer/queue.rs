//! [`DeadlineQueue`]: deadlines in order. Pure: it knows no clock, no descriptor and no thread.
//!
//! A binary heap of places, each of which knows where it is in the heap, so that one can be taken out of the
//! middle. Equal deadlines keep the order in which they were queued. Only `insert` allocates.
//!
//! Mirrors `lib/timerqueue.c`, which is a red-black tree for the same reasons.

/// In `Slot::at`: not queued.
const NOWHERE: u32 = u32::MAX;

/// The place of one deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u32);

impl Key {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

struct Slot {
    expires: i64,
    /// Which start it was, of all.
    turn: u64,
    at: u32,
}

/// Deadlines in nanoseconds, the earliest first.
#[derive(Default)]
pub(super) struct DeadlineQueue {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    heap: Vec<u32>,
    turns: u64,
}

impl DeadlineQueue {
    /// Makes a place, not queued. The only call that allocates.
    pub(super) fn insert(&mut self) -> Key {
        if let Some(place) = self.vacant.pop() {
            return Key(place);
        }
        // CAST: each place is a timer with a callback; memory ends long before 2^32.
        let place = self.slots.len() as u32;
        self.slots.push(Slot { expires: 0, turn: 0, at: NOWHERE });
        self.heap.reserve(self.slots.len() - self.heap.len());
        self.vacant.reserve(self.slots.len());
        Key(place)
    }

    /// Gives a place back, taking it out of the queue.
    pub(super) fn remove(&mut self, key: Key) {
        self.cancel(key);
        self.vacant.push(key.0);
    }

    pub(super) fn is_queued(&self, key: Key) -> bool {
        self.slots[key.index()].at != NOWHERE
    }

    pub(super) fn expires(&self, key: Key) -> i64 {
        self.slots[key.index()].expires
    }

    /// Changes the deadline of one that is not queued.
    pub(super) fn set_expires(&mut self, key: Key, expires: i64) {
        debug_assert!(!self.is_queued(key), "a queued deadline is changed by start");
        self.slots[key.index()].expires = expires;
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<i64> {
        self.heap.first().map(|place| self.slots[*place as usize].expires)
    }

    /// Queues for `expires`, behind all that have the same; moves it if it is queued. Says whether it was.
    pub(super) fn start(&mut self, key: Key, expires: i64) -> bool {
        let was_queued = self.cancel(key);
        self.turns += 1;
        self.slots[key.index()] = Slot { expires, turn: self.turns, at: NOWHERE };
        self.heap.push(key.0);
        self.settle(self.heap.len() - 1);
        was_queued
    }

    /// Takes it out of the queue; says whether it was in.
    pub(super) fn cancel(&mut self, key: Key) -> bool {
        let at = self.slots[key.index()].at;
        if at == NOWHERE {
            return false;
        }
        self.slots[key.index()].at = NOWHERE;
        self.heap.swap_remove(at as usize);
        if (at as usize) < self.heap.len() {
            self.settle(at as usize);
        }
        true
    }

    /// Takes the earliest, if it is at `now` or before.
    pub(super) fn pop_expired(&mut self, now: i64) -> Option<Key> {
        let first = Key(*self.heap.first()?);
        if self.expires(first) > now {
            return None;
        }
        self.cancel(first);
        Some(first)
    }

    fn is_earlier(&self, a: u32, b: u32) -> bool {
        let order = |place: u32| {
            let slot = &self.slots[place as usize];
            (slot.expires, slot.turn)
        };
        order(a) < order(b)
    }

    /// Moves what is at `at` up or down to where it belongs.
    fn settle(&mut self, mut at: usize) {
        let place = self.heap[at];
        while at > 0 && self.is_earlier(place, self.heap[(at - 1) / 2]) {
            self.put(self.heap[(at - 1) / 2], at);
            at = (at - 1) / 2;
        }
        while let Some(child) = self.earlier_child(at) {
            if !self.is_earlier(self.heap[child], place) {
                break;
            }
            self.put(self.heap[child], at);
            at = child;
        }
        self.put(place, at);
    }

    fn earlier_child(&self, at: usize) -> Option<usize> {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        match (self.heap.get(left), self.heap.get(right)) {
            (None, _) => None,
            (Some(l), Some(r)) if self.is_earlier(*r, *l) => Some(right),
            _ => Some(left),
        }
    }

    fn put(&mut self, place: u32, at: usize) {
        self.heap[at] = place;
        // CAST: as many as there are places.
        self.slots[place as usize].at = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_an_ordered_map_in_which_equals_keep_their_order(
            ops in prop::collection::vec((0..16_usize, -20..60_i64, 0..4_u8), 1..400),
        ) {
            let mut queue = DeadlineQueue::default();
            let keys: Vec<Key> = (0..16).map(|_| queue.insert()).collect();
            let mut model: BTreeMap<(i64, usize), Key> = BTreeMap::new();
            for (turn, (which, time, what)) in ops.into_iter().enumerate() {
                let key = keys[which];
                let old = model.iter().find(|(_, queued)| **queued == key).map(|(at, _)| *at);
                let was = old.is_some_and(|at| model.remove(&at).is_some());
                match what {
                    0 | 1 => {
                        prop_assert_eq!(queue.start(key, time), was);
                        model.insert((time, turn), key);
                    }
                    2 => prop_assert_eq!(queue.cancel(key), was),
                    _ => {
                        prop_assert_eq!(queue.cancel(key), was);
                        let due = model.first_key_value().filter(|((at, _), _)| *at <= time);
                        let due = due.map(|(_, key)| *key);
                        prop_assert_eq!(queue.pop_expired(time), due);
                        model.retain(|_, queued| Some(*queued) != due);
                    }
                }
                prop_assert_eq!(queue.first(), model.keys().next().map(|(at, _)| *at));
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }

    #[test]
    fn a_place_that_was_given_back_is_used_again() {
        let mut queue = DeadlineQueue::default();
        let first = queue.insert();
        queue.start(first, 1);
        queue.remove(first);
        assert_eq!(queue.first(), None);
        assert_eq!(queue.insert(), first);
        assert!(!queue.is_queued(first));
    }
}
