//! The harness: two sides of a claim, measured in turn, in one process.
//!
//! # Vocabulary
//!
//! - **claim** ([`Claim`]): what is measured, beside which peer, and the ratio that is aimed at.
//! - **side**: ours or the peer's; a closure that measures once and says what it found, mostly nanoseconds for
//!   one operation.
//! - **round**: both sides once, one after the other. Every other round begins with the peer, so that what drifts
//!   (the clock of the processor, the neighbours) hurts both alike. A ratio is taken within a round.
//!
//! A claim that was measured is one line of JSON on standard output, with every round as it was; medians and
//! intervals are the business of `cargo xtask bench`, which runs this program.

mod processor;

use std::hint::black_box;
use std::time::Instant;

use serde_json::json;

pub(crate) use self::processor::{cpu_time, pinned, thread_cpu_time, two_cpus};

/// Rounds that count.
const ROUNDS: usize = 21;
/// By how much fewer operations a quick run does.
const QUICK: usize = 200;

/// The ratio that a claim aims at.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Ours takes at most so many times as much as the peer.
    AtMost(f64),
    /// The peer takes at least so many times as much as ours.
    TimesLess(f64),
    /// None: it stands beside its peer to be known.
    Beside,
}

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    /// What one operation is.
    pub(crate) what: &'static str,
    /// Who does the same beside it.
    pub(crate) peer: &'static str,
    /// The ratio that is aimed at.
    pub(crate) target: Target,
    /// Why the target is missed, where it is; what the figure means, where there is none.
    pub(crate) note: &'static str,
}

impl Claim {
    /// A claim without a target and without a note.
    pub(crate) const fn beside(what: &'static str, peer: &'static str) -> Self {
        Self { what, peer, target: Target::Beside, note: "" }
    }

    /// A claim whose cost is at most `ratio` times the peer's.
    pub(crate) const fn at_most(ratio: f64, what: &'static str, peer: &'static str) -> Self {
        Self { target: Target::AtMost(ratio), ..Self::beside(what, peer) }
    }

    /// A claim whose cost is at least `times` less than the peer's.
    pub(crate) const fn times_less(times: f64, what: &'static str, peer: &'static str) -> Self {
        Self { target: Target::TimesLess(times), ..Self::beside(what, peer) }
    }

    /// Says why, or what it means.
    pub(crate) const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    fn print(&self, rounds: &[(f64, f64)]) {
        let (kind, target) = match self.target {
            Target::AtMost(ratio) => ("at-most", Some(ratio)),
            Target::TimesLess(times) => ("times-less", Some(times)),
            Target::Beside => ("beside", None),
        };
        let line = json!({
            "what": self.what, "peer": self.peer, "kind": kind, "target": target, "note": self.note,
            "rounds": rounds.iter().map(|(ours, peer)| [ours, peer]).collect::<Vec<_>>(),
        });
        println!("{line}");
    }
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    /// One short round, to see that it works.
    pub(crate) quick: bool,
}

impl Bench {
    /// How many operations one measurement takes: `full` of them, or few in a quick run.
    pub(crate) fn ops(self, full: usize) -> usize {
        if self.quick { (full / QUICK).max(2) } else { full }
    }

    /// Measures a claim.
    pub(crate) fn compare(
        self,
        claim: Claim,
        mut ours: impl FnMut() -> f64,
        mut peer: impl FnMut() -> f64,
    ) {
        self.compare_all([claim], || [ours()], || [peer()]);
    }

    /// Measures claims whose figures come out of the same run.
    pub(crate) fn compare_all<const N: usize>(
        self,
        claims: [Claim; N],
        mut ours: impl FnMut() -> [f64; N],
        mut peer: impl FnMut() -> [f64; N],
    ) {
        let mut rounds = Vec::with_capacity(ROUNDS);
        if !self.quick {
            // What a side makes once, and what the caches have to learn.
            ours();
            peer();
        }
        for round in 0..if self.quick { 1 } else { ROUNDS } {
            rounds.push(if round % 2 == 0 {
                let first = ours();
                (first, peer())
            } else {
                let first = peer();
                (ours(), first)
            });
        }
        for (index, claim) in claims.iter().enumerate() {
            let figures = rounds.iter().map(|(ours, peer)| (ours[index], peer[index]));
            claim.print(&figures.collect::<Vec<_>>());
        }
    }
}

/// Nanoseconds of one operation, when `work` does `ops` of them.
pub(crate) fn ns_each(ops: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / ops as f64
}

/// As [`ns_each`], of an operation that is called again and again.
pub(crate) fn ns_of<R>(ops: usize, mut operation: impl FnMut() -> R) -> f64 {
    ns_each(ops, || {
        for _ in 0..ops {
            black_box(operation());
        }
    })
}

/// The value below which the part `at` of the samples lies.
pub(crate) fn percentile(samples: &mut [f64], at: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[((samples.len() as f64 * at) as usize).min(samples.len() - 1)]
}
