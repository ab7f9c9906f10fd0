//! The state word of a poll; see the [parent](super) for what it keeps true.

use crate::sync::facade::atomic::{AtomicU32, Ordering};

/// `NAPI_STATE_SCHED`.
const SCHEDULED: u32 = 1;
/// `NAPI_STATE_MISSED`.
const MISSED: u32 = 2;
/// `NAPI_STATE_DISABLE`.
const DISABLED: u32 = 4;
/// It has ended, and looks at the device once more.
const LOOKING: u32 = 8;

/// How a poll that found no more work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Completed {
    /// The line is to be unmasked and the device looked at; [`looked`](State::looked) ends that.
    Idle,
    /// It was scheduled meanwhile.
    Again,
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
            // AcqRel: what the scheduler did before is seen by the poll that its mark asks for.
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }

    /// Whether the caller is to list it. `napi_schedule_prep`; while disabled, it is remembered.
    pub(super) fn schedule(&self) -> bool {
        self.change(|old| {
            if old & (SCHEDULED | DISABLED) != 0 {
                (old | MISSED, false)
            } else {
                (SCHEDULED, true)
            }
        })
    }

    /// A poll found no more work. `napi_complete_done`.
    pub(super) fn complete(&self) -> Completed {
        self.change(|old| match old {
            // It ends here; what was missed is remembered for `enable`.
            _ if old & DISABLED != 0 => (old & !SCHEDULED | LOOKING, Completed::Idle),
            _ if old & MISSED != 0 => (old & !MISSED, Completed::Again),
            _ => (old & !SCHEDULED | LOOKING, Completed::Idle),
        })
    }

    /// What follows [`Completed::Idle`] is done.
    pub(super) fn looked(&self) {
        self.0.fetch_and(!LOOKING, Ordering::AcqRel);
    }

    pub(super) fn disable(&self) {
        self.0.fetch_or(DISABLED, Ordering::AcqRel);
    }

    /// Whether it was scheduled meanwhile.
    pub(super) fn enable(&self) -> bool {
        self.change(|old| (old & !(DISABLED | MISSED), old & MISSED != 0))
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.0.load(Ordering::Acquire) & SCHEDULED != 0
    }

    /// Whether any of the driver's code runs or is to run.
    pub(super) fn is_busy(&self) -> bool {
        self.0.load(Ordering::Acquire) & (SCHEDULED | LOOKING) != 0
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.0.load(Ordering::Acquire) & DISABLED != 0
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize};
    use loom::thread;

    use super::*;

    /// A device that signals only what is new, and only while it is unmasked.
    struct World {
        state: State,
        work: AtomicUsize,
        masks: AtomicUsize,
        listed: AtomicBool,
        polling: AtomicUsize,
    }

    impl World {
        /// The top half.
        fn schedule(&self) {
            if self.state.schedule() {
                self.masks.fetch_add(1, Ordering::SeqCst);
                assert!(!self.listed.swap(true, Ordering::SeqCst), "listed twice");
            }
        }

        /// The device has work; if it is unmasked, the top half runs.
        fn arrive(&self) {
            self.work.fetch_add(1, Ordering::SeqCst);
            if self.masks.load(Ordering::SeqCst) == 0 {
                self.schedule();
            }
        }

        /// The softirq, with a budget that no device here exhausts.
        fn softirq(&self) {
            while self.listed.swap(false, Ordering::SeqCst) {
                loop {
                    assert_eq!(self.polling.fetch_add(1, Ordering::SeqCst), 0, "beside itself");
                    self.work.swap(0, Ordering::SeqCst);
                    self.polling.fetch_sub(1, Ordering::SeqCst);
                    if self.state.complete() == Completed::Idle {
                        break;
                    }
                }
                assert!(self.masks.fetch_sub(1, Ordering::SeqCst) > 0, "unmasked twice");
                if self.work.load(Ordering::SeqCst) > 0 {
                    self.schedule();
                }
                self.state.looked();
            }
        }
    }

    fn model(device: impl Fn(&World) + Send + Sync + Copy + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let world = Arc::new(World {
                state: State::new(),
                work: AtomicUsize::new(0),
                masks: AtomicUsize::new(0),
                listed: AtomicBool::new(false),
                polling: AtomicUsize::new(0),
            });
            let other = {
                let world = Arc::clone(&world);
                thread::spawn(move || device(&world))
            };
            world.softirq();
            other.join().unwrap();
            world.softirq();
            assert_eq!(world.work.load(Ordering::SeqCst), 0, "work was left behind");
            assert_eq!(world.masks.load(Ordering::SeqCst), 0, "the line is left masked");
            assert!(!world.state.is_busy());
        });
    }

    /// Work that arrives at any moment of a poll, its end and the unmask is polled.
    #[test]
    fn loom_work_that_arrives_while_a_poll_completes_is_polled() {
        model(|world| {
            world.arrive();
            world.arrive();
        });
    }

    /// A schedule that does not come from the line is not lost either.
    #[test]
    fn loom_a_schedule_while_scheduled_polls_once_more() {
        model(|world| {
            for _ in 0..2 {
                world.work.fetch_add(1, Ordering::SeqCst);
                world.schedule();
            }
        });
    }
}
