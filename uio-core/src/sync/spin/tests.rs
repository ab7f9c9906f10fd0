//! A test per rule of `Documentation/locking/spinlocks.rst`.

use std::sync::{Arc, mpsc};
use std::thread;

use super::super::context::{Level, enter};
use super::super::testing::{DEADLINE, eventually};
use super::*;

#[test]
fn one_thread_holds_a_spin_lock_at_a_time() {
    let lock = SpinLock::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| *lock.lock() += 1));
        }
    });
    assert_eq!(lock.into_inner(), 4000);
}

#[test]
fn spin_trylock_does_not_wait() {
    let mut lock = SpinLock::new(1);
    let guard = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| assert!(lock.try_lock().is_none()));
    });
    drop(guard);
    *lock.try_lock().unwrap() += 1;
    assert_eq!(*lock.get_mut(), 2);
}

#[test]
fn a_spin_lock_may_be_taken_in_a_top_half() {
    let lock = SpinLock::new(());
    let _irq = enter(Level::HardIrq);
    drop(lock.lock());
}

#[test]
fn a_waiter_does_not_burn_the_time_of_a_preempted_holder() {
    let lock = Arc::new(SpinLock::new(()));
    let guard = lock.lock();
    let (send, taken) = mpsc::channel();
    let waiter = {
        let lock = Arc::clone(&lock);
        thread::spawn(move || {
            drop(lock.lock());
            send.send(thread_cpu_time()).unwrap();
        })
    };
    assert!(taken.recv_timeout(std::time::Duration::from_millis(50)).is_err());
    drop(guard);
    let used = taken.recv_timeout(DEADLINE).unwrap();
    assert!(used < std::time::Duration::from_millis(25), "{used:?} of 50 ms");
    waiter.join().unwrap();
}

fn thread_cpu_time() -> std::time::Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).unwrap().into()
}

#[test]
fn many_may_read_a_reader_writer_lock_and_one_may_write_it() {
    let lock = RwSpinLock::new(0);
    let reader = lock.read();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(*lock.read(), 0);
            assert!(lock.try_read().is_some() && lock.try_write().is_none());
        });
    });
    drop(reader);
    *lock.write() += 1;
    let writer = lock.try_write().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert!(lock.try_read().is_none()));
    });
    assert_eq!(*writer, 1);
}

#[test]
fn readers_of_a_reader_writer_lock_do_not_starve_a_writer() {
    let lock = RwSpinLock::new(0);
    let reader = lock.read();
    thread::scope(|scope| {
        scope.spawn(|| *lock.write() += 1);
        // A reader that comes later waits, too.
        eventually("the writer", || lock.try_read().is_none());
        drop(reader);
    });
    assert_eq!(*lock.read(), 1);
}

#[test]
fn a_holder_that_panics_releases_the_lock_and_poisons_nothing() {
    let lock = Arc::new((SpinLock::new(1), RwSpinLock::new(2)));
    let holder = Arc::clone(&lock);
    let thread = thread::spawn(move || {
        let _guards = (holder.0.lock(), holder.1.write());
        panic!("a bug of the driver");
    });
    assert!(thread.join().is_err());
    assert_eq!((*lock.0.lock(), *lock.1.read()), (1, 2));
    assert_eq!(*lock.1.write(), 2);
}

#[test]
fn a_spin_lock_can_be_a_static() {
    static LOCK: SpinLock<u32> = SpinLock::new(1);
    static TABLE: RwSpinLock<u32> = RwSpinLock::new(1);
    *LOCK.lock() += 1;
    *TABLE.write() += 1;
    assert_eq!((*LOCK.lock(), *TABLE.read()), (2, 2));
}
