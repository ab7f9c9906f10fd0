//! Rules about pools: where items run, how many at a time, who is woken, made, replaced, let go and rescued.

use std::sync::mpsc;

use super::super::pool::Pool;
use super::*;

/// The pool that `queue`'s items for `cpu` go to.
fn pool_of(queue: &Workqueue, index: usize) -> Arc<Pool> {
    Arc::clone(&queue.queue.lanes[index].pool)
}

fn spinning(gate: &Arc<Gate>) -> Work {
    let gate = Arc::clone(gate);
    work("spin", move || gate.spin())
}

/// Lets `queue` have a worker in its first lane that is idle, and none on its way.
fn warm_up(queue: &Workqueue) {
    let (work, _) = counting();
    queue.enqueue_on(cpus()[0], &work);
    queue.flush();
    let pool = pool_of(queue, 0);
    let settled = || {
        let state = pool.lock();
        !state.workers.is_empty() && state.idle.len() == state.workers.len() && !state.coming
    };
    // The second worker is the reserve of the first.
    wait_for("idle workers", || settled() && pool.lock().workers.len() == 2);
}

#[test]
fn queue_work_on_runs_the_item_on_that_cpu() {
    let pools = pools();
    let queue = bound(&pools);
    for cpu in cpus() {
        let (sender, ran_on) = mpsc::channel();
        queue.enqueue_on(cpu, &work("where", move || sender.send(sched::current_cpu()).unwrap()));
        assert_eq!(ran_on.recv_timeout(DEADLINE).unwrap(), cpu);
    }
}

#[test]
fn queue_work_runs_the_item_on_the_cpu_of_its_caller() {
    let pools = pools();
    let queue = bound(&pools);
    for cpu in cpus() {
        let (sender, ran_on) = mpsc::channel();
        let item = work("where", move || sender.send(sched::current_cpu()).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                sched::set_affinity(nix::unistd::gettid(), &CpuSet::of([cpu]).unwrap()).unwrap();
                queue.enqueue(&item);
            });
        });
        assert_eq!(ran_on.recv_timeout(DEADLINE).unwrap(), cpu);
    }
}

