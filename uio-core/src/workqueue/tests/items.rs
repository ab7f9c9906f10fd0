//! Rules about one item: how often it runs, never beside itself, cancelled and flushed.

use std::sync::mpsc;

use super::*;
use crate::sync::testing::Reports;

#[test]
fn a_work_item_queued_twice_before_it_runs_runs_once() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    let gate = Gate::new();
    assert_eq!(queue.enqueue(&gate.work()), Queued::New);
    let (work, count) = counting();
    assert_eq!(queue.enqueue(&work), Queued::New);
    assert_eq!(queue.enqueue(&work), Queued::AlreadyPending);
    assert!(work.is_pending());
    gate.open();
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(!work.is_pending() && !work.is_running());
}

#[test]
fn a_work_item_queued_while_it_runs_runs_again() {
    let pools = pools();
    let queue = unbound(&pools);
    let gate = Gate::new();
    let work = gate.work();
    queue.enqueue(&work);
    gate.wait_for_waiting(1);
    assert!(work.is_running() && !work.is_pending());
    assert_eq!(queue.enqueue(&work), Queued::New);
    assert_eq!(queue.enqueue(&work), Queued::AlreadyPending);
    gate.open();
    queue.flush();
    assert_eq!(gate.passed(), 2);
}

#[test]
fn a_work_item_may_queue_itself_again() {
    let pools = pools();
    let queue = Arc::new(bound(&pools));
    let (own, count) = (Arc::downgrade(&queue), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    let again = work("again", move || {
        if counter.fetch_add(1, Ordering::SeqCst) < 9 {
            let (queue, this) = (own.upgrade().unwrap(), current_work().unwrap());
            assert_eq!(queue.enqueue(&this), Queued::New);
        }
    });
    queue.enqueue(&again);
    wait_for("ten runs", || count.load(Ordering::SeqCst) == 10);
    queue.flush();
}

#[test]
fn a_work_item_that_runs_on_one_queue_and_is_queued_on_another_does_not_run_beside_itself() {
    let pools = pools();
    let (one, other) = (unbound(&pools), bound(&pools));
    let gate = Gate::new();
    let work = gate.work();
    one.enqueue(&work);
    gate.wait_for_waiting(1);
    assert_eq!(other.enqueue(&work), Queued::New);
    // The other queue's worker finds it running, and goes on with the next item.
    let (next, count) = counting();
    other.enqueue(&next);
    wait_for("the next item", || count.load(Ordering::SeqCst) == 1);
    assert_eq!(gate.waiting(), 1);
    assert!(work.is_pending() && work.is_running());
    gate.open();
    other.flush();
    assert_eq!(gate.passed(), 2);
}

#[test]
fn a_work_item_that_was_set_aside_can_be_cancelled() {
    let pools = pools();
    let (one, other) = (unbound(&pools), bound(&pools));
    let gate = Gate::new();
    let work = gate.work();
    one.enqueue(&work);
    gate.wait_for_waiting(1);
    other.enqueue(&work);
    let (next, count) = counting();
    other.enqueue(&next);
    wait_for("the next item", || count.load(Ordering::SeqCst) == 1);
    assert!(work.cancel());
    other.flush();
    gate.open();
    one.flush();
    assert_eq!(gate.passed(), 1);
}

#[test]
fn a_work_item_never_runs_beside_itself_and_the_last_request_has_its_run() {
    let pools = pools();
    let queues = [bound(&pools), unbound(&pools), Workqueue::ordered("other").unwrap()];
    let (running, beside) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let written = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(AtomicUsize::new(0));
    let item = {
        let (written, seen, beside) =
            (Arc::clone(&written), Arc::clone(&seen), Arc::clone(&beside));
        work("item", move || {
            if running.swap(true, Ordering::SeqCst) {
                beside.store(true, Ordering::SeqCst);
            }
            seen.store(written.load(Ordering::Relaxed), Ordering::Relaxed);
            running.store(false, Ordering::SeqCst);
        })
    };
    thread::scope(|scope| {
        for queue in &queues {
            scope.spawn(|| {
                for _ in 0..3000 {
                    written.fetch_add(1, Ordering::Relaxed);
                    queue.enqueue(&item);
                }
            });
        }
    });
    item.flush();
    assert!(!beside.load(Ordering::SeqCst));
    assert_eq!(seen.load(Ordering::Relaxed), 9000);
}

#[test]
fn cancel_work_takes_a_pending_item_off_and_says_so() {
    let pools = pools();
    let queue = Workqueue::builder("test").ordered().pools(&pools).build().unwrap();
    let gate = Gate::new();
    queue.enqueue(&gate.work());
    gate.wait_for_waiting(1);
    let (first, firsts) = counting();
    let (second, seconds) = counting();
    let (third, thirds) = counting();
    for work in [&first, &second, &third] {
        queue.enqueue(work);
    }
    assert!(second.cancel());
    assert!(!second.cancel() && !second.is_pending());
    gate.open();
    queue.flush();
    let runs = [firsts, seconds, thirds].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(runs, [1, 0, 1]);
    assert!(!first.cancel(), "it has run");
}

#[test]
fn cancel_work_does_not_wait_for_a_run_that_is_under_way() {
    let pools = pools();
    let queue = unbound(&pools);
    let gate = Gate::new();
    let work = gate.work();
    queue.enqueue(&work);
    gate.wait_for_waiting(1);
    assert!(!work.cancel());
    assert!(work.is_running());
    gate.open();
}

#[test]
fn cancel_work_sync_waits_for_a_run_that_is_under_way() {
    let pools = pools();
    let queue = unbound(&pools);
    let gate = Gate::new();
    let work = gate.work();
    queue.enqueue(&work);
    gate.wait_for_waiting(1);
    let (cancelled, done) = mpsc::channel();
    let own = work.clone();
    let canceller = thread::spawn(move || {
        let was_pending = own.cancel_sync();
        cancelled.send(own.is_running()).unwrap();
        was_pending
    });
    assert!(done.recv_timeout(MOMENT).is_err(), "it waits");
    gate.open();
    assert!(!done.recv_timeout(DEADLINE).unwrap());
    assert!(!canceller.join().unwrap(), "it ran, it was not pending");
}

#[test]
fn cancel_work_sync_ends_an_item_that_queues_itself() {
    let pools = pools();
    let queue = Arc::new(unbound(&pools));
    let (own, count) = (Arc::downgrade(&queue), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    let again = work("again", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        if let (Some(queue), Some(this)) = (own.upgrade(), current_work()) {
            queue.enqueue(&this);
        }
    });
    for _ in 0..20 {
        let before = count.load(Ordering::SeqCst);
        assert!(queue.enqueue(&again).is_new());
        wait_for("some runs", || count.load(Ordering::SeqCst) > before + 3);
        again.cancel_sync();
        let after = count.load(Ordering::SeqCst);
        assert!(!again.is_pending() && !again.is_running());
        assert_eq!(count.load(Ordering::SeqCst), after);
    }
    // The item's handle on the queue may be the last for a moment.
    queue.flush();
}

#[test]
fn cancel_work_sync_by_the_item_itself_does_not_wait() {
    let pools = pools();
    let queue = unbound(&pools);
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let own = work("own", move || {
        let this = current_work().unwrap();
        this.cancel_sync();
        this.flush();
        end.store(true, Ordering::SeqCst);
    });
    queue.enqueue(&own);
    wait_for("the end", || ended.load(Ordering::SeqCst));
}

#[test]
fn a_disabled_work_item_is_cancelled_and_refused_until_enabled_as_often() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    let gate = Gate::new();
    queue.enqueue(&gate.work());
    let (work, count) = counting();
    queue.enqueue(&work);
    assert!(work.disable());
    assert!(!work.disable_sync(), "it is not pending any more");
    assert_eq!(queue.enqueue(&work), Queued::Refused);
    assert!(!work.enable());
    assert_eq!(queue.enqueue(&work), Queued::Refused);
    assert!(work.enable());
    assert_eq!(queue.enqueue(&work), Queued::New);
    gate.open();
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn flush_work_waits_for_the_last_queueing_instance_and_says_whether_it_did() {
    let pools = pools();
    let queue = unbound(&pools);
    let gate = Gate::new();
    let work = gate.work();
    assert!(!work.flush(), "it is idle");
    queue.enqueue(&work);
    gate.wait_for_waiting(1);
    // Runs now, and is to run once more.
    queue.enqueue(&work);
    let flusher = {
        let work = work.clone();
        thread::spawn(move || work.flush())
    };
    wait_for("the flush", || work.inner.idle.has_waiters());
    thread::sleep(MOMENT);
    assert!(!flusher.is_finished());
    gate.open();
    assert!(flusher.join().unwrap());
    assert_eq!(gate.passed(), 2);
    assert!(!work.flush());
}

#[test]
fn flush_work_does_not_wait_for_instances_that_are_queued_later() {
    let pools = pools();
    let queue = Arc::new(unbound(&pools));
    let own = Arc::downgrade(&queue);
    let again = work("again", move || {
        if let (Some(queue), Some(this)) = (own.upgrade(), current_work()) {
            queue.enqueue(&this);
        }
    });
    queue.enqueue(&again);
    for _ in 0..100 {
        again.flush();
    }
    again.cancel_sync();
}

#[test]
fn flush_work_ends_when_the_item_is_cancelled() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    let gate = Gate::new();
    queue.enqueue(&gate.work());
    let (work, count) = counting();
    queue.enqueue(&work);
    let flusher = {
        let work = work.clone();
        thread::spawn(move || work.flush())
    };
    wait_for("the flush", || work.inner.idle.has_waiters());
    assert!(work.cancel());
    flusher.join().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 0);
    gate.open();
}

