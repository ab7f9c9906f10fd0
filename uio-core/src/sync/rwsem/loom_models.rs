//! Readers, writers, a downgrade and an interrupt, in every order.

use loom::cell::UnsafeCell;

use super::super::facade::{Arc, thread};
use super::super::task::{self, Interrupt};
use super::*;

fn bounded(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(body);
}

/// Two writers, one of which goes on as a reader: none loses what the other wrote.
#[test]
fn loom_writers_are_alone_and_a_downgrade_lets_no_writer_between() {
    bounded(|| {
        let lock = Arc::new(RwSemaphore::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || *lock.write() += 1)
        };
        let mut writer = lock.write();
        *writer += 1;
        let wrote = *writer;
        assert_eq!(*writer.downgrade_write(), wrote);
        other.join().unwrap();
        assert_eq!(*lock.read(), 2);
    });
}

/// A writer that is interrupted while it keeps a reader waiting: the reader goes in.
#[test]
fn loom_a_writer_that_gives_up_holds_nobody_up() {
    bounded(|| {
        let lock = Arc::new(RwSemaphore::new(()));
        let first = lock.read();
        let own = Interrupt::current();
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                own.raise();
                let _reader = lock.read();
            })
        };
        assert!(lock.write_interruptible().is_err());
        task::flush_signals();
        other.join().unwrap();
        drop(first);
        drop(lock.write());
    });
}

/// The turn alone orders what is written: the data's own lock is not needed for it.
#[test]
fn loom_a_turn_orders_what_it_protects() {
    bounded(|| {
        let shared = Arc::new((Queue::new(), UnsafeCell::new(())));
        let write = |shared: &(Queue, UnsafeCell<()>)| {
            let entered = shared.0.enter(Access::Write, Sleep::Uninterruptible);
            assert!(entered.is_ok());
            // The model fails if two are in here without an order.
            shared.1.with_mut(|_| ());
            shared.0.leave(Access::Write);
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || write(&shared))
        };
        write(&shared);
        other.join().unwrap();
    });
}
