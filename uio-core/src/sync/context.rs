//! In which context a thread runs: task, bottom half, or top half; and what it may not do there.
//!
//! The dispatcher enters [`Level::HardIrq`] around the handlers of a line and [`Level::Softirq`] around bottom
//! halves; every other thread is at [`Level::Task`]. It is a thread's own affair, kept in a thread-local:
//! reading it costs a load.
//!
//! Mirrors `include/linux/preempt.h` (`in_hardirq`, `in_softirq`, `in_interrupt`) and `might_sleep`
//! (`include/linux/kernel.h`).

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::Location;

/// What kind of code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// An ordinary thread: may sleep.
    #[default]
    Task,
    /// A bottom half that may not sleep: a softirq, a tasklet, a timer.
    Softirq,
    /// A top half: an interrupt handler.
    HardIrq,
}

#[derive(Clone, Copy)]
struct Entered {
    level: Level,
    #[cfg_attr(
        not(debug_assertions),
        expect(dead_code, reason = "for the messages of debug builds")
    )]
    place: Option<&'static Location<'static>>,
    #[cfg(debug_assertions)]
    origin: Option<&'static Location<'static>>,
}

impl Entered {
    const fn at(level: Level, place: Option<&'static Location<'static>>) -> Self {
        Self {
            level,
            place,
            #[cfg(debug_assertions)]
            origin: None,
        }
    }
}

thread_local! {
    static CURRENT: Cell<Entered> = const { Cell::new(Entered::at(Level::Task, None)) };
}

/// The level of the calling thread.
#[inline]
pub fn current_level() -> Level {
    CURRENT.get().level
}

/// Whether the caller is a top half or a bottom half that may not sleep.
#[inline]
pub fn in_interrupt() -> bool {
    current_level() != Level::Task
}

/// Whether the caller is a top half.
#[inline]
pub fn in_hardirq() -> bool {
    current_level() == Level::HardIrq
}

/// Whether the caller is a bottom half that may not sleep.
#[inline]
pub fn in_softirq() -> bool {
    current_level() == Level::Softirq
}

/// Where the code that runs was handed in, or else where the calling thread entered its level; nowhere at
/// [`Level::Task`].
#[cfg(all(debug_assertions, not(loom)))]
pub(super) fn entered_at() -> Option<&'static Location<'static>> {
    let Entered { place, origin, .. } = CURRENT.get();
    origin.or(place)
}

/// Raises the calling thread to `level` until the guard is dropped.
#[track_caller]
#[inline]
pub(crate) fn enter(level: Level) -> LevelGuard {
    let before = CURRENT.replace(Entered::at(level, Some(Location::caller())));
    LevelGuard { before, thread_bound: PhantomData }
}

/// Where a driver handed in what runs in interrupt context: a handler, a tasklet. Messages about that code name
/// it. In release builds there is nothing in it, and nothing is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    #[cfg(debug_assertions)]
    place: &'static Location<'static>,
}

impl Origin {
    /// The place of the call.
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self {
            #[cfg(debug_assertions)]
            place: Location::caller(),
        }
    }

    /// Says on this thread that the code runs, until the guard is dropped.
    #[cfg(debug_assertions)]
    pub(crate) fn enter(self) -> LevelGuard {
        let before = CURRENT.get();
        CURRENT.set(Entered { origin: Some(self.place), ..before });
        LevelGuard { before, thread_bound: PhantomData }
    }

    /// Says nothing.
    #[cfg(not(debug_assertions))]
    #[inline]
    pub(crate) fn enter(self) {}
}

/// Puts the level back. Bound to its thread.
pub(crate) struct LevelGuard {
    before: Entered,
    thread_bound: PhantomData<*const ()>,
}

impl Drop for LevelGuard {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Says that the caller may sleep. In debug builds, a top half or bottom half that gets here is a bug of the
/// driver: it panics with the place of the call, the place where the context was entered, and the one where the
/// driver set up the handler or tasklet that runs. So is a thread
/// that holds a spin lock, or reads under RCU: the [lock checker](super::lockdep) reports it. In release builds
/// it costs nothing.
///
/// # Panics
///
/// In debug builds, if the caller may not sleep.
#[track_caller]
#[inline]
pub fn might_sleep() {
    #[cfg(debug_assertions)]
    {
        let Entered { level, place, origin } = CURRENT.get();
        if level != Level::Task {
            let caller = Location::caller();
            let entered = match (origin, place) {
                (Some(origin), Some(place)) => {
                    format!(" (set up at {origin}, entered at {place})")
                }
                (None, Some(place)) => format!(" (entered at {place})"),
                _ => String::new(),
            };
            panic!("sleeping call at {caller} in {level:?} context{entered}: a bug of the driver");
        }
    }
    super::lockdep::check_sleep();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_nest_and_are_put_back() {
        assert_eq!(current_level(), Level::Task);
        {
            let _irq = enter(Level::HardIrq);
            assert!(in_hardirq() && in_interrupt() && !in_softirq());
            let _bottom = enter(Level::Softirq);
            assert!(in_softirq());
        }
        assert!(!in_interrupt());
        might_sleep();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "sleeping call at")]
    fn a_sleeping_call_in_a_top_half_is_caught_with_both_places() {
        let _irq = enter(Level::HardIrq);
        might_sleep();
    }
}
