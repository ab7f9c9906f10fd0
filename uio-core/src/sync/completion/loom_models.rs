//! Completions against waits, in every order.

use super::super::facade::{Arc, thread};
use super::super::testing::block_on;
use super::*;

fn spawn(
    done: &Arc<Completion>,
    body: impl FnOnce(&Completion) + 'static,
) -> thread::JoinHandle<()> {
    let done = Arc::clone(done);
    thread::spawn(move || body(&done))
}

/// What was written before `complete` is seen after `wait`, and the wait ends.
#[test]
fn loom_a_completion_is_not_lost_and_carries_what_came_before() {
    loom::model(|| {
        let done = Arc::new(Completion::new());
        let data = Arc::new(AtomicU32::new(0));
        let written = Arc::clone(&data);
        let other = spawn(&done, move |done| {
            written.store(7, Ordering::Relaxed);
            done.complete();
        });
        done.wait();
        assert_eq!(data.load(Ordering::Relaxed), 7);
        assert!(!done.is_done());
        other.join().unwrap();
    });
}

/// Two waits, two `complete`, of which none is lost or counts twice.
#[test]
fn loom_two_completions_end_two_waits() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let done = Arc::new(Completion::new());
        let other = spawn(&done, Completion::wait);
        done.complete();
        done.complete();
        block_on(done.wait_async());
        other.join().unwrap();
        assert!(!done.is_done());
    });
}

/// One `complete_all` ends a wait before it and one after it.
#[test]
fn loom_complete_all_ends_every_wait() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let done = Arc::new(Completion::new());
        let other = spawn(&done, Completion::wait);
        done.complete_all();
        done.wait();
        other.join().unwrap();
    });
}
