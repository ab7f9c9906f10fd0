//! Timers as the softirq `TIMER`: a test per rule of `run_timer_softirq` and of what holds for every softirq.

use super::*;
use crate::error::Errno;
use crate::softirq::{Softirqs, Vector};

fn softirqs(bench: &Bench) -> Arc<Softirqs> {
    Softirqs::attach(&bench.dispatcher)
}

fn name_of_thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

/// Moves the softirqs of a dispatcher to its `ksoftirqd`, until dropped.
struct Overload(Arc<AtomicBool>);

impl Overload {
    fn of(softirqs: &Arc<Softirqs>) -> Self {
        let (stop, weak) = (Arc::new(AtomicBool::new(false)), Arc::downgrade(softirqs));
        let stopped = Arc::clone(&stop);
        let again = move || {
            if !stopped.load(Ordering::SeqCst)
                && let Some(softirqs) = weak.upgrade()
            {
                softirqs.raise(Vector::Block);
            }
        };
        softirqs.open(Vector::Block, again).unwrap();
        softirqs.raise(Vector::Block);
        wait_until("the hand-over", || softirqs.stats().handed_over > 0);
        Self(stop)
    }
}

impl Drop for Overload {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn timers_run_as_the_softirq_timer_and_are_counted_there() {
    let bench = bench();
    let softirqs = softirqs(&bench);
    let (count, timer) = bench.counting();
    timer.modify(now_jiffies());
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
    wait_until("the count", || softirqs.stats().vector(Vector::Timer).runs > 0);
    assert_eq!(softirqs.stats().vector(Vector::HrTimer).runs, 0);
}

#[test]
fn local_bh_disable_keeps_timers_from_expiring() {
    let bench = bench();
    let softirqs = softirqs(&bench);
    let (count, timer) = bench.counting();
    let held = softirqs.bh_disable();
    timer.modify(now_jiffies());
    let over = now_jiffies() + msecs_to_jiffies(20);
    wait_until("its time", || now_jiffies().is_after(over));
    assert!(count.load(Ordering::SeqCst) == 0 && timer.is_pending());
    drop(held);
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_storm_of_timers_is_left_to_ksoftirqd() {
    let bench = bench();
    let softirqs = softirqs(&bench);
    let threads = Arc::new(Mutex::new(Vec::new()));
    let timers: Vec<Timer> = (0..200)
        .map(|_| {
            let threads = Arc::clone(&threads);
            bench.timer(move |_| {
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(100) {
                    std::hint::spin_loop();
                }
                threads.lock().unwrap().push(name_of_thread());
            })
        })
        .collect();
    let held = softirqs.bh_disable();
    timers.iter().for_each(|timer| assert!(!timer.modify(now_jiffies())));
    let over = now_jiffies() + msecs_to_jiffies(5);
    wait_until("their time", || now_jiffies().is_after(over));
    drop(held);
    wait_until("all of them", || threads.lock().unwrap().len() == timers.len());
    let threads = threads.lock().unwrap();
    let daemon = format!("ksoftirqd/{}", bench.dispatcher.number());
    assert_eq!(threads[0], "irq/test");
    assert_eq!(*threads.last().unwrap(), daemon, "20 ms of work are more than its 2");
    assert_eq!(softirqs.stats().handed_over, 1);
}

#[test]
fn del_timer_sync_waits_for_a_callback_in_ksoftirqd() {
    let bench = bench();
    let softirqs = softirqs(&bench);
    let overload = Overload::of(&softirqs);
    let done = Arc::new(AtomicBool::new(false));
    let (finished, (tell, thread)) = (Arc::clone(&done), mpsc::channel());
    let (timer, release) = bench.running(move |context| {
        context.modify(now_jiffies());
        let _ = tell.send(name_of_thread());
        finished.store(true, Ordering::SeqCst);
    });
    let deleter = {
        let (timer, done) = (timer.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            timer.delete_sync();
            done.load(Ordering::SeqCst)
        })
    };
    wait_until("the wait", || bench.base.waiters() == 1);
    assert!(!deleter.is_finished());
    drop(release);
    assert!(deleter.join().unwrap(), "it returned before the callback did");
    assert!(!timer.is_pending(), "the callback could not start it again");
    assert!(thread.recv_timeout(DEADLINE).unwrap().starts_with("ksoftirqd/"));
    drop(overload);
}

#[test]
fn del_timer_sync_in_a_softirq_of_its_dispatcher_does_not_wait_in_ksoftirqd_either() {
    let bench = bench();
    let softirqs = softirqs(&bench);
    let overload = Overload::of(&softirqs);
    let own: Arc<Mutex<Option<Timer>>> = Arc::new(Mutex::new(None));
    let (inner, (done, finished)) = (Arc::clone(&own), mpsc::channel());
    let timer = bench.timer(move |context| {
        context.modify(far());
        let was_pending = inner.lock().unwrap().as_ref().unwrap().delete_sync();
        done.send((was_pending, name_of_thread(), context::in_softirq())).unwrap();
    });
    *own.lock().unwrap() = Some(timer.clone());
    timer.modify(now_jiffies());
    let (was_pending, thread, in_softirq) = finished.recv_timeout(DEADLINE).unwrap();
    assert!(was_pending && in_softirq && thread.starts_with("ksoftirqd/"), "{thread}");
    assert!(!timer.is_pending());
    drop(overload);
    own.lock().unwrap().take();
}

#[test]
fn a_timer_never_runs_beside_itself_between_dispatcher_and_ksoftirqd() {
    let bench = bench();
    let softirqs = softirqs(&bench);
    let (inside, beside) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let runs = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let (seen, count) = (Arc::clone(&beside), Arc::clone(&runs));
    let timer = bench.timer(move |context| {
        if inside.swap(true, Ordering::SeqCst) {
            seen.store(true, Ordering::SeqCst);
        }
        std::thread::yield_now();
        let in_daemon = name_of_thread().starts_with("ksoftirqd/");
        count[usize::from(in_daemon)].fetch_add(1, Ordering::SeqCst);
        context.modify(now_jiffies());
        inside.store(false, Ordering::SeqCst);
    });
    let runs = |in_daemon| runs[usize::from(in_daemon)].load(Ordering::SeqCst);
    let overload = Overload::of(&softirqs);
    // The storm of another vector comes and goes, so that the softirqs move between the two threads. On a busy
    // machine the timer alone keeps ksoftirqd at it, and so it is stopped for the way back.
    for _ in 0..10 {
        let before = runs(true);
        overload.0.store(false, Ordering::SeqCst);
        softirqs.raise(Vector::Block);
        timer.modify(now_jiffies());
        wait_until("a run in ksoftirqd", || runs(true) > before);
        overload.0.store(true, Ordering::SeqCst);
        timer.delete_sync();
        wait_until("the hand-back", || !softirqs.stats().is_handed_over);
        let before = runs(false);
        timer.modify(now_jiffies());
        wait_until("a run on the dispatcher", || runs(false) > before);
    }
    timer.delete_sync();
    assert!(!beside.load(Ordering::SeqCst));
}

#[test]
fn the_vector_of_timers_cannot_be_opened_and_one_that_is_open_has_no_timers() {
    let bench = bench();
    let error = softirqs(&bench).open(Vector::Timer, || ()).unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY);
    assert!(error.to_string().contains("belongs to timers"), "{error}");
    let other = Dispatcher::start("irq/test").unwrap();
    Softirqs::attach(&other).open(Vector::Timer, || ()).unwrap();
    let error = TimerBase::attach(&other).unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY);
    assert!(error.to_string().contains("TIMER"), "{error}");
}

