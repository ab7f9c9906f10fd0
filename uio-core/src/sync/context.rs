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
}

thread_local! {
    static CURRENT: Cell<Entered> = const { Cell::new(Entered { level: Level::Task, place: None }) };
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

/// Where the calling thread entered its level; nowhere at [`Level::Task`].
#[cfg(all(debug_assertions, not(loom)))]
pub(super) fn entered_at() -> Option<&'static Location<'static>> {
    CURRENT.get().place
}

/// Raises the calling thread to `level` until the guard is dropped.
#[track_caller]
#[inline]
pub(crate) fn enter(level: Level) -> LevelGuard {
    let before = CURRENT.replace(Entered { level, place: Some(Location::caller()) });
    LevelGuard { before, thread_bound: PhantomData }
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
/// driver: it panics with the place of the call and the place where the context was entered. So is a thread
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
        let Entered { level, place } = CURRENT.get();
        if level != Level::Task {
            let caller = Location::caller();
            let entered = place.map_or_else(String::new, |place| format!(" (entered at {place})"));
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
