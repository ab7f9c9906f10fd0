//! What the driver counts, for `EDU_STATS`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the driver was bound. Each stands for itself, so that none pairs with anything.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    interrupts: AtomicU64,
    causes: AtomicU64,
    pub(crate) computed: AtomicU64,
    pub(crate) transfers_in: AtomicU64,
    pub(crate) transfers_out: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) lost_interrupts: AtomicU64,
}

/// One more, or so many.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Stats {
    /// An interrupt with these bits in IRQ_STATUS.
    pub(crate) fn interrupt(&self, bits: u32) {
        count(&self.interrupts, 1);
        self.causes.fetch_or(u64::from(bits), Ordering::Relaxed);
    }

    /// In the order of `struct edu_stats`.
    pub(crate) fn read(&self) -> [u64; 9] {
        [
            &self.interrupts,
            &self.causes,
            &self.computed,
            &self.transfers_in,
            &self.bytes_in,
            &self.transfers_out,
            &self.bytes_out,
            &self.timeouts,
            &self.lost_interrupts,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
    }
}
