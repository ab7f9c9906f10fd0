//! The ring beside `rtrb`: at least as fast one at a time, three times faster in batches of 32.

use std::hint::{black_box, spin_loop};
use std::thread;

use uio_core::ring::spsc;

use crate::support::{Bench, Claim, ns_each, pinned, two_cpus};

const CAPACITY: usize = 1024;
const BATCH: usize = 32;
/// Elements that lie in the ring between the passes of one thread.
const RUN: usize = 512;

const ONE: Claim = Claim::at_most(1.0, "one element in and out, one thread", "rtrb push and pop");
const BATCHED: Claim =
    Claim::times_less(3.0, "an element in batches of 32, one thread", "rtrb push and pop");
const CHUNKS: Claim = Claim::beside("an element in batches of 32, one thread", "rtrb chunks of 32");
const ACROSS: Claim = Claim::at_most(1.0, "one element from thread to thread", "rtrb push and pop")
    .note(
        "Both wait for the same cache lines to go to and fro; which of them does better depends on how the two \
         threads happen to follow each other.",
    );
const BATCHED_ACROSS: Claim =
    Claim::times_less(3.0, "an element in batches of 32, thread to thread", "rtrb push and pop");

pub(crate) fn run(bench: Bench) {
    let runs = bench.ops(4000);
    bench.compare(ONE, || ours_alone(runs, ours_one), || peer_alone(runs, peer_one));
    bench.compare(BATCHED, || ours_alone(runs, ours_batch), || peer_alone(runs, peer_one));
    bench.compare(CHUNKS, || ours_alone(runs, ours_batch), || peer_alone(runs, peer_batch));
    let count = bench.ops(2_000_000);
    bench.compare(
        ACROSS,
        || ours_across(count, |ring, next| usize::from(ring.push(next)), ours_take_one),
        || peer_across(count),
    );
    bench.compare(
        BATCHED_ACROSS,
        || ours_across(count, ours_give_batch, ours_take_batch),
        || peer_across(count),
    );
}

type Ours = (spsc::Producer<u64>, spsc::Consumer<u64>);
type Peer = (rtrb::Producer<u64>, rtrb::Consumer<u64>);

fn ours_alone(runs: usize, pass: fn(&mut Ours)) -> f64 {
    let mut ring = spsc::channel(CAPACITY);
    ns_each(runs * RUN, || (0..runs).for_each(|_| pass(&mut ring)))
}

fn peer_alone(runs: usize, pass: fn(&mut Peer)) -> f64 {
    let mut ring = rtrb::RingBuffer::new(CAPACITY);
    ns_each(runs * RUN, || (0..runs).for_each(|_| pass(&mut ring)))
}

fn ours_one((producer, consumer): &mut Ours) {
    (0..RUN as u64).for_each(|value| assert!(producer.push(black_box(value))));
    (0..RUN).for_each(|_| {
        _ = black_box(consumer.pop());
    });
}

fn peer_one((producer, consumer): &mut Peer) {
    (0..RUN as u64).for_each(|value| assert!(producer.push(black_box(value)).is_ok()));
    (0..RUN).for_each(|_| {
        _ = black_box(consumer.pop());
    });
}

fn ours_batch((producer, consumer): &mut Ours) {
    let mut values: [u64; BATCH] = std::array::from_fn(|n| n as u64);
    for _ in 0..RUN / BATCH {
        assert_eq!(producer.push_slice(black_box(&values)), BATCH);
    }
    for _ in 0..RUN / BATCH {
        assert_eq!(consumer.pop_slice(black_box(&mut values)), BATCH);
    }
}

fn peer_batch((producer, consumer): &mut Peer) {
    let mut values: [u64; BATCH] = std::array::from_fn(|n| n as u64);
    for _ in 0..RUN / BATCH {
        let (pushed, _) = producer.push_partial_slice(black_box(&values));
        assert_eq!(pushed.len(), BATCH);
    }
    for _ in 0..RUN / BATCH {
        let (popped, _) = consumer.pop_partial_slice(black_box(&mut values));
        assert_eq!(popped.len(), BATCH);
    }
}

/// Waits for the other side; on a busy machine that one may not even run.
fn pause(idle: &mut usize) {
    *idle += 1;
    if idle.is_multiple_of(1000) { thread::yield_now() } else { spin_loop() }
}

/// Two threads on two processors: `give` says how many it got rid of, `take` how many it got.
fn across<P: Send + 'static, C>(
    count: usize,
    (mut producer, mut consumer): (P, C),
    give: impl Fn(&mut P, u64) -> usize + Send + 'static,
    take: impl Fn(&mut C) -> usize,
) -> f64 {
    let cpus = two_cpus();
    let _here = pinned(cpus.driver);
    let giver = thread::spawn(move || {
        let _there = pinned(cpus.other);
        let (mut sent, mut idle) = (0, 0);
        while sent < count {
            match give(&mut producer, sent as u64) {
                0 => pause(&mut idle),
                given => sent += given,
            }
        }
        // It may not vanish before the last element is taken.
        producer
    });
    let (mut taken, mut idle) = (0, 0);
    while taken == 0 {
        taken += take(&mut consumer);
    }
    let before = taken;
    let each = ns_each(count.saturating_sub(before).max(1), || {
        while taken < count {
            match take(&mut consumer) {
                0 => pause(&mut idle),
                got => taken += got,
            }
        }
    });
    drop(giver.join().expect("the giver gives"));
    each
}

fn ours_across(
    count: usize,
    give: impl Fn(&mut spsc::Producer<u64>, u64) -> usize + Send + 'static,
    take: impl Fn(&mut spsc::Consumer<u64>) -> usize,
) -> f64 {
    across(count.next_multiple_of(BATCH), spsc::channel(CAPACITY), give, take)
}

fn ours_take_one(ring: &mut spsc::Consumer<u64>) -> usize {
    usize::from(black_box(ring.pop()).is_some())
}

fn ours_give_batch(ring: &mut spsc::Producer<u64>, next: u64) -> usize {
    ring.push_slice(&black_box([next; BATCH]))
}

fn ours_take_batch(ring: &mut spsc::Consumer<u64>) -> usize {
    let mut values = [0; BATCH];
    let taken = ring.pop_slice(&mut values);
    black_box(values);
    taken
}

fn peer_across(count: usize) -> f64 {
    let give = |ring: &mut rtrb::Producer<u64>, next| usize::from(ring.push(next).is_ok());
    let take = |ring: &mut rtrb::Consumer<u64>| usize::from(black_box(ring.pop()).is_ok());
    across(count.next_multiple_of(BATCH), rtrb::RingBuffer::new(CAPACITY), give, take)
}