#[test]
fn queue_work_on_a_cpu_that_cannot_be_used_runs_the_item_elsewhere() {
    let pools = pools();
    let queue = bound(&pools);
    let (work, count) = counting();
    queue.enqueue_on(100_000, &work);
    work.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn no_further_item_starts_while_a_worker_of_the_cpu_runs() {
    let pools = patient_pools();
    let queue = bound(&pools);
    let cpu = cpus()[0];
    let gate = Gate::new();
    queue.enqueue_on(cpu, &spinning(&gate));
    gate.wait_for_waiting(1);
    let (next, count) = counting();
    queue.enqueue_on(cpu, &next);
    thread::sleep(MOMENT);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    gate.open();
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn when_the_last_running_worker_sleeps_on_a_wait_queue_the_next_item_starts() {
    let pools = patient_pools();
    let queue = bound(&pools);
    let cpu = cpus()[0];
    let gate = Gate::new();
    queue.enqueue_on(cpu, &gate.work());
    gate.wait_for_waiting(1);
    let (next, count) = counting();
    queue.enqueue_on(cpu, &next);
    next.flush();
    assert_eq!((count.load(Ordering::SeqCst), gate.waiting()), (1, 1));
    gate.open();
}

#[test]
fn when_the_last_running_worker_sleeps_in_blocking_the_next_item_starts() {
    let pools = patient_pools();
    let queue = bound(&pools);
    let cpu = cpus()[0];
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let blocked = work("blocked", move || {
        // Nested, as a driver's call of a library would be.
        let received = blocking(|| blocking(|| held.lock().unwrap().recv_timeout(DEADLINE)));
        received.unwrap();
    });
    queue.enqueue_on(cpu, &blocked);
    let (next, count) = counting();
    queue.enqueue_on(cpu, &next);
    next.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(blocked.is_running());
    release.send(()).unwrap();
}

#[test]
fn a_worker_that_sleeps_without_a_word_is_noticed_and_replaced() {
    let pools = patient_pools();
    let queue = bound(&pools);
    let cpu = cpus()[0];
    let gate = Gate::new();
    let own = Arc::clone(&gate);
    queue.enqueue_on(cpu, &work("hidden", move || own.wait_hidden()));
    gate.wait_for_waiting(1);
    let (next, count) = counting();
    queue.enqueue_on(cpu, &next);
    next.flush();
    assert_eq!((count.load(Ordering::SeqCst), gate.waiting()), (1, 1));
    gate.open();
}

#[test]
fn an_item_that_keeps_its_cpu_busy_for_long_does_not_hold_up_the_others() {
    let pools = pools();
    let queue = bound(&pools);
    let cpu = cpus()[0];
    let gate = Gate::new();
    queue.enqueue_on(cpu, &spinning(&gate));
    gate.wait_for_waiting(1);
    let (next, count) = counting();
    queue.enqueue_on(cpu, &next);
    next.flush();
    assert_eq!((count.load(Ordering::SeqCst), gate.waiting()), (1, 1));
    gate.open();
}

#[test]
fn the_watchdog_sleeps_when_there_is_nothing_to_see_and_wakes_again() {
    let pools = pools();
    let queue = bound(&pools);
    let cpu = cpus()[0];
    for _ in 0..2 {
        let gate = Gate::new();
        let own = Arc::clone(&gate);
        queue.enqueue_on(cpu, &work("hidden", move || own.wait_hidden()));
        gate.wait_for_waiting(1);
        let (next, _) = counting();
        queue.enqueue_on(cpu, &next);
        next.flush();
        gate.open();
        queue.flush();
        wait_for("the watchdog's sleep", || !pools.services.watch.is_active());
    }
}

/// The first example of the document: w0 sleeps, and w1 and w2 get the CPU meanwhile.
#[test]
fn example_scenario_with_max_active_of_three_or_more() {
    let pools = patient_pools();
    let queue = queue_with(&pools, WqFlags::empty(), 3);
    assert_eq!(scenario(&queue, 2), ["w0 starts", "w1 starts", "w2 starts", "w0 wakes"]);
}

/// The second one: with `max_active` of 2, w2 starts when w0 has finished.
#[test]
fn example_scenario_with_max_active_of_two() {
    let pools = patient_pools();
    let queue = queue_with(&pools, WqFlags::empty(), 2);
    assert_eq!(scenario(&queue, 1), ["w0 starts", "w1 starts", "w0 wakes", "w2 starts"]);
}

/// `beside`: how many may start while w0 sleeps.
fn scenario(queue: &Workqueue, beside: usize) -> Vec<String> {
    let (log, first, rest) = (Log::default(), Gate::new(), Gate::new());
    let item = |name: &'static str, gate: &Arc<Gate>, wakes: bool| {
        let (log, gate) = (log.clone(), Arc::clone(gate));
        work(name, move || {
            log.add(format!("{name} starts"));
            gate.wait();
            if wakes {
                log.add(format!("{name} wakes"));
            }
        })
    };
    let works = [item("w0", &first, true), item("w1", &rest, false), item("w2", &rest, false)];
    works.iter().for_each(|work| assert!(queue.enqueue_on(cpus()[0], work).is_new()));
    wait_for("all that may start", || first.waiting() == 1 && rest.waiting() == beside);
    thread::sleep(MOMENT);
    first.open();
    wait_for("all items", || rest.waiting() == 2 && first.passed() == 1);
    rest.open();
    queue.flush();
    log.take()
}

/// The third one: w1 and w2 are on a CPU-intensive queue, and both start when w0 sleeps.
#[test]
fn example_scenario_with_a_cpu_intensive_queue() {
    let pools = patient_pools();
    let (q0, q1) = (bound(&pools), queue_with(&pools, WqFlags::CPU_INTENSIVE, 0));
    let (cpu, burns, sleeps, rest) = (cpus()[0], Gate::new(), Gate::new(), Gate::new());
    let w0 = {
        let (burns, sleeps) = (Arc::clone(&burns), Arc::clone(&sleeps));
        work("w0", move || {
            burns.spin();
            sleeps.wait();
        })
    };
    q0.enqueue_on(cpu, &w0);
    burns.wait_for_waiting(1);
    let others = [spinning(&rest), spinning(&rest)];
    others.iter().for_each(|work| assert!(q1.enqueue_on(cpu, work).is_new()));
    thread::sleep(MOMENT);
    assert_eq!(rest.waiting(), 0, "w0 burns, and delays them");
    burns.open();
    // Both burn at once, and neither delays the other, nor w0 when it wakes up.
    rest.wait_for_waiting(2);
    sleeps.open();
    w0.flush();
    rest.open();
    q1.flush();
}

#[test]
fn cpu_intensive_is_meaningless_for_an_unbound_queue() {
    let pools = patient_pools();
    let queue = queue_with(&pools, WqFlags::UNBOUND | WqFlags::CPU_INTENSIVE, 0);
    let gate = Gate::new();
    let works = [spinning(&gate), spinning(&gate)];
    works.iter().for_each(|work| assert!(queue.enqueue(work).is_new()));
    gate.wait_for_waiting(2);
    gate.open();
}

#[test]
fn unbound_items_start_as_soon_as_possible_without_concurrency_management() {
    let pools = patient_pools();
    let queue = unbound(&pools);
    let gate = Gate::new();
    let works: Vec<_> = (0..6).map(|_| spinning(&gate)).collect();
    works.iter().for_each(|work| assert!(queue.enqueue(work).is_new()));
    gate.wait_for_waiting(6);
    gate.open();
}

#[test]
fn normal_and_high_priority_pools_do_not_interact() {
    let pools = patient_pools();
    let (normal, high) = (bound(&pools), queue_with(&pools, WqFlags::HIGHPRI, 0));
    let cpu = cpus()[0];
    let gate = Gate::new();
    normal.enqueue_on(cpu, &spinning(&gate));
    gate.wait_for_waiting(1);
    let (work, count) = counting();
    high.enqueue_on(cpu, &work);
    work.flush();
    assert_eq!((count.load(Ordering::SeqCst), gate.waiting()), (1, 1));
    gate.open();
}

#[test]
fn high_priority_workers_have_an_elevated_nice_level() {
    let pools = pools();
    let high = queue_with(&pools, WqFlags::HIGHPRI, 0);
    let (sender, stat) = mpsc::channel();
    let read = move || std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    high.enqueue(&work("nice", move || sender.send(read()).unwrap()));
    let stat = stat.recv_timeout(DEADLINE).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let nice: i32 = fields.split(' ').nth(16).unwrap().parse().unwrap();
    // Where the process may; otherwise it runs as all others.
    let permitted =
        sched::set_scheduler(nix::unistd::gettid(), crate::kthread::Scheduler::Other { nice: -20 });
    assert_eq!(nice == -20, permitted.is_ok(), "nice is {nice}");
}

#[test]
fn cpu_intensive_items_do_not_keep_others_from_starting() {
    let pools = patient_pools();
    let cpu = cpus()[0];
    let (normal, intensive) = (bound(&pools), queue_with(&pools, WqFlags::CPU_INTENSIVE, 0));
    let gate = Gate::new();
    intensive.enqueue_on(cpu, &spinning(&gate));
    gate.wait_for_waiting(1);
    let (work, count) = counting();
    normal.enqueue_on(cpu, &work);
    work.flush();
    assert_eq!((count.load(Ordering::SeqCst), gate.waiting()), (1, 1));
    gate.open();
}

#[test]
fn other_items_can_delay_the_start_of_cpu_intensive_ones() {
    let pools = patient_pools();
    let cpu = cpus()[0];
    let (normal, intensive) = (bound(&pools), queue_with(&pools, WqFlags::CPU_INTENSIVE, 0));
    let gate = Gate::new();
    normal.enqueue_on(cpu, &spinning(&gate));
    gate.wait_for_waiting(1);
    let (work, count) = counting();
    intensive.enqueue_on(cpu, &work);
    thread::sleep(MOMENT);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    gate.open();
    work.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// A worker that waits for the pool's lock is taken for one that sleeps, if the watchdog looks just then; on a
/// busy machine that happens, and wakes another for nothing. But not time after time.
#[test]
fn a_burst_of_64_items_wakes_once() {
    let one_wake_up = (1, 2);
    let wakes: Vec<_> = (0..5).map(|_| burst()).take_while(|woken| *woken != one_wake_up).collect();
    assert!(wakes.len() < 5, "wake-ups and workers: {wakes:?}");
}

/// How many wake-ups a burst of 64 items costs, and how many workers there are after it.
fn burst() -> (u64, usize) {
    let pools = patient_pools();
    let queue = bound(&pools);
    warm_up(&queue);
    let (pool, cpu, gate) = (pool_of(&queue, 0), cpus()[0], Gate::new());
    let before = pool.wakes.load(Ordering::SeqCst);
    // So that a worker that is faster than the burst does not fall asleep in it, and is woken anew.
    queue.enqueue_on(cpu, &spinning(&gate));
    let (works, counts): (Vec<_>, Vec<_>) = (0..63).map(|_| counting()).unzip();
    for work in &works {
        queue.enqueue_on(cpu, work);
    }
    gate.wait_for_waiting(1);
    gate.open();
    queue.flush();
    assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    (pool.wakes.load(Ordering::SeqCst) - before, pool.lock().workers.len())
}

#[test]
fn workers_are_named_after_their_cpu_and_priority() {
    let pools = pools();
    let name_in = |flags| {
        let queue = queue_with(&pools, flags, 0);
        let (sender, name) = mpsc::channel();
        let item = work("name", move || sender.send(name_of_thread()).unwrap());
        queue.enqueue_on(cpus()[0], &item);
        name.recv_timeout(DEADLINE).unwrap()
    };
    let (cpu, unbound) = (cpus()[0], cpus().iter().max().unwrap() + 1);
    assert_eq!(name_in(WqFlags::empty()), format!("kworker/{cpu}:0"));
    assert_eq!(name_in(WqFlags::HIGHPRI), format!("kworker/{cpu}:0H"));
    assert_eq!(name_in(WqFlags::UNBOUND), format!("kworker/u{unbound}:0"));
    let high = WqFlags::UNBOUND | WqFlags::HIGHPRI;
    assert_eq!(name_in(high), format!("kworker/u{}:0H", unbound + 1));
}

#[test]
fn idle_workers_go_after_a_while_and_two_stay() {
    let mut config = Config::new(cpus());
    config.idle_timeout = Duration::from_millis(30);
    let pools = Pools::new(config).unwrap();
    let queue = unbound(&pools);
    let (pool, gate) = (pool_of(&queue, 0), Gate::new());
    let works: Vec<_> = (0..8).map(|_| gate.work()).collect();
    works.iter().for_each(|work| assert!(queue.enqueue(work).is_new()));
    gate.wait_for_waiting(8);
    assert!(pool.lock().workers.len() >= 8);
    gate.open();
    queue.flush();
    wait_for("the workers to go", || pool.lock().workers.len() == 2);
    thread::sleep(2 * MOMENT);
    assert_eq!(pool.lock().workers.len(), 2);
    // Those that stayed still work.
    let (work, count) = counting();
    queue.enqueue(&work);
    queue.flush();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_rescuer_runs_the_items_when_no_worker_can_be_made() {
    let pools = pools();
    pools.services.config.fail_creation.store(true, Ordering::SeqCst);
    let queue = queue_with(&pools, WqFlags::MEM_RECLAIM, 0);
    let plain = bound(&pools);
    let names = Log::default();
    let works: Vec<_> = (0..5)
        .map(|_| {
            let names = names.clone();
            work("rescued", move || names.add(name_of_thread()))
        })
        .collect();
    let (waits, waited) = counting();
    plain.enqueue_on(cpus()[0], &waits);
    works.iter().for_each(|work| assert!(queue.enqueue_on(cpus()[0], work).is_new()));
    queue.flush();
    assert_eq!(names.take(), ["kworker/R-test"; 5]);
    assert_eq!(waited.load(Ordering::SeqCst), 0, "it has no rescuer");

    pools.services.config.fail_creation.store(false, Ordering::SeqCst);
    plain.flush();
    assert_eq!(waited.load(Ordering::SeqCst), 1, "a worker was made in the end");
}

#[test]
fn a_rescuer_helps_when_all_workers_sleep_and_no_further_one_can_be_made() {
    let pools = pools();
    let (plain, reclaim) = (bound(&pools), queue_with(&pools, WqFlags::MEM_RECLAIM, 0));
    warm_up(&plain);
    pools.services.config.fail_creation.store(true, Ordering::SeqCst);
    let (cpu, gate) = (cpus()[0], Gate::new());
    let sleepers = [gate.work(), gate.work()];
    sleepers.iter().for_each(|work| assert!(plain.enqueue_on(cpu, work).is_new()));
    gate.wait_for_waiting(2);
    // What they wait for is done by this one.
    let opener = Arc::clone(&gate);
    reclaim.enqueue_on(cpu, &work("write back", move || opener.open()));
    plain.flush();
    assert_eq!(gate.passed(), 2);
}

#[test]
fn items_of_the_pools_end_before_the_pools() {
    let count = {
        let pools = pools();
        let queue = bound(&pools);
        let (work, count) = counting();
        for &cpu in &cpus() {
            queue.enqueue_on(cpu, &work);
        }
        count
    };
    assert!(count.load(Ordering::SeqCst) >= 1);
    assert_eq!(Arc::strong_count(&count), 1, "no thread is left that has it");
}
