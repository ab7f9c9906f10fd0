//! Per-line statistics: written by the dispatcher alone, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cycles::Cycles;

/// What a line has seen since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineStats {
    /// Interrupts that the device raised, as the kernel counted them.
    pub raised: u64,
    /// Rounds in which at least one handler said that it was its own, or woke its thread.
    pub handled: u64,
    /// Rounds in which no handler wanted it.
    pub none: u64,
    /// Interrupts that were raised before an earlier one had been taken, and so came together with it:
    /// `raised - missed` rounds were run.
    pub missed: u64,
    /// Time spent in the handlers.
    pub handler_time: Duration,
    /// How often the line was shut off because nobody wanted its interrupts.
    pub shut_off: u64,
    /// How often its handlers were asked without an interrupt while it was shut off. These rounds are in
    /// `handled` and `none` too.
    pub polled: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    raised: AtomicU64,
    handled: AtomicU64,
    none: AtomicU64,
    missed: AtomicU64,
    cycles: AtomicU64,
    shut_off: AtomicU64,
    polled: AtomicU64,
}

/// Adds to a counter that only one thread writes at a time: no locked instruction is needed.
pub(crate) fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

impl Counters {
    pub(super) fn taken(&self, events: u32) {
        bump(&self.raised, u64::from(events));
        bump(&self.missed, u64::from(events.saturating_sub(1)));
    }

    /// An event that came while the line was disabled and had one pending: both will be one round.
    pub(super) fn merged(&self) {
        bump(&self.missed, 1);
    }

    pub(super) fn round(&self, handled: bool, cycles: u64) {
        bump(if handled { &self.handled } else { &self.none }, 1);
        bump(&self.cycles, cycles);
    }

    pub(super) fn shut_off(&self) {
        bump(&self.shut_off, 1);
    }

    pub(super) fn polled(&self) {
        bump(&self.polled, 1);
    }

    pub(super) fn read(&self) -> LineStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LineStats {
            raised: get(&self.raised),
            handled: get(&self.handled),
            none: get(&self.none),
            missed: get(&self.missed),
            handler_time: Cycles(get(&self.cycles)).to_duration(),
            shut_off: get(&self.shut_off),
            polled: get(&self.polled),
        }
    }
}
