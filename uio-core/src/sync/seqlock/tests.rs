//! A test per rule of `Documentation/locking/seqlock.rst`.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

#[test]
fn a_reader_gets_what_was_written_last() {
    let lock = SeqLock::new(1_u32);
    assert_eq!(lock.read(), 1);
    lock.write(2);
    assert_eq!((lock.read(), lock.read_locked()), (2, 2));
    lock.update(|data| *data += 1);
    assert_eq!(lock.read(), 3);
}

#[test]
fn data_of_any_size_is_whole() {
    fn round_trip<const N: usize>() {
        let data = std::array::from_fn::<u8, N, _>(|n| n as u8 + 1);
        let lock = SeqLock::new([0; N]);
        lock.write(data);
        assert_eq!(lock.read(), data);
    }
    round_trip::<0>();
    round_trip::<1>();
    round_trip::<7>();
    round_trip::<8>();
    round_trip::<9>();
    round_trip::<33>();
}

#[test]
fn a_reader_retries_while_a_writer_is_at_work_and_never_sees_half_of_a_write() {
    let lock = SeqLock::new([0_u64; 8]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            (1..20_000).for_each(|n| lock.write([n; 8]));
            over.store(true, Ordering::Release);
        });
        while !over.load(Ordering::Acquire) {
            let data = lock.read();
            assert!(data.iter().all(|word| *word == data[0]), "{data:?}");
        }
    });
    assert_eq!(lock.read(), [19_999; 8]);
}

#[test]
fn a_reader_does_not_keep_a_writer_waiting() {
    let lock = SeqLock::new(1_u64);
    let before = lock.sequence.load(Ordering::Relaxed);
    let copy = lock.read();
    lock.write(copy + 1);
    assert_eq!(lock.sequence.load(Ordering::Relaxed), before + 2);
}

#[test]
fn an_attempt_while_a_writer_is_at_work_fails() {
    let lock = SeqLock::new(1_u64);
    lock.sequence.fetch_add(1, Ordering::Relaxed);
    assert_eq!(lock.try_read(), None);
    lock.sequence.fetch_add(1, Ordering::Relaxed);
    assert_eq!(lock.try_read(), Some(1));
}

#[test]
fn writers_go_one_at_a_time() {
    let lock = SeqLock::new(0_u64);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| lock.update(|count| *count += 1)));
        }
    });
    assert_eq!(lock.read(), 4000);
}

#[test]
fn a_change_that_panics_leaves_the_data_as_it_was() {
    let lock = SeqLock::new(5_u64);
    let change = std::panic::AssertUnwindSafe(|| lock.update(|_| panic!("a bug of the driver")));
    assert!(std::panic::catch_unwind(change).is_err());
    assert_eq!(lock.try_read(), Some(5));
    lock.write(6);
    assert_eq!(lock.read(), 6);
}
