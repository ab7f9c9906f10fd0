//! Rules about delayed work: never early, pending from the request, moved, cancelled and flushed.

use std::sync::mpsc;

use super::super::work::At;
use super::*;
use crate::sync::context;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

fn delayed() -> (DelayedWork, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&count);
    let work = DelayedWork::new(
        "delayed",
        Arc::new(move || {
            own.fetch_add(1, Ordering::SeqCst);
        }),
    );
    (work, count)
}

/// A queue on which nothing starts until its gate is opened, so that an item whose time is over while the test
/// is put off is pending all the same.
fn shut(pools: &Arc<Pools>) -> (Workqueue, Arc<Gate>) {
    let queue = queue_with(pools, WqFlags::UNBOUND, 1);
    let gate = Gate::new();
    queue.enqueue(&gate.work());
    (queue, gate)
}

fn ran(count: &AtomicUsize, times: usize) {
    wait_for("the run", || count.load(Ordering::SeqCst) == times);
}

#[test]
fn delayed_work_runs_when_its_time_is_over_and_not_earlier() {
    let pools = pools();
    let queue = bound(&pools);
    for delay in [1, 5, 20, 40].map(Duration::from_millis) {
        let (sender, at) = mpsc::channel();
        let work = DelayedWork::new("at", Arc::new(move || sender.send(Instant::now()).unwrap()));
        let start = Instant::now();
        assert_eq!(queue.enqueue_delayed(&work, delay), Queued::New);
        let passed = at.recv_timeout(DEADLINE).unwrap() - start;
        assert!(passed >= delay, "{passed:?} is less than {delay:?}");
    }
}

#[test]
fn delayed_work_is_pending_from_the_request_on_and_a_second_one_changes_nothing() {
    let pools = pools();
    let (queue, gate) = shut(&pools);
    let (work, count) = delayed();
    assert_eq!(queue.enqueue_delayed(&work, SHORT), Queued::New);
    assert!(work.is_pending());
    assert_eq!(queue.enqueue_delayed(&work, LONG), Queued::AlreadyPending);
    assert_eq!(queue.enqueue(work.work()), Queued::AlreadyPending);
    gate.open();
    ran(&count, 1);
    work.flush();
    assert!(!work.is_pending());
}

#[test]
fn delayed_work_without_a_delay_is_queued_at_once() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = delayed();
    queue.enqueue_delayed(&work, Duration::ZERO);
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn delayed_work_may_be_queued_moved_and_cancelled_in_a_top_half() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = delayed();
    {
        let _top_half = context::enter(context::Level::HardIrq);
        assert_eq!(queue.enqueue_delayed(&work, LONG), Queued::New);
        assert_eq!(queue.modify_delayed(&work, 2 * LONG), Queued::AlreadyPending);
        assert!(work.cancel());
        assert_eq!(queue.enqueue_delayed(&work, Duration::from_millis(1)), Queued::New);
    }
    ran(&count, 1);
}

#[test]
fn a_delay_that_is_too_long_to_be_told_is_as_long_as_can_be() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = delayed();
    assert_eq!(queue.enqueue_delayed(&work, Duration::MAX), Queued::New);
    assert_eq!(queue.modify_delayed(&work, Duration::MAX), Queued::AlreadyPending);
    let (other, others) = delayed();
    queue.enqueue_delayed(&other, Duration::from_millis(1));
    ran(&others, 1);
    assert!(work.cancel());
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn delayed_work_whose_last_handle_is_dropped_while_it_is_on_its_timer_runs() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = delayed();
    queue.enqueue_delayed(&work, SHORT);
    drop(work);
    ran(&count, 1);
}

