//! Reading what is seldom written: RCU and sequence locks, beside the best of their kind.

use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use uio_core::sync::SeqLock;
use uio_core::sync::rcu::{RcuCell, read_lock, synchronize};

use crate::support::{Bench, Claim, ns_of};

pub(crate) fn run(bench: Bench) {
    let reads = bench.ops(1_000_000);
    let (cell, swap) = (RcuCell::new(7_u64), ArcSwap::from_pointee(7_u64));
    bench.compare(
        Claim::at_most(1.0, "RCU: a section and a read", "arc_swap load"),
        || ns_of(reads, || *cell.read(&read_lock())),
        || ns_of(reads, || **swap.load()),
    );
    let writes = bench.ops(2000);
    bench.compare(
        Claim::beside("RCU: replace and wait for readers", "arc_swap store")
            .note("A store of arc_swap waits for readers, too; both find none."),
        || ns_of(writes, || cell.replace(8).synchronize()),
        || ns_of(writes, || swap.store(Arc::new(8))),
    );
    bench.compare(
        Claim::beside("RCU: synchronize without readers", "a store of arc_swap"),
        || ns_of(writes, synchronize),
        || ns_of(writes, || swap.store(Arc::new(8))),
    );
    sequence_locks(bench, reads);
}

fn sequence_locks(bench: Bench, reads: usize) {
    let value = [1_u64, 2, 3];
    let (ours, peer, rwlock) =
        (SeqLock::new(value), seqlock::SeqLock::new(value), RwLock::new(value));
    bench.compare(
        Claim::beside("SeqLock: a read of 24 bytes", "crate seqlock").note(
            "Ours copies word by word with atomic loads, so that a torn read is no data race; the peer copies by \
             a volatile read, which is one.",
        ),
        || ns_of(reads, || ours.read()),
        || ns_of(reads, || peer.read()),
    );
    bench.compare(
        Claim::at_most(1.0, "SeqLock: a read of 24 bytes", "std RwLock"),
        || ns_of(reads, || ours.read()),
        || ns_of(reads, || *rwlock.read().expect("nobody panicked")),
    );
    bench.compare(
        Claim::beside("SeqLock: a write of 24 bytes", "crate seqlock"),
        || ns_of(reads, || ours.write(value)),
        || ns_of(reads, || *peer.lock_write() = value),
    );
}
