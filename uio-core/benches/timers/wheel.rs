//! The wheel by itself.

use std::hint::black_box;

use uio_core::time::wheel::{Key, Wheel};

use super::{ACTIVE, Cost, Random, Side, Times, cost, distances};
use crate::support::ns_each;

pub(super) struct Wheels {
    wheel: Wheel,
    active: Vec<Key>,
    idle: Vec<Key>,
    now: u64,
    random: Random,
}

impl Wheels {
    pub(super) fn new(pending: usize) -> Self {
        let (mut wheel, mut random) = (Wheel::new(0), Random(7));
        let idle: Vec<Key> = (0..pending).map(|_| wheel.insert()).collect();
        for key in &idle {
            wheel.start(*key, random.far(), 0);
        }
        let active = (0..ACTIVE).map(|_| wheel.insert()).collect();
        Self { wheel, active, idle, now: 0, random }
    }

    /// Nanoseconds for moving one that lies there, picked at random.
    pub(super) fn moves(&mut self, moves: usize) -> f64 {
        let Self { wheel, idle, now, random, .. } = self;
        let mut pick = || (idle[random.below(idle.len() as u64) as usize], *now + random.far());
        let picked: Vec<(Key, u64)> = (0..moves).map(|_| pick()).collect();
        ns_each(moves, || {
            for (key, expires) in &picked {
                wheel.start(*key, *expires, *now);
            }
        })
    }
}

impl Side for Wheels {
    fn round(&mut self, repeats: usize, _: usize) -> Cost {
        let (mut start, mut cancel, mut expire) = <(Times, Times, Times)>::default();
        let distances = distances();
        let Self { wheel, active, now, .. } = self;
        for _ in 0..repeats {
            start.add(|| {
                for (key, distance) in active.iter().zip(&distances) {
                    wheel.start(*key, *now + distance, *now);
                }
            });
            cancel.add(|| {
                for key in &*active {
                    black_box(wheel.cancel(*key));
                }
            });
            for (number, key) in active.iter().enumerate() {
                wheel.start(*key, *now + number as u64 % 4, *now);
            }
            *now += 8;
            expire.add(|| {
                while let Some(key) = wheel.pop_expired(*now) {
                    black_box(key);
                }
            });
        }
        cost([start, cancel, expire])
    }
}
