//! When `ksoftirqd` takes over, and when it hands back.

use super::*;

#[test]
fn after_ten_rounds_ksoftirqd_takes_over_and_hands_back_when_nothing_is_pending() {
    let (dispatcher, softirqs) = bench();
    let daemon = format!("ksoftirqd/{}", dispatcher.number());
    let Endless { stop, threads } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || threads.lock().unwrap().contains(&daemon));
    {
        let threads = threads.lock().unwrap();
        let on_dispatcher = threads.iter().take_while(|name| **name == "irq/test").count();
        // Fewer where 2 ms are over before.
        assert!((1..=10).contains(&on_dispatcher), "{on_dispatcher} rounds");
        assert!(threads.iter().skip(on_dispatcher).all(|name| *name == daemon));
    }
    stop.store(true, Ordering::SeqCst);
    wait_until("the hand-back", || !softirqs.engine.gate.is_handed_over());
    threads.lock().unwrap().clear();
    softirqs.raise(Vector::Block);
    wait_until("a run", || threads.lock().unwrap().len() == 1);
    assert_eq!(*threads.lock().unwrap(), ["irq/test"]);
    let stats = softirqs.stats();
    assert!(stats.handed_over == 1 && stats.daemon_turns > 0, "{stats:?}");
}

#[test]
fn after_two_milliseconds_ksoftirqd_takes_over() {
    let (_dispatcher, softirqs) = bench();
    let weak = Arc::downgrade(&softirqs);
    let (runs, counter) = count();
    softirqs
        .open(Vector::Block, move || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(3) {
                std::hint::spin_loop();
            }
            if counter.fetch_add(1, Ordering::SeqCst) < 4 {
                weak.upgrade().unwrap().raise(Vector::Block);
            }
        })
        .unwrap();
    softirqs.raise(Vector::Block);
    wait_until("five runs", || runs.load(Ordering::SeqCst) == 5);
    assert_eq!(softirqs.stats().handed_over, 1, "before the tenth round");
}

#[test]
fn while_ksoftirqd_runs_the_dispatcher_serves_its_lines_and_leaves_softirqs_to_it() {
    struct Count(AtomicU64);
    impl crate::irq::AfterHook for Count {
        fn run(&self) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            false
        }
    }
    let (dispatcher, softirqs) = bench();
    let turns = Arc::new(Count(AtomicU64::new(0)));
    let hook: Arc<dyn crate::irq::AfterHook> = turns.clone();
    dispatcher.add_after_hook(&hook);
    let Endless { stop, threads } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || softirqs.engine.gate.is_handed_over());
    let before = turns.0.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(10));
    assert!(turns.0.load(Ordering::SeqCst) <= before + 1, "nothing keeps the dispatcher busy");
    threads.lock().unwrap().clear();
    dispatcher.shared().kick();
    wait_until("a turn", || turns.0.load(Ordering::SeqCst) > before);
    wait_until("runs", || threads.lock().unwrap().len() > 10);
    assert!(threads.lock().unwrap().iter().all(|name| name.starts_with("ksoftirqd/")));
    stop.store(true, Ordering::SeqCst);
}

#[test]
fn a_tasklet_never_runs_beside_itself_between_dispatcher_and_ksoftirqd() {
    let (dispatcher, softirqs) = bench();
    let Endless { stop, .. } = endless(&softirqs);
    let (inside, beside) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (runs, counter) = count();
    let seen = Arc::clone(&beside);
    let tasklet = Tasklet::new(&softirqs, "test", move || {
        if inside.swap(true, Ordering::SeqCst) {
            seen.store(true, Ordering::SeqCst);
        }
        thread::yield_now();
        counter.fetch_add(1, Ordering::SeqCst);
        inside.store(false, Ordering::SeqCst);
    })
    .unwrap();
    // The endless vector comes and goes, so that the softirqs move between the two threads.
    for round in 1..=20 {
        stop.store(false, Ordering::SeqCst);
        softirqs.raise(Vector::Block);
        wait_until("the hand-over", || softirqs.stats().handed_over == round);
        for _ in 0..20 {
            tasklet.schedule();
            dispatcher.shared().kick();
            thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
        tasklet.schedule();
        wait_until("the hand-back", || !softirqs.engine.gate.is_handed_over());
        tasklet.schedule();
    }
    tasklet.kill();
    assert!(!beside.load(Ordering::SeqCst));
    assert!(runs.load(Ordering::SeqCst) > 0, "kill waits for what is scheduled");
}

#[test]
fn a_softirq_is_in_softirq_and_not_in_hardirq_on_ksoftirqd_too() {
    let (_dispatcher, softirqs) = bench();
    let wrong = Arc::new(AtomicBool::new(false));
    let (seen, weak) = (Arc::clone(&wrong), Arc::downgrade(&softirqs));
    let (runs, counter) = count();
    softirqs
        .open(Vector::Timer, move || {
            if !in_softirq() || in_hardirq() {
                seen.store(true, Ordering::SeqCst);
            }
            if counter.fetch_add(1, Ordering::SeqCst) < 50 {
                weak.upgrade().unwrap().raise(Vector::Timer);
            }
        })
        .unwrap();
    softirqs.raise(Vector::Timer);
    wait_until("51 runs", || runs.load(Ordering::SeqCst) == 51);
    assert!(!wrong.load(Ordering::SeqCst));
}

#[test]
fn the_dispatcher_may_end_while_ksoftirqd_runs() {
    let (dispatcher, softirqs) = bench();
    let Endless { stop: _, threads } = endless(&softirqs);
    softirqs.raise(Vector::Block);
    wait_until("the hand-over", || softirqs.engine.gate.is_handed_over());
    drop(dispatcher);
    wait_until("the hand-back", || !softirqs.engine.gate.is_handed_over());
    let runs = threads.lock().unwrap().len();
    thread::sleep(Duration::from_millis(2));
    assert_eq!(threads.lock().unwrap().len(), runs, "it has ended");
}