#[test]
fn delayed_work_runs_on_the_cpu_that_was_asked_for() {
    let pools = pools();
    let queue = bound(&pools);
    for cpu in cpus() {
        let (sender, ran_on) = mpsc::channel();
        let item = Arc::new(move || sender.send(sched::current_cpu()).unwrap());
        let work = DelayedWork::new("where", item);
        queue.enqueue_delayed_on(cpu, &work, Duration::from_millis(1));
        assert_eq!(ran_on.recv_timeout(DEADLINE).unwrap(), cpu);
    }
}

#[test]
fn delayed_work_expires_in_the_order_of_time() {
    let pools = pools();
    let queue = Workqueue::builder("test").ordered().pools(&pools).build().unwrap();
    let log = Log::default();
    let works: Vec<_> = [100, 50, 200, 10, 150]
        .map(|delay| {
            let log = log.clone();
            let item = Arc::new(move || log.add(delay.to_string()));
            (DelayedWork::new("order", item), Duration::from_millis(delay))
        })
        .into_iter()
        .collect();
    // The wheel rounds up, by less than this.
    let slack = Duration::from_millis(20);
    // An item's time is this long after some moment of its request, however long that took.
    let due = works.iter().map(|(work, delay)| {
        let earliest = Instant::now() + *delay;
        queue.enqueue_delayed(work, *delay);
        (delay.as_millis().to_string(), earliest, Instant::now() + *delay + slack)
    });
    let due: Vec<_> = due.collect();
    wait_for("all of them", || log.take().len() == works.len());
    let log = log.take();
    let place = |name: &String| log.iter().position(|ran| ran == name);
    for (early, _, latest) in &due {
        for (late, ..) in due.iter().filter(|(_, earliest, _)| latest < earliest) {
            assert!(place(early) < place(late), "{early} after {late}: {log:?}");
        }
    }
}

#[test]
fn cancel_delayed_work_takes_it_off_its_timer() {
    let pools = pools();
    let (queue, gate) = shut(&pools);
    let (work, count) = delayed();
    queue.enqueue_delayed(&work, SHORT);
    assert!(work.cancel());
    assert!(!work.is_pending() && !work.cancel());
    gate.open();
    thread::sleep(2 * SHORT);
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 0);
    // And it is as good as new.
    assert_eq!(queue.enqueue_delayed(&work, Duration::from_millis(1)), Queued::New);
    ran(&count, 1);
}

#[test]
fn cancel_delayed_work_takes_it_off_its_queue_too() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    let gate = Gate::new();
    queue.enqueue(&gate.work());
    let (work, count) = delayed();
    queue.enqueue_delayed(&work, Duration::from_millis(1));
    let on_timer = || matches!(work.work().inner.place().at, At::Timer { .. });
    wait_for("the time to be over", || !on_timer());
    assert!(work.cancel());
    gate.open();
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn cancel_delayed_work_sync_waits_and_ends_an_item_that_delays_itself() {
    let pools = pools();
    let queue = Arc::new(bound(&pools));
    let count = Arc::new(AtomicUsize::new(0));
    let (own, counter) = (Arc::downgrade(&queue), Arc::clone(&count));
    let this: Arc<Mutex<Option<DelayedWork>>> = Arc::default();
    let again = Arc::clone(&this);
    let item = Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        if let (Some(queue), Some(work)) = (own.upgrade(), &*again.lock().unwrap()) {
            queue.enqueue_delayed(work, Duration::from_millis(1));
        }
    });
    let work = DelayedWork::new("again", item);
    *this.lock().unwrap() = Some(work.clone());
    queue.enqueue_delayed(&work, Duration::from_millis(1));
    wait_for("some runs", || count.load(Ordering::SeqCst) > 3);
    work.cancel_sync();
    let after = count.load(Ordering::SeqCst);
    thread::sleep(MOMENT);
    assert_eq!(count.load(Ordering::SeqCst), after);
    this.lock().unwrap().take();
}

#[test]
fn mod_delayed_work_of_an_idle_item_queues_it() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = delayed();
    assert_eq!(queue.modify_delayed(&work, Duration::from_millis(1)), Queued::New);
    ran(&count, 1);
}

