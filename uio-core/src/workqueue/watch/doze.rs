//! Whether the watchdog looks or sleeps; see the [parent](super) for why it sleeps over nothing.

use crate::sync::facade::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub(super) struct Doze {
    awake: AtomicBool,
}

impl Doze {
    /// Asleep.
    pub(super) fn new() -> Self {
        Self { awake: AtomicBool::new(false) }
    }

    pub(super) fn is_awake(&self) -> bool {
        self.awake.load(Ordering::SeqCst)
    }

    /// There is something to look at: called once that is stored under its pool's lock. Whether the watchdog's
    /// thread has to be woken. Mostly it is a load.
    #[must_use]
    pub(super) fn rouse(&self) -> bool {
        !self.is_awake() && !self.awake.swap(true, Ordering::SeqCst)
    }

    /// The watchdog falls asleep, unless the `last_look` at every pool, under its lock, finds something.
    pub(super) fn fall_asleep(&self, last_look: impl FnOnce() -> bool) {
        // Before the look: what is stored after it finds this, by way of the pool's lock.
        self.awake.store(false, Ordering::SeqCst);
        if last_look() {
            self.awake.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;
    use crate::sync::facade::parking;

    /// Two pools get something to look at while the watchdog falls asleep: one that it slept over is a deadlock.
    #[test]
    fn loom_the_watchdog_sleeps_over_nothing() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let world = Arc::new((Doze::new(), Mutex::new(0)));
            let queuer = || {
                let (world, watchdog) = (Arc::clone(&world), parking::current());
                thread::spawn(move || {
                    *world.1.lock().unwrap() += 1;
                    if world.0.rouse() {
                        watchdog.unpark();
                    }
                })
            };
            let queuers = [queuer(), queuer()];
            let (doze, pool) = &*world;
            let mut seen = 0;
            while seen < 2 {
                if !doze.is_awake() {
                    parking::park();
                    continue;
                }
                seen += std::mem::take(&mut *pool.lock().unwrap());
                doze.fall_asleep(|| *pool.lock().unwrap() > 0);
            }
            queuers.into_iter().for_each(|queuer| queuer.join().unwrap());
        });
    }
}
