//! Every interleaving of those who queue an item, run it and cancel it, over the real state word. The list
//! stands for a pool's: it is locked where the pool is locked.

use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::*;
use crate::sync::WaitQueue;

#[derive(Clone, Copy, Default)]
struct Places {
    listed: bool,
    aside: bool,
}

struct Model {
    state: State,
    places: Mutex<Places>,
    idle: WaitQueue,
    busy: AtomicBool,
    /// What the callers write before they queue, and the last value that a run saw.
    data: AtomicUsize,
    seen: AtomicUsize,
    runs: AtomicUsize,
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            state: State::new(),
            places: Mutex::new(Places::default()),
            idle: WaitQueue::new(),
            busy: AtomicBool::new(false),
            data: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            runs: AtomicUsize::new(0),
        })
    }

    /// As `Queue::enqueue`. Whether this call queued it.
    fn enqueue(&self) -> bool {
        if self.state.merge() {
            return false;
        }
        let mut places = self.places.lock().unwrap();
        let won = self.state.enter() == Entry::Won;
        if won {
            assert!(!places.listed, "queued twice");
            places.listed = true;
        }
        won
    }

    /// As a worker that looks once.
    fn work(&self) {
        let start = {
            let mut places = self.places.lock().unwrap();
            if !places.listed {
                return;
            }
            places.listed = false;
            let start = self.state.start();
            places.aside = start == Start::SetAside;
            start
        };
        if start == Start::SetAside {
            return;
        }
        assert!(!self.busy.swap(true, Ordering::Relaxed), "it runs beside itself");
        self.seen.store(self.data.load(Ordering::Relaxed), Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.busy.store(false, Ordering::Relaxed);
        if self.state.finish() {
            let mut places = self.places.lock().unwrap();
            if std::mem::take(&mut places.aside) {
                places.listed = true;
            }
        }
        self.idle.wake_all();
    }

    /// As `Work::cancel`. Whether it was pending.
    fn cancel(&self) -> bool {
        let mut places = self.places.lock().unwrap();
        let found = places.listed || places.aside;
        if found {
            *places = Places::default();
            self.state.withdraw();
        }
        found
    }

    /// What remains is run, as the workers would in the end.
    fn settle(&self) {
        self.work();
        self.work();
        assert!(!self.state.is_pending() && !self.state.is_running());
    }
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

#[test]
fn loom_a_request_while_it_runs_makes_it_run_again_and_the_run_sees_what_was_written() {
    check(3, || {
        let model = Model::new();
        let worker = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.work();
                model.work();
            })
        };
        for value in 1..=2 {
            model.data.store(value, Ordering::Relaxed);
            model.enqueue();
        }
        worker.join().unwrap();
        model.settle();
        assert_eq!(model.seen.load(Ordering::Relaxed), 2, "the last request had its run");
    });
}

#[test]
fn loom_two_workers_never_run_it_beside_itself_and_never_lose_it() {
    check(3, || {
        let model = Model::new();
        let workers = [(); 2].map(|()| {
            let model = Arc::clone(&model);
            thread::spawn(move || model.work())
        });
        let mut queued = 0;
        for value in 1..=2 {
            model.data.store(value, Ordering::Relaxed);
            queued += usize::from(model.enqueue());
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        model.settle();
        assert_eq!(model.runs.load(Ordering::Relaxed), queued, "one run for each that was queued");
        assert_eq!(model.seen.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn loom_a_request_is_run_or_cancelled_and_never_both() {
    check(3, || {
        let model = Model::new();
        let worker = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.work())
        };
        let caller = {
            let model = Arc::clone(&model);
            thread::spawn(move || usize::from(model.enqueue()) + usize::from(model.enqueue()))
        };
        let cancelled = usize::from(model.cancel());
        let queued = caller.join().unwrap();
        worker.join().unwrap();
        model.settle();
        assert_eq!(model.runs.load(Ordering::Relaxed) + cancelled, queued);
    });
}

#[test]
fn loom_after_cancel_sync_it_neither_runs_nor_is_pending() {
    check(2, || {
        let model = Model::new();
        model.enqueue();
        let worker = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.work())
        };
        let caller = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.enqueue())
        };
        model.state.disable();
        model.cancel();
        model.idle.wait_until(|| !model.state.is_running());
        assert!(!model.state.is_pending() && !model.busy.load(Ordering::Relaxed));
        let runs = model.runs.load(Ordering::Relaxed);
        worker.join().unwrap();
        caller.join().unwrap();
        model.settle();
        assert_eq!(model.runs.load(Ordering::Relaxed), runs, "nothing runs while it is disabled");
    });
}
