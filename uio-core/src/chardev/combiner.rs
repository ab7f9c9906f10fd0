//! One thread at a time does the work; whoever comes meanwhile leaves his with it.
//!
//! # States
//!
//! ```text
//!                  run(due)                      run(due) by others
//!   ┌──────┐ ─────────────────────▶ ┌─────────┐ ──────────────────▶ ┌───────────────┐
//!   │ idle │                        │ running │                     │ running + due │
//!   └──────┘ ◀───────────────────── └─────────┘ ◀────────────────── └───────────────┘
//!             nothing came meanwhile             the owner takes what is due
//! ```
//!
//! # Why nothing is lost, and why it never runs beside itself
//!
//! The state is one word: the bit [`RUNNING`] and a bit for each kind of work that is due. `run` sets its bits
//! and `RUNNING` in one step. Whoever finds `RUNNING` clear is the owner; there is no other way to become
//! one, and only the owner clears it. The owner takes the due bits (leaving `RUNNING`), works, and then
//! tries to go from exactly `RUNNING` to zero: that fails if a bit was set meanwhile, and the owner goes
//! round again. So a bit that was set is always taken by a pass that begins afterwards; and because both
//! steps are read-modify-writes with acquire and release, that pass sees all that its setter did before.
//!
//! A call from inside the work (a wake-up within a wake-up) finds `RUNNING` set and leaves: recursion
//! becomes one more round.

use crate::sync::facade::atomic::{AtomicU32, Ordering};

const RUNNING: u32 = 1 << 31;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Combiner {
    state: AtomicU32,
}

impl Combiner {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(0) }
    }

    /// Sees to it that `pass` is called with all bits of `due`, by this thread or by the one that runs.
    ///
    /// `pass` must not panic: its owner would never hand over again.
    pub(crate) fn run(&self, due: u32, mut pass: impl FnMut(u32)) {
        debug_assert_eq!(due & RUNNING, 0);
        // Release: the pass that takes our bits sees what we did. Acquire: we see what the last owner did.
        if self.state.fetch_or(RUNNING | due, Ordering::AcqRel) & RUNNING != 0 {
            return;
        }
        loop {
            // Acquire: pairs with the `fetch_or` of those who came meanwhile.
            let due = self.state.swap(RUNNING, Ordering::AcqRel) & !RUNNING;
            pass(due);
            // Release: the next owner sees what our passes did.
            let idle = self.state.compare_exchange(RUNNING, 0, Ordering::AcqRel, Ordering::Relaxed);
            if idle.is_ok() {
                return;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_call_from_inside_becomes_one_more_round() {
        let combiner = Combiner::new();
        let mut passes = Vec::new();
        combiner.run(1, |due| {
            passes.push(due);
            if passes.len() == 1 {
                combiner.run(2, |_| panic!("never beside itself"));
                combiner.run(4, |_| panic!("never beside itself"));
            }
        });
        assert_eq!(passes, [1, 6]);
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use crate::sync::facade::atomic::AtomicUsize;
    use crate::sync::facade::{Arc, thread};

    #[derive(Debug)]
    struct Shared {
        combiner: Combiner,
        made: AtomicUsize,
        collected: AtomicUsize,
        inside: AtomicUsize,
    }

    impl Shared {
        /// Makes one and asks for a pass; a pass collects what was made.
        fn make_one(&self) {
            self.made.fetch_add(1, Ordering::Relaxed);
            self.combiner.run(1, |_| {
                assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "never beside itself");
                // Relaxed on purpose: the combiner alone has to make the others' work visible.
                let made = self.made.load(Ordering::Relaxed);
                self.collected.store(made, Ordering::Relaxed);
                self.inside.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    /// In every interleaving all that was made is collected when the threads are done.
    #[test]
    fn loom_no_request_for_a_pass_is_lost_and_passes_never_overlap() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new(Shared {
                combiner: Combiner::new(),
                made: AtomicUsize::new(0),
                collected: AtomicUsize::new(0),
                inside: AtomicUsize::new(0),
            });
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.make_one())
                })
                .collect();
            shared.make_one();
            others.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(shared.collected.load(Ordering::Relaxed), 3);
        });
    }
}
