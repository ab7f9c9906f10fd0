//! Rules about queues: order, `max_active`, flush, drain, destruction, freezing, the system's own.

use super::*;

#[test]
fn an_ordered_queue_runs_one_item_at_a_time_in_the_order_of_queueing() {
    let pools = pools();
    let queue = Workqueue::builder("test").ordered().pools(&pools).build().unwrap();
    let (log, inside) = (Log::default(), Arc::new(AtomicUsize::new(0)));
    let works: Vec<_> = (0..50)
        .map(|number| {
            let (log, inside) = (log.clone(), Arc::clone(&inside));
            work("ordered", move || {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                if number % 10 == 0 {
                    blocking(|| thread::sleep(Duration::from_millis(2)));
                }
                log.add(number.to_string());
                inside.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    works.iter().for_each(|work| assert!(queue.enqueue(work).is_new()));
    queue.flush();
    assert_eq!(log.take(), (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn at_most_max_active_items_are_under_way_and_the_others_follow_in_order() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 3);
    let gate = Gate::new();
    let works: Vec<_> = (0..10).map(|_| gate.work()).collect();
    works.iter().for_each(|work| assert!(queue.enqueue(work).is_new()));
    gate.wait_for_waiting(3);
    thread::sleep(MOMENT);
    assert_eq!(gate.waiting(), 3);
    gate.open();
    queue.flush();
    assert_eq!(gate.passed(), 10);
}

#[test]
fn max_active_counts_for_each_cpu_of_a_bound_queue() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::empty(), 2);
    let gate = Gate::new();
    let works: Vec<_> =
        cpus().iter().flat_map(|&cpu| [cpu; 4]).map(|cpu| (cpu, gate.work())).collect();
    works.iter().for_each(|(cpu, work)| assert!(queue.enqueue_on(*cpu, work).is_new()));
    gate.wait_for_waiting(2 * cpus().len());
    thread::sleep(MOMENT);
    assert_eq!(gate.waiting(), 2 * cpus().len());
    gate.open();
    queue.flush();
}

#[test]
fn a_cancelled_item_that_was_active_makes_room_for_the_next() {
    let pools = patient_pools();
    let cpu = cpus()[0];
    let (queue, limited) = (bound(&pools), queue_with(&pools, WqFlags::empty(), 1));
    let gate = Gate::new();
    let own = Arc::clone(&gate);
    queue.enqueue_on(cpu, &work("spin", move || own.spin()));
    gate.wait_for_waiting(1);
    let (first, firsts) = counting();
    let (second, seconds) = counting();
    limited.enqueue_on(cpu, &first);
    limited.enqueue_on(cpu, &second);
    assert!(first.cancel());
    gate.open();
    limited.flush();
    assert_eq!((firsts.load(Ordering::SeqCst), seconds.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn no_max_active_means_the_default_and_there_is_an_upper_limit() {
    let pools = pools();
    let max_active = |items| format!("{:?}", queue_with(&pools, WqFlags::empty(), items));
    assert!(max_active(0).contains("max_active: 1024"));
    assert!(max_active(16).contains("max_active: 16"));
    assert!(max_active(1_000_000).contains("max_active: 2048"));
}

#[test]
fn flush_workqueue_waits_for_what_is_queued_and_not_for_what_comes_later() {
    let pools = pools();
    let queue = Arc::new(unbound(&pools));
    let (gate, later) = (Gate::new(), Gate::new());
    queue.enqueue(&gate.work());
    gate.wait_for_waiting(1);
    let flusher = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.flush())
    };
    // It waits once it has noted what is queued.
    wait_for("the flush", || queue.queue.shared.idle.has_waiters());
    assert!(!flusher.is_finished());
    queue.enqueue(&later.work());
    later.wait_for_waiting(1);
    gate.open();
    flusher.join().unwrap();
    assert_eq!((gate.passed(), later.waiting()), (1, 1));
    later.open();
    queue.flush();
    assert_eq!(later.passed(), 1);
}

#[test]
fn flush_workqueue_counts_items_that_max_active_holds_back() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    for _ in 0..10 {
        let (works, counts): (Vec<_>, Vec<_>) = (0..20).map(|_| counting()).unzip();
        works.iter().for_each(|work| assert!(queue.enqueue(work).is_new()));
        queue.flush();
        assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    }
}

#[test]
fn flushes_of_several_threads_all_end() {
    let pools = pools();
    let queue = bound(&pools);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let (work, count) = counting();
                    queue.enqueue(&work);
                    queue.flush();
                    assert_eq!(count.load(Ordering::SeqCst), 1);
                }
            });
        }
    });
}

#[test]
fn flush_or_drain_by_an_item_of_the_queue_does_not_wait_for_itself() {
    let pools = pools();
    let queue = Arc::new(unbound(&pools));
    let (own, ended) = (Arc::downgrade(&queue), Gate::new());
    let end = Arc::clone(&ended);
    queue.spawn(move || {
        let queue = own.upgrade().unwrap();
        queue.flush();
        queue.drain();
        drop(queue);
        end.open();
    });
    wait_for("the item's end", || ended.is_open());
}

