//! A test per rule of `include/linux/wait.h` and `kernel/sched/wait.c`.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use super::super::task::{self, Interrupt};
use super::super::testing::{DEADLINE, block_on, eventually, falls_asleep, poll_once};
use super::*;

/// A queue and a number of things to be had from it.
#[derive(Default)]
struct Shop {
    queue: WaitQueue,
    goods: AtomicUsize,
    customers: Mutex<Vec<nix::unistd::Pid>>,
}

impl Shop {
    fn take(&self) -> bool {
        self.goods.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
    }

    fn deliver(&self, count: usize) {
        self.goods.fetch_add(count, Ordering::AcqRel);
    }

    fn waiting(&self, count: usize) {
        eventually("the waiters", || self.queue.waiting.load(Ordering::SeqCst) == count);
    }

    /// The same, and the one who came last sleeps.
    fn asleep(&self, count: usize) {
        self.waiting(count);
        let last = *self.customers.lock().unwrap().last().unwrap();
        falls_asleep(last);
    }
}

fn spawn<R: Send + 'static>(
    shop: &Arc<Shop>,
    body: impl FnOnce(&Shop) -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    let shop = Arc::clone(shop);
    thread::spawn(move || {
        shop.customers.lock().unwrap().push(nix::unistd::gettid());
        body(&shop)
    })
}

#[test]
fn a_condition_that_holds_does_not_wait() {
    WaitQueue::new().wait_until(|| true);
}

#[test]
fn wait_event_timeout_ends_with_timed_out_when_nobody_wakes() {
    let queue = WaitQueue::new();
    assert_eq!(queue.wait_until_timeout(Duration::from_millis(1), || false), WaitResult::TimedOut);
    assert!(!queue.has_waiters(), "the waiter left the queue");
}

#[test]
fn wait_event_timeout_returns_the_remaining_time() {
    let result = WaitQueue::new().wait_until_timeout(DEADLINE, || true);
    let WaitResult::Ready(left) = result else { panic!("{result:?}") };
    assert!(left <= DEADLINE && left > DEADLINE / 2, "{left:?}");
}

#[test]
fn a_condition_that_comes_to_hold_as_the_time_ends_is_ready() {
    let mut tests = 0;
    let result = WaitQueue::new().wait_until_timeout(Duration::ZERO, || {
        tests += 1;
        tests == 3
    });
    assert_eq!(result, WaitResult::Ready(Duration::ZERO));
}

#[test]
fn a_timeout_beyond_all_time_is_no_timeout() {
    let result = WaitQueue::new().wait_until_timeout(Duration::MAX, || true);
    assert_eq!(result, WaitResult::Ready(Duration::MAX));
}

#[test]
fn wake_all_wakes_every_waiter() {
    let shop = Arc::new(Shop::default());
    let open = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let open = Arc::clone(&open);
            spawn(&shop, move |shop| match n % 2 {
                0 => shop.queue.wait_until(|| open.load(Ordering::Acquire)),
                _ => shop.queue.wait_until_exclusive(|| open.load(Ordering::Acquire)),
            })
        })
        .collect();
    shop.waiting(4);
    open.store(true, Ordering::Release);
    shop.queue.wake_all();
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn wake_up_wakes_all_non_exclusive_waiters_and_one_exclusive() {
    let shop = Arc::new(Shop::default());
    let (tested, tests) = mpsc::channel();
    for (name, exclusive) in
        [("exclusive 1", true), ("exclusive 2", true), ("a", false), ("b", false)]
    {
        let tested = tested.clone();
        let count = shop.queue.waiting.load(Ordering::SeqCst);
        spawn(&shop, move |shop| {
            // Each says that it was woken, and then leaves.
            let mut calls = 0;
            let woken = || {
                calls += 1;
                calls == 3
            };
            if exclusive {
                shop.queue.wait_until_exclusive(woken);
            } else {
                shop.queue.wait_until(woken);
            }
            tested.send(name).unwrap();
        });
        shop.asleep(count + 1);
    }
    shop.queue.wake_one();
    let mut woken: Vec<_> = (0..3).map(|_| tests.recv_timeout(DEADLINE).unwrap()).collect();
    woken.sort_unstable();
    assert_eq!(woken, ["a", "b", "exclusive 1"]);
    assert_eq!(shop.queue.waiting.load(Ordering::SeqCst), 1, "the other exclusive one sleeps on");
    shop.queue.wake_one();
    assert_eq!(tests.recv_timeout(DEADLINE), Ok("exclusive 2"));
}

#[test]
fn exclusive_waiters_are_woken_in_order_of_arrival() {
    let shop = Arc::new(Shop::default());
    let (done, order) = mpsc::channel();
    for n in 0..3 {
        let done = done.clone();
        spawn(&shop, move |shop| {
            shop.queue.wait_until_exclusive(|| shop.take());
            done.send(n).unwrap();
        });
        shop.asleep(n + 1);
    }
    for n in 0..3 {
        shop.deliver(1);
        shop.queue.wake_one();
        assert_eq!(order.recv_timeout(DEADLINE), Ok(n));
    }
}