#[test]
fn a_dispatcher_may_have_several_timer_bases() {
    let bench = bench();
    let other = Bench {
        base: TimerBase::attach(&bench.dispatcher).unwrap(),
        dispatcher: Dispatcher::start("irq/test").unwrap(),
    };
    let ((count, timer), (others, other_timer)) = (bench.counting(), other.counting());
    other_timer.modify(now_jiffies());
    wait_until("the other's run", || others.load(Ordering::SeqCst) == 1);
    assert_eq!((count.load(Ordering::SeqCst), bench.base.stats().armed), (0, 0));
    timer.modify(now_jiffies());
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
    wait_until("the counts", || bench.base.stats().expired == 1 && other.base.stats().expired == 1);
}

#[test]
fn a_deferrable_timer_that_is_due_while_softirqs_are_disabled_runs_afterwards() {
    let bench = bench();
    let softirqs = softirqs(&bench);
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let lazy = Timer::with_flags(&bench.base, "lazy", TimerFlags::DEFERRABLE, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let held = softirqs.bh_disable();
    let expires = now_jiffies();
    lazy.modify(expires);
    wait_until("its time", || now_jiffies().is_after(expires + Jiffies::new(5)));
    bench.dispatcher.shared().kick();
    wait_until("the look", || bench.base.deferrable_is_noted());
    assert_eq!(count.load(Ordering::SeqCst), 0);
    drop(held);
    wait_until("the run", || count.load(Ordering::SeqCst) == 1);
}
