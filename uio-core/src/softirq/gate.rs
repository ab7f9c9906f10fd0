//! Which vectors are pending, and who may run them: two atomic words.
//!
//! # Vocabulary
//!
//! - **pending**: a bit for each vector that was raised and has not been taken for a round.
//! - **running**: somebody runs softirqs: the dispatcher, or its `ksoftirqd`; never both.
//! - **handed over**: the dispatcher has left them to `ksoftirqd`, until that one hands back.
//! - **disabled**: somebody keeps softirqs from starting (`local_bh_disable`). Counts.
//!
//! # States of the second word
//!
//! ```text
//!          begin (dispatcher)           end, work left                 begin (ksoftirqd)
//!   free ────────────────────▶ running ────────────────▶ handed over ──────────────────▶ handed over,
//!    ▲ ▲                          │                        │   ▲                            running
//!    │ └────────── end ───────────┘                        │   └──────────── end ───────────────┘
//!    └───────────────────────── hand back ─────────────────┘
//! ```
//!
//! # Why no vector is left behind
//!
//! ```text
//!   raise                                 whoever gives the gate free
//!   R1  pending |= bit                    S1  word: hand back, enable
//!   R2  fence(SeqCst)                     S2  fence(SeqCst)
//!   R3  read word: handed over? then      S3  read pending; if there is any: kick the dispatcher,
//!       that is all; else kick                or wake ksoftirqd
//! ```
//!
//! The two fences are totally ordered. If R2 is first, S3 sees the bit. If S2 is first, R3 sees the gate free,
//! and kicks. A dispatcher or `ksoftirqd` that finds the gate shut has its fence in `begin`, between the bit it
//! saw and its look at the word, and stands for the raiser: if it leaves, S3 comes later and sees the bit.
//! The loom models hold this.

use crate::sync::facade::atomic::Ordering::{AcqRel, Acquire, SeqCst};
use crate::sync::facade::atomic::{AtomicU32, fence};

const DISABLED: u32 = 0xFFFF;
const RUNNING: u32 = 1 << 16;
const HANDED_OVER: u32 = 1 << 17;

/// What a transition asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Next {
    Nothing,
    /// Make the dispatcher look.
    Kick,
    /// Make `ksoftirqd` look.
    WakeDaemon,
}

/// Who runs softirqs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    Dispatcher,
    Daemon,
}

