//! A test per rule of `Documentation/locking/mutex-design.rst`.

use std::sync::{Arc, mpsc};
use std::thread;

use super::super::task::{self, Interrupt};
use super::super::testing::eventually;
use super::*;

#[test]
fn one_thread_holds_it_at_a_time() {
    let mutex = Mutex::new(0);
    thread::scope(|scope| {
        for n in 0..4 {
            let mutex = &mutex;
            scope.spawn(move || {
                for _ in 0..1000 {
                    match n % 2 {
                        0 => *mutex.lock() += 1,
                        _ => *mutex.lock_interruptible().unwrap() += 1,
                    }
                }
            });
        }
    });
    assert_eq!(mutex.into_inner(), 4000);
}

#[test]
fn try_lock_does_not_wait() {
    let mut mutex = Mutex::new(1);
    let guard = mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| assert!(mutex.try_lock().is_none() && mutex.is_locked()));
    });
    drop(guard);
    *mutex.try_lock().unwrap() += 1;
    assert_eq!(*mutex.get_mut(), 2);
    assert!(!mutex.is_locked());
}

#[test]
fn lock_interruptible_ends_when_interrupted() {
    let mutex = Arc::new(Mutex::new(()));
    let guard = mutex.lock();
    let (send, handle) = mpsc::channel();
    let waiter = {
        let mutex = Arc::clone(&mutex);
        thread::spawn(move || {
            send.send(Interrupt::current()).unwrap();
            mutex.lock_interruptible().is_err()
        })
    };
    let handle = handle.recv().unwrap();
    eventually("the waiter", || mutex.waiters.has_waiters());
    handle.raise();
    assert!(waiter.join().unwrap());
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn lock_interruptible_gets_the_lock_when_it_is_released() {
    let mutex = Arc::new(Mutex::new(()));
    let guard = mutex.lock();
    let waiter = {
        let mutex = Arc::clone(&mutex);
        thread::spawn(move || mutex.lock_interruptible().is_ok())
    };
    eventually("the waiter", || mutex.waiters.has_waiters());
    drop(guard);
    assert!(waiter.join().unwrap());
}

#[test]
fn a_free_lock_is_taken_even_if_an_interrupt_is_pending() {
    Interrupt::current().raise();
    assert!(Mutex::new(()).lock_interruptible().is_ok());
    assert!(task::flush_signals());
}

#[test]
fn a_holder_that_panics_releases_the_lock_and_poisons_nothing() {
    let mutex = Arc::new(Mutex::new(5));
    let holder = Arc::clone(&mutex);
    let thread = thread::spawn(move || {
        let _guard = holder.lock();
        panic!("a bug of the driver");
    });
    assert!(thread.join().is_err());
    assert_eq!(*mutex.lock(), 5);
}

#[test]
fn a_mutex_can_be_a_static() {
    static MUTEX: Mutex<u32> = Mutex::new(1);
    *MUTEX.lock() += 1;
    assert_eq!(*MUTEX.lock(), 2);
}