#[test]
fn drain_workqueue_lets_items_queue_further_ones_and_refuses_all_others() {
    let pools = pools();
    let queue = Arc::new(unbound(&pools));
    let (gate, count) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (own, door, counter) = (Arc::downgrade(&queue), Arc::clone(&gate), Arc::clone(&count));
    let chain = work("chain", move || {
        door.wait();
        if counter.fetch_add(1, Ordering::SeqCst) < 20 {
            let queue = own.upgrade().unwrap();
            assert!(queue.enqueue(&current_work().unwrap()).is_new());
        }
    });
    queue.enqueue(&chain);
    gate.wait_for_waiting(1);
    let drainer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.drain())
    };
    let (other, others) = counting();
    wait_for("the drain", || match queue.enqueue(&other) {
        Queued::Refused => true,
        _ => {
            other.flush();
            false
        }
    });
    let before = others.load(Ordering::SeqCst);
    assert!(!other.is_pending());
    gate.open();
    drainer.join().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 21, "the chain ran to its end");
    assert_eq!(queue.enqueue(&other), Queued::New, "the drain is over");
    other.flush();
    assert_eq!(others.load(Ordering::SeqCst), before + 1);
}

#[test]
fn destroying_a_queue_runs_what_is_pending_first() {
    let pools = pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND, 1);
    let (works, counts): (Vec<_>, Vec<_>) = (0..50).map(|_| counting()).unzip();
    works.iter().for_each(|work| assert!(queue.enqueue(work).is_new()));
    drop(queue);
    assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
}

#[test]
fn a_queue_can_be_destroyed_by_its_last_item() {
    let pools = pools();
    let queue = Arc::new(unbound(&pools));
    let (own, ended) = (Mutex::new(Some(Arc::clone(&queue))), Gate::new());
    let (door, end) = (Gate::new(), Arc::clone(&ended));
    let wait = Arc::clone(&door);
    queue.spawn(move || {
        wait.wait();
        drop(own.lock().unwrap().take());
        end.open();
    });
    drop(queue);
    door.open();
    wait_for("the end", || ended.is_open());
}

#[test]
fn a_frozen_queue_finishes_what_runs_and_starts_nothing_until_it_is_thawed() {
    let pools = pools();
    let freezable = queue_with(&pools, WqFlags::FREEZABLE | WqFlags::UNBOUND, 0);
    let other = unbound(&pools);
    let gate = Gate::new();
    freezable.enqueue(&gate.work());
    gate.wait_for_waiting(1);
    let freezer = {
        let pools = Arc::clone(&pools);
        thread::spawn(move || pools.freeze())
    };
    thread::sleep(MOMENT);
    assert!(!freezer.is_finished(), "it waits for what runs");
    gate.open();
    freezer.join().unwrap();

    let (held, helds) = counting();
    let (free, frees) = counting();
    assert_eq!(freezable.enqueue(&held), Queued::New);
    other.enqueue(&free);
    other.flush();
    let born_frozen = queue_with(&pools, WqFlags::FREEZABLE, 0);
    let (late, lates) = counting();
    born_frozen.enqueue(&late);
    thread::sleep(MOMENT);
    let runs = [&helds, &frees, &lates].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(runs, [0, 1, 0]);

    pools.thaw();
    freezable.flush();
    born_frozen.flush();
    assert_eq!([&helds, &lates].map(|count| count.load(Ordering::SeqCst)), [1, 1]);
}

#[test]
fn a_closure_can_be_run_once() {
    let pools = pools();
    let queue = bound(&pools);
    let gate = Gate::new();
    let owned = Arc::clone(&gate);
    assert_eq!(queue.spawn(move || owned.open()), Queued::New);
    queue.flush();
    assert!(gate.is_open());
    wait_for("what it owned to be freed", || Arc::strong_count(&gate) == 1);
}

#[test]
fn the_system_queues_run_what_is_scheduled_each_in_its_way() {
    let queues = [
        (system(), WqFlags::empty()),
        (system_highpri(), WqFlags::HIGHPRI),
        (system_long(), WqFlags::empty()),
        (system_unbound(), WqFlags::UNBOUND),
        (system_freezable(), WqFlags::FREEZABLE),
    ];
    for (queue, flags) in queues {
        assert_eq!(queue.queue.shared.flags, flags, "{queue:?}");
        let (work, count) = counting();
        assert_eq!(queue.enqueue(&work), Queued::New);
        work.flush();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
    let (work, count) = counting();
    schedule_work(&work);
    work.flush();
    schedule_work_on(cpus()[0], &work);
    work.flush();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn freeze_and_thaw_reach_the_system_queue() {
    freeze();
    let (work, count) = counting();
    system_freezable().enqueue(&work);
    let (free, frees) = counting();
    system().enqueue(&free);
    free.flush();
    thread::sleep(MOMENT);
    assert_eq!((count.load(Ordering::SeqCst), frees.load(Ordering::SeqCst)), (0, 1));
    thaw();
    work.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_queue_whose_name_cannot_be_shown_is_refused() {
    let error = Workqueue::builder("a\0b").build().unwrap_err();
    assert_eq!(error.errno(), crate::Errno::EINVAL);
}

#[test]
#[cfg(debug_assertions)]
fn waiting_calls_are_caught_in_a_top_half_and_enqueue_is_not() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use crate::sync::context::{Level, enter};

    let pools = pools();
    let queue = bound(&pools);
    let (work, _) = counting();
    let caught = |call: &dyn Fn()| {
        let _irq = enter(Level::HardIrq);
        catch_unwind(AssertUnwindSafe(call)).is_err()
    };
    let must_not: [&dyn Fn(); 4] =
        [&|| queue.flush(), &|| queue.drain(), &|| assert!(!work.flush()), &|| {
            assert!(!work.cancel_sync());
        }];
    assert!(must_not.into_iter().all(caught));
    assert!(!caught(&|| assert!(queue.enqueue(&work).is_new())));
    assert!(!caught(&|| assert!(work.cancel() || !work.is_pending())));
}
