//! Several dispatchers, each with softirqs of its own.

use super::*;

#[test]
fn the_same_vector_runs_on_several_dispatchers_at_once() {
    let (first, second) = (bench(), bench());
    let (meet, inside) = (Arc::new(std::sync::Barrier::new(2)), count());
    for (_, softirqs) in [&first, &second] {
        let (meet, counter) = (Arc::clone(&meet), Arc::clone(&inside.1));
        softirqs
            .open(Vector::NetTx, move || {
                // Passed only by two at a time.
                meet.wait();
                counter.fetch_add(1, Ordering::SeqCst);
            })
            .unwrap();
        softirqs.raise(Vector::NetTx);
    }
    wait_until("both", || inside.0.load(Ordering::SeqCst) == 2);
    for (dispatcher, softirqs) in [&first, &second] {
        wait_until("the count", || softirqs.stats().vector(Vector::NetTx).runs == 1);
        assert_eq!(softirqs.stats().dispatcher, dispatcher.number());
    }
}

#[test]
fn a_vector_raised_on_one_dispatcher_is_pending_on_no_other() {
    let (first, second) = (bench(), bench());
    let (runs, counter) = count();
    for (_, softirqs) in [&first, &second] {
        let counter = Arc::clone(&counter);
        let count = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        softirqs.open(Vector::NetTx, count).unwrap();
    }
    let held = [first.1.bh_disable(), second.1.bh_disable()];
    first.1.raise(Vector::NetTx);
    let pending = |softirqs: &Softirqs| softirqs.stats().vector(Vector::NetTx).is_pending;
    assert!(pending(&first.1) && !pending(&second.1));
    drop(held);
    wait_until("the run", || first.1.stats().vector(Vector::NetTx).runs == 1);
    drop(second.1.bh_disable());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(second.1.stats().vector(Vector::NetTx).runs, 0);
}

#[test]
fn a_tasklet_scheduled_by_another_dispatchers_softirq_runs_with_its_own() {
    let (own, other) = (bench(), bench());
    let (seen, threads) = mpsc::channel();
    let tasklet = Tasklet::new(&own.1, "test", move || {
        let _ = seen.send(thread::current().id());
    })
    .unwrap();
    let scheduling = tasklet.clone();
    other
        .1
        .open(Vector::Timer, move || {
            scheduling.schedule();
        })
        .unwrap();
    other.1.raise(Vector::Timer);
    let ran_on = threads.recv_timeout(DEADLINE).unwrap();
    tasklet.schedule();
    assert_eq!(threads.recv_timeout(DEADLINE).unwrap(), ran_on, "wherever it is scheduled from");
    assert_eq!(other.1.stats().vector(Vector::Tasklet).runs, 0);
}

#[test]
#[cfg(debug_assertions)]
fn killing_a_tasklet_in_a_softirq_of_another_dispatcher_is_caught() {
    let (own, other) = (bench(), bench());
    let tasklet = Tasklet::new(&own.1, "test", || ()).unwrap();
    let killed = tasklet.clone();
    let (said, caught) = mpsc::channel();
    other
        .1
        .open(Vector::Timer, move || {
            let kill = std::panic::AssertUnwindSafe(|| killed.kill());
            let _ = said.send(std::panic::catch_unwind(kill).is_err());
        })
        .unwrap();
    other.1.raise(Vector::Timer);
    assert!(caught.recv_timeout(DEADLINE).unwrap());
}
