//! The state word of an interrupt thread; see the [parent](super) for what it keeps true.

use crate::sync::facade::atomic::{AtomicU32, Ordering};

const RUN: u32 = 1;
const HELD: u32 = 2;
const STOP: u32 = 4;

/// What was there when the thread was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Before {
    /// A run was due already.
    pub(super) due: bool,
    /// The line was held already: the caller gives back the hold that it took.
    pub(super) held: bool,
}

/// What follows from the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Ended {
    /// The hold of the line is to be released.
    Release,
    /// There is none, or another run is due and keeps it.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Word(AtomicU32);

impl Word {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Asks for a run; with `oneshot` the caller has taken a hold of the line.
    pub(super) fn wake(&self, oneshot: bool) -> Before {
        let set = if oneshot { RUN | HELD } else { RUN };
        // Release: pairs with `take`; the thread sees what the primary handler wrote.
        let old = self.0.fetch_or(set, Ordering::AcqRel);
        Before { due: old & RUN != 0, held: oneshot && old & HELD != 0 }
    }

    /// Takes the run that is due, if one is.
    pub(super) fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) & RUN != 0
            && self.0.fetch_and(!RUN, Ordering::AcqRel) & RUN != 0
    }

    /// A run has ended.
    pub(super) fn end(&self) -> Ended {
        let release = |old: u32| (old & (RUN | HELD) == HELD).then_some(old & !HELD);
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, release) {
            Ok(_) => Ended::Release,
            Err(_) => Ended::Nothing,
        }
    }

    pub(super) fn stop(&self) {
        self.0.fetch_or(STOP, Ordering::AcqRel);
    }

    /// Whether it is to end; a run that is due comes first.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire) & (STOP | RUN) == STOP
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// Two wake-ups beside a thread that runs: the holds of the line come back to none, the line is held
    /// whenever the function runs, and no wake-up is lost.
    #[test]
    fn loom_oneshot_holds_the_line_for_every_run_and_no_longer() {
        loom::model(|| {
            // The word, the line's holds, runs that saw wake-ups, wake-ups.
            let shared = Arc::new((
                Word::new(),
                AtomicUsize::new(0),
                AtomicUsize::new(0),
                AtomicUsize::new(0),
            ));
            let dispatcher = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    for _ in 0..2 {
                        shared.3.fetch_add(1, Ordering::Relaxed);
                        shared.1.fetch_add(1, Ordering::SeqCst);
                        if shared.0.wake(true).held {
                            assert!(shared.1.fetch_sub(1, Ordering::SeqCst) > 0);
                        }
                    }
                })
            };
            let run_what_is_due = || {
                while shared.0.take() {
                    assert!(shared.1.load(Ordering::SeqCst) > 0, "runs with the line unmasked");
                    shared.2.store(shared.3.load(Ordering::Relaxed), Ordering::Relaxed);
                    if shared.0.end() == Ended::Release {
                        assert!(shared.1.fetch_sub(1, Ordering::SeqCst) > 0);
                    }
                }
            };
            run_what_is_due();
            dispatcher.join().unwrap();
            run_what_is_due();
            assert_eq!(shared.1.load(Ordering::SeqCst), 0, "the line is left masked");
            assert_eq!(shared.2.load(Ordering::Relaxed), 2, "a wake-up was lost");
        });
    }
}
