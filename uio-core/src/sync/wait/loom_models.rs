//! Every interleaving of waiters and wakers, as far as the bound goes, ends: a lost wake-up is a deadlock here.

use super::super::facade::atomic::AtomicBool;
use super::super::facade::thread;
use super::super::task::Interrupt;
use super::super::testing::{block_on, poll_once};
use super::*;

fn bounded(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(body);
}

type Shop = (WaitQueue, AtomicUsize);

fn shop() -> Arc<Shop> {
    Arc::new((WaitQueue::new(), AtomicUsize::new(0)))
}

fn take(shop: &Shop) -> bool {
    shop.1.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
}

fn spawn(shop: &Arc<Shop>, body: impl FnOnce(&Shop) + 'static) -> thread::JoinHandle<()> {
    let shop = Arc::clone(shop);
    thread::spawn(move || body(&shop))
}

fn deliver(shop: &Shop) {
    shop.1.fetch_add(1, Ordering::Relaxed);
    shop.0.wake_one();
}

/// One waiter and one waker, with nothing but the fences to order them.
#[test]
fn loom_no_wake_up_is_lost() {
    loom::model(|| {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let waker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.store(true, Ordering::Relaxed);
                shared.0.wake_all();
            })
        };
        shared.0.wait_until(|| shared.1.load(Ordering::Relaxed));
        waker.join().unwrap();
    });
}

/// Two exclusive waiters for one thing each, two `wake_one`: both get on.
#[test]
fn loom_wake_one_is_handed_on_when_its_waiter_leaves() {
    bounded(2, || {
        let shop = shop();
        let other = spawn(&shop, |shop| shop.0.wait_until_exclusive(|| take(shop)));
        for _ in 0..2 {
            deliver(&shop);
        }
        shop.0.wait_until_exclusive(|| take(&shop));
        other.join().unwrap();
    });
}

/// A task instead of a thread, and one thing for it.
#[test]
fn loom_no_wake_up_of_a_future_is_lost() {
    bounded(3, || {
        let shop = shop();
        let waker = spawn(&shop, deliver);
        block_on(shop.0.wait_until_async(|| take(&shop)));
        waker.join().unwrap();
    });
}

/// A future that is polled with another waker meanwhile: the wake-up finds the new one.
#[test]
fn loom_a_future_that_changes_its_waker_is_woken() {
    bounded(3, || {
        let shop = shop();
        let waker = spawn(&shop, deliver);
        let mut future = shop.0.wait_until_async(|| take(&shop));
        if poll_once(&mut future).is_pending() {
            block_on(future);
        }
        waker.join().unwrap();
    });
}

/// One thing, one `wake_one`, and two futures of which the first is dropped: the second gets it.
#[test]
fn loom_a_dropped_future_hands_its_wake_up_on() {
    bounded(3, || {
        let shop = shop();
        let mut first = shop.0.wait_until_exclusive_async(|| take(&shop));
        let mut second = shop.0.wait_until_exclusive_async(|| take(&shop));
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_once(&mut second).is_pending());
        let waker = spawn(&shop, deliver);
        drop(first);
        block_on(second);
        waker.join().unwrap();
    });
}

/// An interrupt against an interruptible wait whose condition never holds.
#[test]
fn loom_no_interrupt_is_lost() {
    loom::model(|| {
        let queue = WaitQueue::new();
        let own = Interrupt::current();
        let other = thread::spawn(move || own.raise());
        assert_eq!(queue.wait_until_interruptible(|| false), Err(Interrupted));
        other.join().unwrap();
    });
}

/// One thing, one `wake_one`, and one of two waiters is interrupted: the thing is not left lying.
#[test]
fn loom_an_interrupted_waiter_hands_its_wake_up_on() {
    bounded(2, || {
        let shop = shop();
        let own = Interrupt::current();
        let others = [
            spawn(&shop, |shop| shop.0.wait_until_exclusive(|| take(shop))),
            spawn(&shop, move |shop| {
                deliver(shop);
                own.raise();
            }),
        ];
        if shop.0.wait_until_exclusive_interruptible(|| take(&shop)).is_ok() {
            deliver(&shop);
        }
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}
