//! The peer: `DelayQueue`, by itself and in a `Mutex`.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::{ACTIVE, Cost, DUE, Random, Side, Times, cost, distances};
use crate::support::ns_each;

/// A queue with `pending` entries that only lie there, and their keys.
fn queue(pending: usize) -> (Runtime, DelayQueue<u32>, Vec<Key>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let guard = runtime.enter();
    let (mut queue, mut random) = (DelayQueue::new(), Random(7));
    let idle = (0..pending).map(|_| queue.insert(0, Duration::from_millis(random.far())));
    let idle = idle.collect();
    drop(guard);
    (runtime, queue, idle)
}

/// Takes all that are due, `poll` by `poll`, and adds the time that took.
async fn expire(times: &mut Times, mut poll: impl FnMut(&mut Context<'_>) -> bool) {
    tokio::time::sleep(DUE).await;
    let (mut expired, mut took) = (0, Duration::ZERO);
    poll_fn(|context| {
        let start = std::time::Instant::now();
        while poll(context) {
            expired += 1;
        }
        took += start.elapsed();
        if expired == ACTIVE { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    times.0.push(took);
}

/// By itself; the clock is read once for all, as for the wheel.
pub(super) struct Own {
    runtime: Runtime,
    queue: DelayQueue<u32>,
    idle: Vec<Key>,
    random: Random,
}

impl Own {
    pub(super) fn new(pending: usize) -> Self {
        let (runtime, queue, idle) = queue(pending);
        Self { runtime, queue, idle, random: Random(99) }
    }

    /// Nanoseconds for moving one that lies there, picked at random.
    pub(super) fn moves(&mut self, moves: usize) -> f64 {
        let Self { runtime, queue, idle, random } = self;
        let _runtime = runtime.enter();
        let now = Instant::now();
        let mut pick = || {
            let key = idle[random.below(idle.len() as u64) as usize];
            (key, now + Duration::from_millis(random.far()))
        };
        let picked: Vec<(Key, Instant)> = (0..moves).map(|_| pick()).collect();
        ns_each(moves, || picked.iter().for_each(|(key, at)| queue.reset_at(key, *at)))
    }
}

impl Side for Own {
    fn round(&mut self, repeats: usize, expiries: usize) -> Cost {
        let Self { runtime, queue, .. } = self;
        let (mut start, mut cancel, mut expired) = <(Times, Times, Times)>::default();
        let (distances, mut keys) = (distances(), Vec::with_capacity(ACTIVE));
        runtime.block_on(async {
            for _ in 0..repeats {
                let now = Instant::now();
                start.add(|| {
                    for distance in &distances {
                        keys.push(queue.insert_at(1, now + Duration::from_millis(*distance)));
                    }
                });
                cancel.add(|| {
                    for key in &keys {
                        black_box(queue.remove(key));
                    }
                });
                keys.clear();
            }
            for _ in 0..expiries {
                for number in 0..ACTIVE as u64 {
                    queue.insert(1, Duration::from_millis(2 + number % 4));
                }
                expire(&mut expired, |context| {
                    matches!(black_box(queue.poll_expired(context)), Poll::Ready(Some(_)))
                })
                .await;
            }
        });
        cost([start, cancel, expired])
    }
}

/// In a `Mutex`, so that any thread may use it; each start is a span from now.
pub(super) struct Locked {
    runtime: Runtime,
    queue: Mutex<DelayQueue<u32>>,
}

impl Locked {
    pub(super) fn new(pending: usize) -> Self {
        let (runtime, queue, _) = queue(pending);
        Self { runtime, queue: Mutex::new(queue) }
    }
}

impl Side for Locked {
    fn round(&mut self, repeats: usize, expiries: usize) -> Cost {
        let (runtime, queue) = (&self.runtime, &self.queue);
        let lock = || -> MutexGuard<'_, DelayQueue<u32>> { queue.lock().expect("nobody panics") };
        let (mut start, mut cancel, mut expired) = <(Times, Times, Times)>::default();
        let (distances, mut keys) = (distances(), Vec::with_capacity(ACTIVE));
        runtime.block_on(async {
            for _ in 0..repeats {
                start.add(|| {
                    for distance in &distances {
                        keys.push(lock().insert(1, Duration::from_millis(*distance)));
                    }
                });
                cancel.add(|| {
                    for key in &keys {
                        black_box(lock().remove(key));
                    }
                });
                keys.clear();
            }
            for _ in 0..expiries {
                for number in 0..ACTIVE as u64 {
                    lock().insert(1, Duration::from_millis(2 + number % 4));
                }
                expire(&mut expired, |context| {
                    matches!(black_box(lock().poll_expired(context)), Poll::Ready(Some(_)))
                })
                .await;
            }
        });
        cost([start, cancel, expired])
    }
}