#[test]
fn mod_delayed_work_of_a_pending_item_moves_its_time_both_ways() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = delayed();
    queue.enqueue_delayed(&work, LONG);
    assert_eq!(queue.modify_delayed(&work, Duration::from_millis(1)), Queued::AlreadyPending);
    ran(&count, 1);
    let (queue, gate) = shut(&pools);
    queue.enqueue_delayed(&work, SHORT);
    assert_eq!(queue.modify_delayed(&work, LONG), Queued::AlreadyPending);
    gate.open();
    thread::sleep(2 * SHORT);
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(work.cancel());
}

#[test]
fn mod_delayed_work_to_zero_queues_it_at_once_whatever_its_state() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = delayed();
    queue.enqueue_delayed(&work, LONG);
    assert_eq!(queue.modify_delayed(&work, Duration::ZERO), Queued::AlreadyPending);
    ran(&count, 1);
    work.flush();
    assert_eq!(queue.modify_delayed(&work, Duration::ZERO), Queued::New);
    ran(&count, 2);
}

#[test]
fn mod_delayed_work_of_an_item_on_its_queue_puts_it_back_on_its_timer() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    let gate = Gate::new();
    queue.enqueue(&gate.work());
    let (work, count) = delayed();
    queue.enqueue_delayed(&work, Duration::ZERO);
    assert_eq!(queue.modify_delayed(&work, LONG), Queued::AlreadyPending);
    gate.open();
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert!(work.cancel());
}

#[test]
fn flush_delayed_work_does_not_wait_for_the_time_and_waits_for_the_run() {
    let pools = pools();
    let (queue, gate) = shut(&pools);
    let (work, count) = delayed();
    assert!(!work.flush());
    queue.enqueue_delayed(&work, LONG);
    let flusher = {
        let work = work.clone();
        thread::spawn(move || work.flush())
    };
    wait_for("the flush", || work.work().inner.idle.has_waiters());
    assert_eq!(count.load(Ordering::SeqCst), 0);
    gate.open();
    assert!(flusher.join().unwrap());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn flush_workqueue_does_not_wait_for_what_is_on_a_timer() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, _) = delayed();
    queue.enqueue_delayed(&work, LONG);
    queue.flush();
    assert!(work.is_pending());
    work.cancel();
}

#[test]
fn delayed_work_of_a_queue_that_is_gone_is_refused_when_its_time_comes() {
    let pools = pools();
    // The queue has to be gone before the time comes: on a busy machine with more time, if it was not.
    let gone_in_time = |delay: Duration| {
        let queue = bound(&pools);
        let (work, count) = delayed();
        let start = Instant::now();
        queue.enqueue_delayed(&work, delay);
        drop(queue);
        let in_time = start.elapsed() < delay;
        wait_for("the refusal", || !work.is_pending());
        assert!(!in_time || count.load(Ordering::SeqCst) == 0);
        in_time
    };
    assert!((0..8).any(|times| gone_in_time(SHORT * (1 << times))));
}

#[test]
fn delayed_work_is_neither_lost_nor_run_too_often_under_many_requests() {
    let pools = pools();
    let queue = unbound(&pools);
    let (work, count) = delayed();
    let (queued, cancelled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for round in 0..2000 {
                    let delay = Duration::from_micros(round % 50);
                    let new = queue.enqueue_delayed(&work, delay).is_new();
                    queued.fetch_add(usize::from(new), Ordering::SeqCst);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..2000 {
                cancelled.fetch_add(usize::from(work.cancel()), Ordering::SeqCst);
            }
        });
    });
    wait_for("the last run", || !work.is_pending() && !work.work().is_running());
    let (queued, cancelled) = (queued.into_inner(), cancelled.into_inner());
    assert_eq!(count.load(Ordering::SeqCst) + cancelled, queued);
}
