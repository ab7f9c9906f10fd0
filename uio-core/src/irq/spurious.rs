//! Interrupts that nobody wants: when a line is shut off for them.
//!
//! # The rule
//!
//! Of every 100,000 interrupts of a line, more than 99,900 were unhandled: the line is shut off. An unhandled
//! one that comes more than 100 ms (`HZ/10`) after the one before starts the count again, so that a stray
//! interrupt now and then never adds up. Where the only answer was "wake my thread", the thread's answer
//! counts: it is looked at when the next interrupt comes (`SPURIOUS_DEFERRED`).
//!
//! The kernel's handlers cannot be kept from running; a dispatcher can, by whatever else the machine runs, and a
//! storm makes it the first to be put off. A pause of that kind is not the device's silence, and is taken off
//! the 100 ms; else a storm on a busy machine would never be shut off.
//!
//! A line that is shut off is polled every 100 ms: its handlers are asked without an interrupt, so that a
//! device whose interrupt got lost between lines limps on. It is enabled again on request, and when a handler
//! joins the chain.
//!
//! Mirrors `note_interrupt`, `__report_bad_irq` and `poll_spurious_irqs` of `kernel/irq/spurious.c`. One thing
//! differs: the kernel polls only lines that are shared, since what it looks for is a neighbour's interrupt;
//! here every line that is shut off is polled.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Interrupts that are looked at together.
const WINDOW: u32 = 100_000;
/// More unhandled ones than this shut the line off.
const TOLERATED: u32 = 99_900;
/// Unhandled interrupts further apart than this are strangers to each other: `HZ/10`.
const FORGET: Duration = Duration::from_millis(100);
/// How often a line that is shut off is polled: `POLL_SPURIOUS_IRQ_INTERVAL`, `HZ/10`.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What unhandled interrupts are timed by. Read for a round that nobody wanted, and for no other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The time.
    pub(super) now: fn() -> Duration,
    /// How long the dispatcher has been kept from running so far. Read after a pause only.
    pub(super) run_delay: fn() -> Duration,
}

/// What a round of the chain came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    /// A handler said that it has dealt with it.
    pub(super) handled: bool,
    /// A handler asked for its thread.
    pub(super) woken: bool,
}

/// The account of one line. Written by the dispatcher; [`reset`](Self::reset) may come from elsewhere, and is
/// then as good as if it had come a moment earlier or later.
#[derive(Debug, Default)]
pub(super) struct Spurious {
    count: AtomicU32,
    unhandled: AtomicU32,
    last_unhandled_ms: AtomicU64,
    last_run_delay_ms: AtomicU64,
    /// The only answer of the last round was "wake my thread": see what the thread says.
    deferred: AtomicBool,
    threads_handled_last: AtomicU64,
}

impl Spurious {
    /// Takes note of a round. `threads_handled`: what thread functions have dealt with so far. Whether the line
    /// is to be shut off.
    pub(super) fn note(&self, verdict: Verdict, threads_handled: u64, clock: Clock) -> bool {
        let Some(handled) = self.settle(verdict, threads_handled) else { return false };
        if !handled {
            self.note_unhandled(clock);
        }
        let count = self.count.load(Ordering::Relaxed) + 1;
        if count < WINDOW {
            self.count.store(count, Ordering::Relaxed);
            return false;
        }
        self.count.store(0, Ordering::Relaxed);
        self.unhandled.swap(0, Ordering::Relaxed) > TOLERATED
    }

    /// Whether the round counts as handled; `None` if that is only known at the next one.
    fn settle(&self, verdict: Verdict, threads_handled: u64) -> Option<bool> {
        if verdict.handled || !verdict.woken {
            if verdict.handled && self.deferred.load(Ordering::Relaxed) {
                self.deferred.store(false, Ordering::Relaxed);
            }
            return Some(verdict.handled);
        }
        if !self.deferred.swap(true, Ordering::Relaxed) {
            self.threads_handled_last.store(threads_handled, Ordering::Relaxed);
            return None;
        }
        let before = self.threads_handled_last.swap(threads_handled, Ordering::Relaxed);
        Some(before != threads_handled)
    }

