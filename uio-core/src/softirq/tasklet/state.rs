//! The state word of a tasklet; see the [parent](super) for the states, and for what it keeps true.

use crate::sync::facade::atomic::{AtomicU32, Ordering};

const SCHEDULED: u32 = 1 << 31;
const RUNNING: u32 = 1 << 30;
const SET_ASIDE: u32 = 1 << 29;
const HIGH: u32 = 1 << 28;
const KILLED: u32 = 1 << 27;
const DISABLED: u32 = 0xFFFF;

/// What an [`enable`](State::enable) asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Enabled {
    Nothing,
    /// To queue it: it came up for its turn meanwhile.
    Requeue,
    /// It was not disabled.
    Unbalanced,
}

#[derive(Debug)]
pub(super) struct State(AtomicU32);

impl State {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn change<R>(&self, step: impl Fn(u32) -> (u32, R)) -> R {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let (new, result) = step(old);
            // AcqRel: what was done before a schedule is seen by the run that it asks for, and what a run did by
            // whoever finds it ended.
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }

    /// Whether the caller is to queue it.
    pub(super) fn schedule(&self, high: bool) -> bool {
        let high = if high { HIGH } else { 0 };
        self.change(|old| {
            if old & (SCHEDULED | KILLED) != 0 {
                (old, false)
            } else {
                (old & !HIGH | SCHEDULED | high, true)
            }
        })
    }

    /// Its turn has come. Whether it runs now; [`end`](Self::end) follows.
    pub(super) fn begin(&self) -> bool {
        self.change(|old| match old {
            _ if old & DISABLED == 0 => (old & !SCHEDULED | RUNNING, true),
            // Nobody is going to enable what is killed: it is dropped here.
            _ if old & KILLED != 0 => (old & !SCHEDULED, false),
            _ => (old | SET_ASIDE, false),
        })
    }

    pub(super) fn end(&self) {
        self.0.fetch_and(!RUNNING, Ordering::AcqRel);
    }

    pub(super) fn disable(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn enable(&self) -> Enabled {
        self.change(|old| match old {
            _ if old & DISABLED == 0 => (old, Enabled::Unbalanced),
            _ if (old - 1) & DISABLED == 0 && old & SET_ASIDE != 0 => {
                ((old - 1) & !SET_ASIDE, Enabled::Requeue)
            }
            _ => (old - 1, Enabled::Nothing),
        })
    }

    /// From now on it cannot be scheduled, and what was set aside is forgotten: nobody is left to enable it in
    /// time. A turn that is due still comes.
    pub(super) fn kill(&self) {
        self.change(|old| {
            let aside = if old & SET_ASIDE != 0 { SET_ASIDE | SCHEDULED } else { 0 };
            (old & !aside | KILLED, ())
        });
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.0.load(Ordering::Acquire) & SCHEDULED != 0
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.load(Ordering::Acquire) & RUNNING != 0
    }

    /// Scheduled last with high priority.
    pub(super) fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed) & HIGH != 0
    }

    /// How often it is disabled.
    pub(super) fn depth(&self) -> u32 {
        self.0.load(Ordering::Relaxed) & DISABLED
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize};
    use loom::thread;

    use super::*;

    struct World {
        state: State,
        queued: AtomicBool,
        inside: AtomicUsize,
        runs: AtomicUsize,
        /// Written before a schedule, read by the run.
        asked: AtomicUsize,
        seen: AtomicUsize,
    }

    impl World {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                state: State::new(),
                queued: AtomicBool::new(false),
                inside: AtomicUsize::new(0),
                runs: AtomicUsize::new(0),
                asked: AtomicUsize::new(0),
                seen: AtomicUsize::new(0),
            })
        }

        fn enqueue(&self) {
            assert!(!self.queued.swap(true, Ordering::SeqCst), "queued twice");
        }

        fn schedule(&self) -> bool {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let won = self.state.schedule(false);
            if won {
                self.enqueue();
            }
            won
        }

        fn enable(&self) {
            if self.state.enable() == Enabled::Requeue {
                self.enqueue();
            }
        }

        /// The turns of whoever runs softirqs, as long as it is queued.
        fn softirq(&self) {
            while self.queued.swap(false, Ordering::SeqCst) {
                if self.state.begin() {
                    assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "beside itself");
                    self.seen.store(self.asked.load(Ordering::Relaxed), Ordering::Relaxed);
                    self.runs.fetch_add(1, Ordering::Relaxed);
                    self.inside.fetch_sub(1, Ordering::SeqCst);
                    self.state.end();
                }
            }
        }
    }

    fn beside(world: &Arc<World>, act: fn(&World)) -> thread::JoinHandle<()> {
        let world = Arc::clone(world);
        thread::spawn(move || act(&world))
    }

    #[test]
    fn loom_every_schedule_has_a_run_that_sees_what_came_before_it() {
        loom::model(|| {
            let world = World::new();
            let other = beside(&world, |world| {
                world.schedule();
            });
            let softirq = beside(&world, World::softirq);
            world.schedule();
            other.join().unwrap();
            softirq.join().unwrap();
            world.softirq();
            assert_eq!(world.seen.load(Ordering::Relaxed), 2);
            assert!((1..=2).contains(&world.runs.load(Ordering::Relaxed)));
        });
    }

    #[test]
    fn loom_a_disabled_tasklet_does_not_run_and_has_its_run_when_enabled() {
        loom::model(|| {
            let world = World::new();
            world.schedule();
            let softirq = beside(&world, World::softirq);
            world.state.disable();
            while world.state.is_running() {
                thread::yield_now();
            }
            let runs = world.runs.load(Ordering::Relaxed);
            assert_eq!(world.inside.load(Ordering::SeqCst), 0, "it runs while disabled");
            assert_eq!(world.runs.load(Ordering::Relaxed), runs);
            world.enable();
            softirq.join().unwrap();
            world.softirq();
            assert_eq!(world.runs.load(Ordering::Relaxed), 1, "neither lost nor run twice");
            assert!(!world.state.is_scheduled());
        });
    }

    #[test]
    fn loom_two_who_disable_and_enable_queue_it_once() {
        loom::model(|| {
            let world = World::new();
            world.state.disable();
            world.schedule();
            let other = beside(&world, |world| {
                world.state.disable();
                world.enable();
            });
            let softirq = beside(&world, World::softirq);
            world.enable();
            other.join().unwrap();
            softirq.join().unwrap();
            world.softirq();
            assert_eq!(world.runs.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn loom_what_is_killed_ends_and_is_never_scheduled_again() {
        loom::model(|| {
            let world = World::new();
            let other = beside(&world, |world| {
                world.schedule();
                // Whoever runs softirqs, behind the schedule.
                world.softirq();
            });
            world.state.kill();
            while world.state.is_scheduled() || world.state.is_running() {
                thread::yield_now();
            }
            let runs = world.runs.load(Ordering::Relaxed);
            assert_eq!(world.inside.load(Ordering::SeqCst), 0);
            assert!(!world.schedule());
            other.join().unwrap();
            world.softirq();
            assert_eq!(world.runs.load(Ordering::Relaxed), runs, "it ran after the kill");
        });
    }
}
