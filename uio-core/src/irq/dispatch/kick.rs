//! [`Kick`]: how others get the loop to look for what they have left for it; see the [parent](super) for why none
//! is lost.

use crate::sync::facade::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub(super) struct Kick(AtomicBool);

impl Kick {
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks for a look, once the reason is stored. Whether the loop has to be woken.
    #[must_use]
    pub(super) fn ask(&self) -> bool {
        // Release: pairs with `take`; the loop sees the reason.
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Called by the loop before it looks for reasons: those stored before the asking are seen from here on.
    pub(super) fn take(&self) {
        // Acquire: pairs with every `ask` since the last one, for each of them is a swap.
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Whether somebody has asked since.
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;
    use crate::sync::facade::parking;

    /// Two kickers, each with a reason, beside a loop that sleeps until it is woken: a lost kick is a deadlock.
    #[test]
    fn loom_no_kick_is_lost() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let world = Arc::new((Kick::new(), AtomicUsize::new(0)));
            let kicker = |bit: usize| {
                let (world, sleeper) = (Arc::clone(&world), parking::current());
                thread::spawn(move || {
                    world.1.fetch_or(bit, Ordering::Relaxed);
                    if world.0.ask() {
                        sleeper.unpark();
                    }
                })
            };
            let kickers = [kicker(1), kicker(2)];
            let (kick, reasons) = &*world;
            let mut seen = 0;
            while seen != 3 {
                if !kick.is_asked() {
                    // The eventfd: what is written before the wait ends it.
                    parking::park();
                }
                kick.take();
                seen |= reasons.swap(0, Ordering::Relaxed);
            }
            kickers.into_iter().for_each(|kicker| kicker.join().unwrap());
        });
    }
}