#[derive(Debug)]
pub(super) struct Gate {
    pending: AtomicU32,
    word: AtomicU32,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { pending: AtomicU32::new(0), word: AtomicU32::new(0) }
    }

    /// R1 to R3.
    pub(super) fn raise(&self, bits: u32) -> Next {
        self.pending.fetch_or(bits, AcqRel);
        fence(SeqCst);
        if self.is_handed_over() { Next::Nothing } else { Next::Kick }
    }

    /// Raises where the round that is under way, or comes next on this thread, sees it anyway.
    pub(super) fn raise_here(&self, bits: u32) {
        self.pending.fetch_or(bits, AcqRel);
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending() != 0
    }

    /// The bits of the vectors that are pending.
    pub(super) fn pending(&self) -> u32 {
        self.pending.load(Acquire)
    }

    /// Takes what is pending for one round.
    pub(super) fn take(&self) -> u32 {
        self.pending.swap(0, AcqRel)
    }

    /// Begins to run softirqs, if nobody else runs or disables them and it is `runner`'s turn.
    pub(super) fn begin(&self, runner: Runner) -> bool {
        let turn = if runner == Runner::Daemon { HANDED_OVER } else { 0 };
        fence(SeqCst);
        let begin = |old: u32| (old == turn).then_some(old | RUNNING);
        self.word.fetch_update(AcqRel, Acquire, begin).is_ok()
    }

    /// Ends running. `hand_over`: `ksoftirqd` goes on. Whether somebody may wait for the end.
    pub(super) fn end(&self, hand_over: bool) -> bool {
        let over = if hand_over { HANDED_OVER } else { 0 };
        let end = |old: u32| Some(old & !RUNNING | over);
        // PANIC: not reached; `end` never refuses.
        self.word.fetch_update(AcqRel, Acquire, end).expect("unconditional") & DISABLED != 0
    }

    /// S1 to S3, by `ksoftirqd`.
    pub(super) fn hand_back(&self) -> Next {
        self.word.fetch_and(!HANDED_OVER, AcqRel);
        fence(SeqCst);
        if self.is_pending() { Next::Kick } else { Next::Nothing }
    }

    /// Keeps softirqs from starting. Whether they run now.
    pub(super) fn disable(&self) -> bool {
        self.word.fetch_add(1, AcqRel) & RUNNING != 0
    }

    /// Undoes one `disable`: S1 to S3.
    pub(super) fn enable(&self) -> Next {
        let now = self.word.fetch_sub(1, AcqRel) - 1;
        fence(SeqCst);
        match now {
            _ if now & DISABLED != 0 || !self.is_pending() => Next::Nothing,
            _ if now & HANDED_OVER != 0 => Next::WakeDaemon,
            _ => Next::Kick,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.word.load(Acquire) & RUNNING != 0
    }

    pub(super) fn is_handed_over(&self) -> bool {
        self.word.load(Acquire) & HANDED_OVER != 0
    }

    /// Whether `ksoftirqd` could begin.
    pub(super) fn is_daemons_turn(&self) -> bool {
        self.word.load(Acquire) == HANDED_OVER
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_dispatcher_and_ksoftirqd_runs() {
        let gate = Gate::new();
        assert!(!gate.begin(Runner::Daemon), "not its turn");
        assert!(gate.begin(Runner::Dispatcher));
        assert!(!gate.begin(Runner::Dispatcher));
        let _ = gate.end(true);
        assert!(!gate.begin(Runner::Dispatcher), "handed over");
        assert!(gate.begin(Runner::Daemon));
        let _ = gate.end(false);
        assert!(gate.is_handed_over(), "until it hands back");
        assert_eq!(gate.hand_back(), Next::Nothing);
        assert!(gate.begin(Runner::Dispatcher));
    }

    #[test]
    fn what_is_raised_while_disabled_waits_for_the_last_enable() {
        let gate = Gate::new();
        assert!(!gate.disable() && !gate.disable());
        assert_eq!(gate.raise(1), Next::Kick);
        assert!(!gate.begin(Runner::Dispatcher));
        assert_eq!(gate.enable(), Next::Nothing);
        assert_eq!(gate.enable(), Next::Kick);
        assert!(gate.begin(Runner::Dispatcher));
        assert_eq!(gate.take(), 1);
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize};
    use loom::thread;

    use super::*;

    struct World {
        gate: Gate,
        kicked: AtomicBool,
        inside: AtomicUsize,
        ran: AtomicUsize,
    }

    impl World {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                gate: Gate::new(),
                kicked: AtomicBool::new(false),
                inside: AtomicUsize::new(0),
                ran: AtomicUsize::new(0),
            })
        }

        fn follow(&self, next: Next) {
            match next {
                Next::Nothing => {}
                // A swap, as the dispatcher's kick is: who takes it sees what every kicker did.
                Next::Kick => drop(self.kicked.swap(true, AcqRel)),
                // The daemon's park has a token; the model's daemon looks once more at its end.
                Next::WakeDaemon => {}
            }
        }

        /// One round.
        fn round(&self) {
            assert_eq!(self.inside.fetch_add(1, SeqCst), 0, "softirqs beside softirqs");
            self.ran.fetch_or(self.gate.take() as usize, SeqCst);
            self.inside.fetch_sub(1, SeqCst);
        }

        /// The dispatcher's turns, as long as it is kicked.
        fn dispatcher(&self) {
            while self.kicked.swap(false, AcqRel) {
                if self.gate.is_pending() && self.gate.begin(Runner::Dispatcher) {
                    self.round();
                    let left = self.gate.is_pending();
                    let _ = self.gate.end(left);
                }
            }
        }

        /// The daemon's work, as long as it is its turn.
        fn daemon(&self) {
            while self.gate.is_handed_over() {
                if self.gate.is_pending() && self.gate.begin(Runner::Daemon) {
                    self.round();
                    let _ = self.gate.end(false);
                }
                if !self.gate.is_pending() {
                    self.follow(self.gate.hand_back());
                }
            }
        }
    }

    /// A raise beside a daemon that hands back: somebody runs the vector, and never two at once.
    #[test]
    fn loom_a_raise_beside_the_hand_back_is_not_lost() {
        loom::model(|| {
            let world = World::new();
            assert!(world.gate.begin(Runner::Dispatcher));
            let _ = world.gate.end(true);
            let raiser = {
                let world = Arc::clone(&world);
                thread::spawn(move || world.follow(world.gate.raise(1)))
            };
            let daemon = {
                let world = Arc::clone(&world);
                thread::spawn(move || world.daemon())
            };
            world.dispatcher();
            raiser.join().unwrap();
            daemon.join().unwrap();
            world.dispatcher();
            world.daemon();
            world.dispatcher();
            assert_eq!(world.ran.load(SeqCst), 1);
        });
    }

    /// Two raises of different vectors beside a dispatcher that hands over what comes late.
    #[test]
    fn loom_a_raise_beside_the_hand_over_is_not_lost() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let world = World::new();
            let raiser = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    world.follow(world.gate.raise(1));
                    world.follow(world.gate.raise(2));
                })
            };
            world.dispatcher();
            world.daemon();
            raiser.join().unwrap();
            world.dispatcher();
            world.daemon();
            world.dispatcher();
            assert_eq!(world.ran.load(SeqCst), 3);
        });
    }

    /// A thread that disables and enables beside a raise: nothing runs inside, and nothing is lost.
    #[test]
    fn loom_a_raise_while_disabled_runs_after_the_enable() {
        loom::model(|| {
            let world = World::new();
            let raiser = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    world.follow(world.gate.raise(1));
                    world.dispatcher();
                })
            };
            let runs = world.gate.disable();
            if !runs {
                assert_eq!(world.inside.load(SeqCst), 0, "softirqs run while disabled");
            }
            world.follow(world.gate.enable());
            raiser.join().unwrap();
            world.dispatcher();
            world.daemon();
            world.dispatcher();
            assert_eq!(world.ran.load(SeqCst), 1);
        });
    }
}
