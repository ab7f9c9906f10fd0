//! A test per rule of `kernel/locking/rwsem.c`'s text.

use std::sync::{Arc, mpsc};
use std::thread;

use super::super::task::{self, Interrupt};
use super::super::testing::{DEADLINE, eventually};
use super::*;

type Lock = Arc<RwSemaphore<Vec<&'static str>>>;

fn lock() -> Lock {
    Arc::new(RwSemaphore::new(Vec::new()))
}

/// Takes the lock in another thread, and is in the queue when this returns.
fn queued(lock: &Lock, body: impl FnOnce(&Lock) + Send + 'static) -> thread::JoinHandle<()> {
    let before = lock.queue.waiting();
    let inner = Arc::clone(lock);
    let thread = thread::spawn(move || body(&inner));
    eventually("the waiter", || lock.queue.waiting() == before + 1);
    thread
}

#[test]
fn many_may_read_at_a_time_and_one_may_write_alone() {
    let lock = RwSemaphore::new(1);
    let reader = lock.read();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(lock.try_read().is_some());
            assert!(lock.try_write().is_none());
        });
    });
    drop(reader);
    let writer = lock.write();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(lock.try_read().is_none());
            assert!(lock.try_write().is_none());
        });
    });
    drop(writer);
    assert_eq!(lock.into_inner(), 1);
}

#[test]
fn readers_do_not_starve_a_writer() {
    let lock = lock();
    let reader = lock.read();
    let writer = queued(&lock, |lock| lock.write().push("writer"));
    assert!(lock.try_read().is_none(), "a reader that comes later waits behind the writer");
    let late = queued(&lock, |lock| assert_eq!(*lock.read(), ["writer"]));
    drop(reader);
    writer.join().unwrap();
    late.join().unwrap();
}

#[test]
fn readers_that_wait_together_go_in_together() {
    let lock = lock();
    let writer = lock.write();
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let left = Arc::new(std::sync::Mutex::new(left));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (inside, left) = (inside.clone(), Arc::clone(&left));
            queued(&lock, move |lock| {
                let _reader = lock.read();
                inside.send(()).unwrap();
                let _ = left.lock().unwrap().recv_timeout(DEADLINE);
            })
        })
        .collect();
    drop(writer);
    entered.recv_timeout(DEADLINE).unwrap();
    entered.recv_timeout(DEADLINE).unwrap();
    drop(leave);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let lock = lock();
    let holder = lock.write();
    let waiters = [
        queued(&lock, |lock| lock.write().push("first")),
        queued(&lock, |lock| lock.write().push("second")),
        queued(&lock, |lock| lock.write().push("third")),
    ];
    drop(holder);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    assert_eq!(*lock.read(), ["first", "second", "third"]);
}

#[test]
fn downgrade_write_lets_readers_in_and_no_writer() {
    let lock = lock();
    let mut writer = lock.write();
    writer.push("before");
    let reader = queued(&lock, |lock| assert_eq!(*lock.read(), ["before"]));
    let next = queued(&lock, |lock| lock.write().push("after"));
    let downgraded = writer.downgrade_write();
    reader.join().unwrap();
    assert!(!next.is_finished());
    assert_eq!(*downgraded, ["before"]);
    drop(downgraded);
    next.join().unwrap();
    assert_eq!(*lock.read(), ["before", "after"]);
}

#[test]
fn an_interrupted_waiter_leaves_the_queue_and_holds_nobody_up() {
    let lock = lock();
    let reader = lock.read();
    let (send, handle) = mpsc::channel();
    let writer = queued(&lock, move |lock| {
        send.send(Interrupt::current()).unwrap();
        assert!(lock.write_interruptible().is_err());
    });
    let late = queued(&lock, |lock| drop(lock.read()));
    handle.recv().unwrap().raise();
    writer.join().unwrap();
    late.join().unwrap();
    drop(reader);
}

#[test]
fn an_interrupted_reader_does_not_have_the_lock() {
    let lock = lock();
    let writer = lock.write();
    let (send, handle) = mpsc::channel();
    let reader = queued(&lock, move |lock| {
        send.send(Interrupt::current()).unwrap();
        assert!(lock.read_interruptible().is_err());
    });
    handle.recv_timeout(DEADLINE).unwrap().raise();
    reader.join().unwrap();
    drop(writer);
    assert!(lock.try_write().is_some());
}

#[test]
fn a_free_lock_is_taken_even_if_an_interrupt_is_pending() {
    let lock = lock();
    Interrupt::current().raise();
    assert!(lock.read_interruptible().is_ok());
    assert!(lock.write_interruptible().is_ok());
    assert!(task::flush_signals());
}

#[test]
fn a_holder_that_panics_releases_the_lock_and_poisons_nothing() {
    let lock = lock();
    let holder = Arc::clone(&lock);
    let thread = thread::spawn(move || {
        let _writer = holder.write();
        panic!("a bug of the driver");
    });
    assert!(thread.join().is_err());
    assert!(lock.try_write().is_some() && lock.try_read().is_some());
}