#[test]
fn wake_nr_wakes_so_many_exclusive_waiters() {
    let shop = Arc::new(Shop::default());
    let threads: Vec<_> = (0..3)
        .map(|_| spawn(&shop, |shop| shop.queue.wait_until_exclusive(|| shop.take())))
        .collect();
    shop.waiting(3);
    shop.deliver(2);
    shop.queue.wake_nr(2);
    shop.waiting(1);
    shop.deliver(1);
    shop.queue.wake_one();
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn an_interrupt_ends_an_interruptible_wait() {
    let shop = Arc::new(Shop::default());
    let (send, interrupt) = mpsc::channel();
    let waiter = spawn(&shop, move |shop| {
        send.send(Interrupt::current()).unwrap();
        shop.queue.wait_until_interruptible(|| false)
    });
    let interrupt = interrupt.recv().unwrap();
    shop.waiting(1);
    interrupt.raise();
    assert_eq!(waiter.join().unwrap(), Err(Interrupted));
    assert!(!shop.queue.has_waiters());
}

#[test]
fn an_interrupt_that_is_pending_keeps_a_wait_from_sleeping() {
    Interrupt::current().raise();
    let queue = WaitQueue::new();
    assert_eq!(queue.wait_until_interruptible(|| false), Err(Interrupted));
    assert_eq!(queue.wait_until_interruptible_timeout(DEADLINE, || false), WaitResult::Interrupted);
    assert_eq!(queue.wait_until_exclusive_interruptible(|| false), Err(Interrupted));
    assert!(task::flush_signals());
}

#[test]
fn a_condition_that_holds_wins_over_a_pending_interrupt() {
    Interrupt::current().raise();
    assert_eq!(WaitQueue::new().wait_until_interruptible(|| true), Ok(()));
    assert!(task::flush_signals());
}

#[test]
fn an_uninterruptible_wait_sleeps_through_an_interrupt() {
    Interrupt::current().raise();
    let result = WaitQueue::new().wait_until_timeout(Duration::from_millis(1), || false);
    assert_eq!(result, WaitResult::TimedOut);
    assert!(task::flush_signals());
}

#[test]
fn wake_up_interruptible_leaves_uninterruptible_waiters_asleep() {
    let shop = Arc::new(Shop::default());
    let deep = spawn(&shop, |shop| shop.queue.wait_until_exclusive(|| shop.take()));
    shop.asleep(1);
    let light = spawn(&shop, |shop| shop.queue.wait_until_exclusive_interruptible(|| shop.take()));
    shop.asleep(2);
    shop.deliver(1);
    shop.queue.wake_interruptible();
    assert_eq!(light.join().unwrap(), Ok(()));
    shop.queue.wake_interruptible_all();
    assert!(!deep.is_finished());
    shop.deliver(1);
    shop.queue.wake_one();
    deep.join().unwrap();
}

#[test]
fn wake_up_process_makes_a_waiter_test_its_condition() {
    let shop = Arc::new(Shop::default());
    let (send, handle) = mpsc::channel();
    let waiter = spawn(&shop, move |shop| {
        send.send(Interrupt::current()).unwrap();
        shop.queue.wait_until(|| shop.take());
    });
    let handle = handle.recv().unwrap();
    shop.waiting(1);
    shop.deliver(1);
    handle.wake();
    waiter.join().unwrap();
}

#[test]
fn a_subscriber_is_called_on_every_wake_up_until_it_unsubscribes() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let queue = WaitQueue::new();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let subscriber: Arc<dyn Wake> = count.clone();
    queue.subscribe(&subscriber);
    queue.wake_one();
    queue.wake_all();
    queue.unsubscribe(&subscriber);
    queue.wake_all();
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
}

#[test]
fn a_future_is_ready_when_its_condition_holds() {
    let shop = Arc::new(Shop::default());
    let waiter = spawn(&shop, |shop| block_on(shop.queue.wait_until_async(|| shop.take())));
    shop.waiting(1);
    shop.deliver(1);
    shop.queue.wake_all();
    waiter.join().unwrap();
    assert!(!shop.queue.has_waiters());
}

#[test]
fn a_future_that_is_dropped_leaves_the_queue_and_hands_its_wake_up_on() {
    let shop = Arc::new(Shop::default());
    let mut first = shop.queue.wait_until_exclusive_async(|| shop.take());
    assert!(poll_once(&mut first).is_pending());
    let second =
        spawn(&shop, |shop| block_on(shop.queue.wait_until_exclusive_async(|| shop.take())));
    shop.waiting(2);
    shop.deliver(1);
    shop.queue.wake_one();
    drop(first);
    second.join().unwrap();
    assert!(!shop.queue.has_waiters());
}

#[test]
fn a_condition_that_panics_leaves_no_entry_behind() {
    let queue = WaitQueue::new();
    let mut calls = 0;
    let wait = std::panic::AssertUnwindSafe(|| {
        queue.wait_until(|| {
            calls += 1;
            assert!(calls < 2, "a bug of the driver");
            false
        });
    });
    assert!(std::panic::catch_unwind(wait).is_err());
    assert!(!queue.has_waiters());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "sleeping call at")]
fn a_wait_in_a_top_half_is_caught() {
    let _irq = super::super::context::enter(super::super::context::Level::HardIrq);
    WaitQueue::new().wait_until(|| true);
}

#[test]
fn a_queue_can_be_a_static() {
    static QUEUE: WaitQueue = WaitQueue::new();
    QUEUE.wake_all();
    assert!(!QUEUE.has_waiters());
}
