//! The small things: clocks, bit operations, holding delivery, threads.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use uio_core::irq::{Dispatcher, hold_delivery};
use uio_core::kthread;
use uio_core::sync::bitops::{set_bit, test_and_set_bit};
use uio_core::time::{get_cycles, now_jiffies};

use crate::support::{Bench, Claim, ns_of};

pub(crate) fn run(bench: Bench) {
    let calls = bench.ops(500_000);
    bench.compare(
        Claim::beside("jiffies", "Instant::now")
            .note("The clock is read the same way; the division into jiffies is on top."),
        || ns_of(calls, now_jiffies),
        || ns_of(calls, Instant::now),
    );
    bench.compare(
        Claim::at_most(1.0, "get_cycles", "Instant::now"),
        || ns_of(calls, get_cycles),
        || ns_of(calls, Instant::now),
    );
    bits(bench, calls);
    holds(bench);
    threads(bench);
}

fn bits(bench: Bench, calls: usize) {
    let words = [const { AtomicU64::new(0) }; 4];
    let fetch_or = |bit: usize, order| words[bit / 64].fetch_or(1 << (bit % 64), order);
    bench.compare(
        Claim::at_most(1.05, "set_bit", "fetch_or"),
        || ns_of(calls, || set_bit(&words, black_box(77))),
        || ns_of(calls, || fetch_or(black_box(77), Ordering::Relaxed)),
    );
    bench.compare(
        Claim::beside("test_and_set_bit", "fetch_or, SeqCst")
            .note("The kernel's is a full barrier for what stands around it; that takes a fence."),
        || ns_of(calls, || test_and_set_bit(&words, black_box(77))),
        || ns_of(calls, || fetch_or(black_box(77), Ordering::SeqCst)),
    );
}

fn holds(bench: Bench) {
    let dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
    let (calls, mutex) = (bench.ops(200_000), std::sync::Mutex::new(()));
    bench.compare(
        Claim::beside("hold delivery on one dispatcher", "std Mutex, alone"),
        || ns_of(calls, || dispatcher.hold_delivery()),
        || ns_of(calls, || drop(mutex.lock())),
    );
    bench.compare(
        Claim::beside("hold delivery on all dispatchers (one)", "std Mutex, alone").note(
            "local_irq_save of a thread that belongs to no dispatcher: it makes a list of them; a driver that \
             knows its line holds that one's.",
        ),
        || ns_of(calls, hold_delivery),
        || ns_of(calls, || drop(mutex.lock())),
    );
}

fn threads(bench: Bench) {
    let count = bench.ops(200).max(2);
    bench.compare(
        Claim::beside("kthread: run and stop", "thread: spawn and join").note(
            "Stopping a thread of ours wakes it, to tell it so; and its number is waited for.",
        ),
        || {
            ns_of(count, || {
                let thread = kthread::run("bench", || ()).expect("a thread starts");
                thread.stop().expect("it did not panic");
            })
        },
        || ns_of(count, || thread::spawn(|| ()).join().expect("it did not panic")),
    );
}
