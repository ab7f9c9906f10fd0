//! A test per rule of `kernel/locking/semaphore.c`'s text.

use std::sync::mpsc;
use std::thread;

use super::super::task::{self, Interrupt};
use super::super::testing::{DEADLINE, eventually};
use super::*;

fn waiting(semaphore: &Semaphore) -> usize {
    semaphore.state.lock().unwrap().waiters.len()
}

#[test]
fn as_many_as_the_count_may_have_it_at_a_time() {
    let semaphore = Semaphore::new(2);
    semaphore.down();
    assert!(semaphore.down_trylock());
    assert!(!semaphore.down_trylock());
    semaphore.up();
    assert!(semaphore.down_trylock());
}

#[test]
fn down_sleeps_until_up_and_waiters_are_served_in_order() {
    let semaphore = Arc::new(Semaphore::new(0));
    let (send, order) = mpsc::channel();
    for n in 0..3 {
        let (semaphore, send) = (Arc::clone(&semaphore), send.clone());
        let seen = Arc::clone(&semaphore);
        thread::spawn(move || {
            semaphore.down();
            send.send(n).unwrap();
        });
        eventually("the waiter", || waiting(&seen) == n + 1);
    }
    for n in 0..3 {
        semaphore.up();
        assert_eq!(order.recv_timeout(DEADLINE), Ok(n));
    }
}

#[test]
fn what_is_given_to_a_waiter_cannot_be_taken_by_one_who_comes_by() {
    let semaphore = Arc::new(Semaphore::new(0));
    let waiter = {
        let semaphore = Arc::clone(&semaphore);
        thread::spawn(move || semaphore.down())
    };
    eventually("the waiter", || waiting(&semaphore) == 1);
    semaphore.up();
    assert!(!semaphore.down_trylock());
    waiter.join().unwrap();
}

#[test]
fn up_may_be_called_by_those_who_never_called_down() {
    let semaphore = Semaphore::new(0);
    semaphore.up();
    semaphore.down();
}

#[test]
fn up_and_down_trylock_may_be_called_in_a_top_half_and_down_may_not() {
    use super::super::context::{Level, enter};
    let semaphore = Semaphore::new(0);
    let _irq = enter(Level::HardIrq);
    semaphore.up();
    assert!(semaphore.down_trylock());
    semaphore.up();
    let down = std::panic::AssertUnwindSafe(|| semaphore.down());
    assert_eq!(std::panic::catch_unwind(down).is_err(), cfg!(debug_assertions));
}

#[test]
fn down_interruptible_ends_when_interrupted_and_takes_nothing() {
    let semaphore = Semaphore::new(0);
    Interrupt::current().raise();
    assert_eq!(semaphore.down_interruptible(), Err(Interrupted));
    assert_eq!(waiting(&semaphore), 0);
    semaphore.up();
    assert_eq!(semaphore.down_interruptible(), Ok(()), "what is there is taken");
    assert!(task::flush_signals());
}

#[test]
fn an_interrupt_ends_a_wait_that_sleeps_and_takes_nothing() {
    let semaphore = Arc::new(Semaphore::new(0));
    let (send, handle) = mpsc::channel();
    let waiter = {
        let semaphore = Arc::clone(&semaphore);
        thread::spawn(move || {
            send.send(Interrupt::current()).unwrap();
            semaphore.down_interruptible()
        })
    };
    let handle = handle.recv_timeout(DEADLINE).unwrap();
    eventually("the waiter", || waiting(&semaphore) == 1);
    handle.raise();
    assert_eq!(waiter.join().unwrap(), Err(Interrupted));
    semaphore.up();
    assert!(semaphore.down_trylock());
}

#[test]
fn a_semaphore_can_be_a_static() {
    static SEMAPHORE: Semaphore = Semaphore::new(1);
    SEMAPHORE.down();
    SEMAPHORE.up();
}

#[test]
fn down_timeout_ends_when_the_time_is_over() {
    let semaphore = Semaphore::new(0);
    assert_eq!(semaphore.down_timeout(Duration::from_millis(1)), WaitResult::TimedOut);
    assert_eq!(waiting(&semaphore), 0);
    semaphore.up();
    assert!(semaphore.down_timeout(DEADLINE).is_ready());
}
