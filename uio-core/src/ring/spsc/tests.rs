//! The ring against a bounded queue, and across threads.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[test]
fn a_capacity_is_rounded_up_to_a_power_of_two() {
    assert_eq!(channel::<u8>(5).0.capacity(), 8);
    assert_eq!(channel::<u8>(0).0.capacity(), 1);
}

#[test]
fn a_full_ring_takes_nothing_and_an_empty_one_gives_nothing() {
    let (mut producer, mut consumer) = channel(2);
    assert!(producer.push(1) && producer.push(2) && !producer.push(3));
    assert!(producer.is_full());
    assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
    assert!(consumer.is_empty());
}

#[test]
fn indices_may_wrap() {
    let (mut producer, mut consumer) = channel::<u8>(4);
    for index in [&producer.ring.head.0, &producer.ring.tail.0] {
        index.store(usize::MAX - 1, Ordering::Relaxed);
    }
    (producer.head, producer.tail_seen) = (usize::MAX - 1, usize::MAX - 1);
    (consumer.tail, consumer.head_seen) = (usize::MAX - 1, usize::MAX - 1);
    assert_eq!(producer.push_slice(b"abcdef"), 4);
    assert_eq!(producer.len(), 4);
    let mut buf = [0; 4];
    assert_eq!(consumer.pop_slice(&mut buf), 4);
    assert_eq!(&buf, b"abcd");
}

#[test]
fn two_threads_pass_every_element_once_and_in_order() {
    let (mut producer, mut consumer) = channel::<u32>(64);
    let count = 200_000;
    let thread = std::thread::spawn(move || {
        let mut next = 0;
        while next < count {
            let end = count.min(next + 48);
            let batch: Vec<u32> = (next..end).collect();
            // CAST: at most 48.
            let pushed = producer.push_slice(&batch) as u32;
            if pushed == 0 {
                std::thread::yield_now();
            }
            next += pushed;
        }
    });
    let (mut expected, mut buf) = (0, [0; 48]);
    while expected < count {
        let got = consumer.pop_slice(&mut buf);
        if got == 0 {
            std::thread::yield_now();
        }
        for &value in &buf[..got] {
            assert_eq!(value, expected);
            expected += 1;
        }
    }
    thread.join().unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<u8>),
    Fill(usize, usize),
    Pop(usize),
    Drain(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Push),
        (0_usize..20, 0_usize..20).prop_map(|(most, n)| Step::Fill(most, n)),
        (0_usize..20).prop_map(Step::Pop),
        (0_usize..20, 0_usize..20).prop_map(|(most, n)| Step::Drain(most, n)),
    ]
}

fn fill(first: &mut [u8], second: &mut [u8], count: usize) -> usize {
    let count = count.min(first.len() + second.len());
    for (slot, value) in first.iter_mut().chain(second).zip(0..count) {
        // CAST: at most 20.
        *slot = value as u8;
    }
    count
}

proptest! {
    #[test]
    fn a_ring_behaves_as_a_bounded_queue(capacity in 1_usize..40, steps in prop::collection::vec(step(), 0..60)) {
        let (mut producer, mut consumer) = channel::<u8>(capacity);
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Push(data) => {
                    let pushed = producer.push_slice(&data);
                    prop_assert_eq!(pushed, data.len().min(producer.capacity() - model.len()));
                    model.extend(&data[..pushed]);
                }
                Step::Fill(most, count) => {
                    let filled = producer.fill_with(most, |a, b| fill(a, b, count));
                    // CAST: at most 20.
                    model.extend((0..filled).map(|value| value as u8));
                }
                Step::Pop(count) => {
                    let mut buf = vec![0; count];
                    let popped = consumer.pop_slice(&mut buf);
                    prop_assert_eq!(popped, count.min(model.len()));
                    prop_assert!(model.drain(..popped).eq(buf[..popped].iter().copied()));
                }
                Step::Drain(most, count) => {
                    let mut seen = Vec::new();
                    let drained = consumer.drain_with(most, |a, b| {
                        seen.extend(a.iter().chain(b).copied().take(count));
                        seen.len()
                    });
                    prop_assert!(model.drain(..drained).eq(seen.into_iter()));
                }
            }
            prop_assert_eq!(producer.len(), model.len());
        }
    }
}
