//! What the softirqs of one dispatcher have done: written by whoever runs them, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::vector::Vector;
use crate::cycles::Cycles;
use crate::irq::bump;

/// What one vector has done on one dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VectorStats {
    /// Rounds in which it ran: a cell of `/proc/softirqs`.
    pub runs: u64,
    /// Time spent in it.
    pub time: Duration,
    /// Raised, and waiting for its round.
    pub is_pending: bool,
    /// Its function panicked once; it is not run any more.
    pub is_broken: bool,
}

/// What the softirqs of one dispatcher have done. A column of `/proc/softirqs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SoftirqStats {
    /// The dispatcher's number, the `N` of its `ksoftirqd/N`.
    pub dispatcher: usize,
    /// By [`Vector`], in order of priority.
    pub vectors: [VectorStats; Vector::COUNT],
    /// How often 10 rounds or 2 ms were not enough, and `ksoftirqd` took over.
    pub handed_over: u64,
    /// Whether `ksoftirqd` has them at this moment.
    pub is_handed_over: bool,
    /// Turns that `ksoftirqd` took, each of at most 10 rounds or 2 ms.
    pub daemon_turns: u64,
    /// How often polling stopped at its budget or its time with work left: `time_squeeze` of
    /// `/proc/net/softnet_stat`.
    pub squeezed: u64,
}

impl SoftirqStats {
    /// What `vector` has done.
    pub fn vector(&self, vector: Vector) -> VectorStats {
        self.vectors[vector.index()]
    }
}

#[derive(Debug, Default)]
struct Cell {
    runs: AtomicU64,
    cycles: AtomicU64,
}

/// Written by one thread at a time: whoever has begun at the gate.
#[derive(Debug, Default)]
pub(super) struct Counters {
    vectors: [Cell; Vector::COUNT],
    handed_over: AtomicU64,
    daemon_turns: AtomicU64,
    squeezed: AtomicU64,
}

impl Counters {
    pub(super) fn ran(&self, vector: Vector, cycles: u64) {
        let cell = &self.vectors[vector.index()];
        bump(&cell.runs, 1);
        bump(&cell.cycles, cycles);
    }

    pub(super) fn handed_over(&self) {
        bump(&self.handed_over, 1);
    }

    pub(super) fn daemon_turn(&self) {
        bump(&self.daemon_turns, 1);
    }

    pub(super) fn squeezed(&self) {
        bump(&self.squeezed, 1);
    }

    /// The counts; of the state at this moment, which the engine knows, nothing.
    pub(super) fn read(&self) -> SoftirqStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = SoftirqStats {
            handed_over: get(&self.handed_over),
            daemon_turns: get(&self.daemon_turns),
            squeezed: get(&self.squeezed),
            ..SoftirqStats::default()
        };
        for (stats, cell) in stats.vectors.iter_mut().zip(&self.vectors) {
            stats.runs = get(&cell.runs);
            stats.time = Cycles(get(&cell.cycles)).to_duration();
        }
        stats
    }
}
