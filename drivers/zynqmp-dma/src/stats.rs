//! What the driver counts, for `ZDMA_STATS`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the driver was bound. Each stands for itself, so that none pairs with anything.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) interrupts: AtomicU64,
    pub(crate) copies: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) lost_interrupts: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// One more, or so many.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// How many numbers [`Stats::read`] gives.
pub(crate) const COUNTS: usize = 7;

impl Stats {
    /// In the order of `struct zdma_stats`.
    pub(crate) fn read(&self) -> [u64; COUNTS] {
        [
            &self.interrupts,
            &self.copies,
            &self.bytes,
            &self.errors,
            &self.timeouts,
            &self.lost_interrupts,
            &self.refused,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
    }
}
