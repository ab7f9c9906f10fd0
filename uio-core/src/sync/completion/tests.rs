//! A test per rule of `Documentation/scheduler/completion.rst`.

use std::sync::{Arc, mpsc};
use std::thread;

use super::super::task::{self, Interrupt};
use super::super::testing::{DEADLINE, block_on, eventually, falls_asleep};
use super::*;

/// Waits in another thread; the receiver hears when it is over.
fn waiter(done: &Arc<Completion>) -> mpsc::Receiver<()> {
    let (send, receive) = mpsc::channel();
    let done = Arc::clone(done);
    thread::spawn(move || {
        done.wait();
        send.send(()).unwrap();
    });
    receive
}

#[test]
fn complete_before_wait_works() {
    let done = Completion::new();
    done.complete();
    done.wait();
    assert!(!done.is_done());
}

#[test]
fn wait_sleeps_until_complete() {
    let done = Arc::new(Completion::new());
    let over = waiter(&done);
    eventually("the waiter", || done.queue.has_waiters());
    assert!(over.try_recv().is_err());
    done.complete();
    over.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn complete_wakes_one_waiter_in_order_of_arrival() {
    let done = Arc::new(Completion::new());
    let (send, order) = mpsc::channel();
    let mut threads = Vec::new();
    for n in 0..3 {
        let (done, send) = (Arc::clone(&done), send.clone());
        let queued = format!("waiting: {}", n + 1);
        let shown = Arc::clone(&done);
        let (tell, told) = mpsc::channel();
        threads.push(thread::spawn(move || {
            tell.send(nix::unistd::gettid()).unwrap();
            done.wait();
            send.send(n).unwrap();
        }));
        eventually("the waiter", || format!("{:?}", shown.queue).contains(&queued));
        falls_asleep(told.recv().unwrap());
    }
    for n in 0..3 {
        done.complete();
        assert_eq!(order.recv_timeout(DEADLINE), Ok(n));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn as_many_completions_as_waits() {
    let done = Completion::new();
    done.complete();
    done.complete();
    assert!(done.try_wait() && done.try_wait() && !done.try_wait());
}

#[test]
fn complete_all_ends_every_wait_and_is_sticky_until_reinit() {
    let done = Arc::new(Completion::new());
    let waiters: Vec<_> = (0..3).map(|_| waiter(&done)).collect();
    done.complete_all();
    waiters.iter().for_each(|over| over.recv_timeout(DEADLINE).unwrap());
    done.wait();
    assert!(done.try_wait() && done.is_done());
    done.complete();
    assert!(done.is_done(), "complete after complete_all changes nothing");
    done.reinit();
    assert!(!done.is_done() && !done.try_wait());
}

#[test]
fn wait_timeout_says_what_was_left_or_that_the_time_is_over() {
    let done = Completion::new();
    assert_eq!(done.wait_timeout(Duration::from_millis(1)), WaitResult::TimedOut);
    done.complete();
    assert!(matches!(done.wait_timeout(DEADLINE), WaitResult::Ready(left) if left > DEADLINE / 2));
}

#[test]
fn wait_interruptible_ends_when_interrupted_and_takes_nothing() {
    let done = Completion::new();
    Interrupt::current().raise();
    assert_eq!(done.wait_interruptible(), Err(Interrupted));
    assert_eq!(done.wait_interruptible_timeout(DEADLINE), WaitResult::Interrupted);
    done.complete();
    assert_eq!(done.wait_interruptible(), Ok(()), "what is done wins");
    assert!(task::flush_signals());
}

#[test]
fn a_completion_can_be_awaited() {
    let done = Arc::new(Completion::new());
    let other = Arc::clone(&done);
    let thread = thread::spawn(move || block_on(other.wait_async()));
    eventually("the task", || done.queue.has_waiters());
    done.complete();
    thread.join().unwrap();
}

#[test]
fn completion_done_takes_nothing() {
    let done = Completion::new();
    done.complete();
    assert!(done.is_done() && done.is_done());
}

#[test]
fn complete_may_be_called_in_a_top_half_and_wait_may_not() {
    use super::super::context::{Level, enter};
    let done = Completion::new();
    let _irq = enter(Level::HardIrq);
    done.complete();
    assert!(done.try_wait());
    let wait = std::panic::AssertUnwindSafe(|| done.wait_timeout(Duration::ZERO));
    assert_eq!(std::panic::catch_unwind(wait).is_err(), cfg!(debug_assertions));
}

#[test]
fn a_completion_can_be_a_static() {
    static DONE: Completion = Completion::new();
    DONE.complete();
    DONE.wait();
}