    fn note_unhandled(&self, clock: Clock) {
        let now = as_ms((clock.now)());
        let last = self.last_unhandled_ms.swap(now, Ordering::Relaxed);
        let stranger = self.was_silent(now.saturating_sub(last), clock);
        let before = if stranger { 0 } else { self.unhandled.load(Ordering::Relaxed) };
        self.unhandled.store(before + 1, Ordering::Relaxed);
    }

    /// Whether the device was silent long enough in a pause of `gap` milliseconds.
    fn was_silent(&self, gap: u64, clock: Clock) -> bool {
        let forget = as_ms(FORGET);
        if gap <= forget {
            return false;
        }
        // What was put off since the last pause, not only in this one: more than enough in a storm, and the
        // same thing between strangers.
        let delay = as_ms((clock.run_delay)());
        let put_off = delay.saturating_sub(self.last_run_delay_ms.swap(delay, Ordering::Relaxed));
        gap.saturating_sub(put_off) > forget
    }

    /// Starts anew: a handler joined the chain, or somebody enabled the line again.
    pub(super) fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.unhandled.store(0, Ordering::Relaxed);
    }
}

/// In milliseconds.
fn as_ms(span: Duration) -> u64 {
    // CAST: 2^64 ms are 584 million years.
    span.as_millis() as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        static DELAY: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// A clock that stands where the test puts it.
    const CLOCK: Clock = Clock { now: || NOW.get(), run_delay: || DELAY.get() };

    const NONE: Verdict = Verdict { handled: false, woken: false };
    const HANDLED: Verdict = Verdict { handled: true, woken: false };
    const WOKEN: Verdict = Verdict { handled: false, woken: true };

    /// Feeds `unhandled` of 100,000 rounds as unhandled, the handled ones first.
    fn window(spurious: &Spurious, unhandled: u32) -> bool {
        let handled = WINDOW - unhandled;
        let early = (0..handled).any(|_| spurious.note(HANDLED, 0, CLOCK));
        assert!(!early);
        (0..unhandled).fold(false, |_, _| spurious.note(NONE, 0, CLOCK))
    }

    #[test]
    fn more_than_99_900_of_100_000_unhandled_shut_the_line_off() {
        assert!(window(&Spurious::default(), 99_901));
    }

    #[test]
    fn exactly_99_900_of_100_000_unhandled_do_not() {
        let spurious = Spurious::default();
        assert!(!window(&spurious, 99_900));
        assert!(window(&spurious, 100_000), "and the next window starts from nothing");
    }

    #[test]
    fn unhandled_interrupts_more_than_a_tenth_of_a_second_apart_never_add_up() {
        let spurious = Spurious::default();
        let apart = FORGET + Duration::from_millis(1);
        let off = (0..2 * WINDOW).any(|n| {
            NOW.set(apart * n);
            spurious.note(NONE, 0, CLOCK)
        });
        assert!(!off);
    }

    #[test]
    fn a_pause_in_which_the_dispatcher_was_kept_from_running_is_not_the_devices_silence() {
        let spurious = Spurious::default();
        let off = (1..=WINDOW).fold(false, |_, n| {
            // Put off for half a second, again and again.
            if n % 1000 == 0 {
                NOW.set(NOW.get() + Duration::from_millis(501));
                DELAY.set(DELAY.get() + Duration::from_millis(500));
            }
            spurious.note(NONE, 0, CLOCK)
        });
        assert!(off);
    }

    #[test]
    fn a_thread_that_handles_nothing_counts_as_unhandled_one_interrupt_later() {
        let spurious = Spurious::default();
        let off: u32 = (0..=WINDOW).map(|_| u32::from(spurious.note(WOKEN, 7, CLOCK))).sum();
        assert_eq!(off, 1, "the first answer waits for the second interrupt");
    }

    #[test]
    fn a_thread_that_handles_keeps_the_line_on() {
        let spurious = Spurious::default();
        let off = (0..2 * u64::from(WINDOW)).any(|n| spurious.note(WOKEN, n, CLOCK));
        assert!(!off);
    }
}
