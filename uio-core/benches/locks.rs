//! Locks, each beside the best of its kind: taken and released by one thread, and by two that want it at once.

use std::sync;
use std::thread;

use uio_core::irq::{Dispatcher, SpinLockIrq};
use uio_core::sync::{Mutex, RwSemaphore, RwSpinLock, Semaphore, SpinLock};

use crate::support::{Bench, Claim, ns_each, ns_of, pinned, two_cpus};

const WRAPPED: &str = "It is that lock of std, and its code is the same; the difference is noise.";

const fn alone(what: &'static str, peer: &'static str) -> Claim {
    Claim::at_most(1.05, what, peer).note(WRAPPED)
}

const UNFAIR: &str = "Fair: a reader that comes after a waiting writer waits, as in the kernel. Its own word \
                      and that of the lock of std beneath, which holds the data, are both taken.";

pub(crate) fn run(bench: Bench) {
    mutual_exclusion(bench);
    readers_and_writers(bench);
    semaphores(bench);
    let _dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
    let (irq, plain, calls) = (SpinLockIrq::new(0_u64), SpinLock::new(0_u64), bench.ops(200_000));
    bench.compare(
        Claim::beside("spin_lock_irqsave, of a thread that is no dispatcher's", "SpinLock")
            .note("What holding delivery costs; a thread that belongs to no dispatcher holds all."),
        || ns_of(calls, || *irq.lock() += 1),
        || ns_of(calls, || *plain.lock() += 1),
    );
}

/// Nanoseconds of one call, of which two threads on two processors do `calls` each.
fn contended(calls: usize, operation: impl Fn() + Sync) -> f64 {
    let cpus = two_cpus();
    let run = |cpu| {
        let _here = pinned(cpu);
        (0..calls).for_each(|_| operation());
    };
    ns_each(2 * calls, || {
        thread::scope(|scope| {
            scope.spawn(|| run(cpus.other));
            run(cpus.driver);
        });
    })
}

fn mutual_exclusion(bench: Bench) {
    let (calls, crowd) = (bench.ops(1_000_000), bench.ops(200_000));
    let (spin, mutex) = (SpinLock::new(0_u64), Mutex::new(0_u64));
    let (std, parking_lot) = (sync::Mutex::new(0_u64), parking_lot::Mutex::new(0_u64));
    let of_spin = || *spin.lock() += 1;
    let of_mutex = || *mutex.lock() += 1;
    let of_std = || *std.lock().expect("nobody panicked") += 1;
    let of_parking_lot = || *parking_lot.lock() += 1;
    bench.compare(
        alone("SpinLock, alone", "std Mutex"),
        || ns_of(calls, of_spin),
        || ns_of(calls, of_std),
    );
    bench.compare(
        Claim::beside("SpinLock, alone", "parking_lot Mutex"),
        || ns_of(calls, of_spin),
        || ns_of(calls, of_parking_lot),
    );
    bench.compare(
        Claim::beside("SpinLock, two threads", "std Mutex"),
        || contended(crowd, of_spin),
        || contended(crowd, of_std),
    );
    bench.compare(
        Claim::beside("SpinLock, two threads", "parking_lot Mutex"),
        || contended(crowd, of_spin),
        || contended(crowd, of_parking_lot),
    );
    bench.compare(
        Claim::beside("Mutex, alone", "std Mutex")
            .note("The wake-up of those who wait interruptibly is looked for at each release."),
        || ns_of(calls, of_mutex),
        || ns_of(calls, of_std),
    );
}

fn readers_and_writers(bench: Bench) {
    let (calls, crowd) = (bench.ops(1_000_000), bench.ops(200_000));
    let (spin, sem) = (RwSpinLock::new(0_u64), RwSemaphore::new(0_u64));
    let std = sync::RwLock::new(0_u64);
    let std_read = || *std.read().expect("nobody panicked");
    let std_write = || *std.write().expect("nobody panicked") += 1;
    bench.compare(
        alone("RwSpinLock, read alone", "std RwLock"),
        || ns_of(calls, || *spin.read()),
        || ns_of(calls, std_read),
    );
    bench.compare(
        alone("RwSpinLock, write alone", "std RwLock"),
        || ns_of(calls, || *spin.write() += 1),
        || ns_of(calls, std_write),
    );
    bench.compare(
        Claim::beside("RwSemaphore, read alone", "std RwLock").note(UNFAIR),
        || ns_of(calls, || *sem.read()),
        || ns_of(calls, std_read),
    );
    bench.compare(
        Claim::beside("RwSemaphore, two readers", "std RwLock"),
        || contended(crowd, || drop(sem.read())),
        || contended(crowd, || drop(std.read().expect("nobody panicked"))),
    );
}

fn semaphores(bench: Bench) {
    let calls = bench.ops(500_000);
    let (ours, tokio) = (Semaphore::new(1), tokio::sync::Semaphore::new(1));
    bench.compare(
        Claim::at_most(1.0, "Semaphore, down and up", "tokio Semaphore, try_acquire").note(
            "Both calls take and release a lock, so that what is given cannot be snatched; the peer's acquire is \
             one compare-and-swap. It is about even, and noise decides.",
        ),
        || {
            ns_of(calls, || {
                ours.down();
                ours.up();
            })
        },
        || ns_of(calls, || drop(tokio.try_acquire().expect("it is free"))),
    );
}