#[test]
fn an_item_whose_handles_are_dropped_runs_and_is_freed_then() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    let gate = Gate::new();
    queue.enqueue(&gate.work());
    let (work, count) = counting();
    queue.enqueue(&work);
    drop(work);
    gate.open();
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    wait_for("its end", || Arc::strong_count(&count) == 1);
}

#[test]
fn a_panic_in_a_work_item_is_reported_with_its_name_and_hurts_no_other() {
    let pools = pools();
    let queue = Workqueue::builder("test").ordered().pools(&pools).build().unwrap();
    let reports = Reports::default();
    let own = reports.clone();
    let bad = work("bad/item", move || {
        own.listen();
        panic!("a bug of the driver");
    });
    let (good, count) = counting();
    queue.enqueue(&bad);
    queue.enqueue(&good);
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(reports.naming(&["bad/item"]).len(), 1, "{reports:?}");
    // It can be queued again, as in the kernel.
    assert!(queue.enqueue(&bad).is_new());
    assert!(bad.flush() || !bad.is_pending());
}

#[test]
fn schedule_work_may_be_called_in_a_top_half_also_as_the_first_of_all() {
    let (work, count) = counting();
    {
        let _irq = crate::sync::context::enter(crate::sync::context::Level::HardIrq);
        assert_eq!(schedule_work(&work), Queued::New);
    }
    work.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
