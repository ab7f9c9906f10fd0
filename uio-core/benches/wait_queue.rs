//! A wake-up by a wait queue, beside one by a bare futex: two threads take turns, and sleep in between.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::thread::futex;
use uio_core::sync::{Completion, WaitQueue};

use crate::support::{Bench, Claim, ns_each, pinned, two_cpus};

const ONE_CPU: Claim = Claim::at_most(1.15, "a wake-up, both threads on one CPU", "bare futex");
const TWO_CPUS: Claim = Claim::at_most(1.15, "a wake-up, threads on two CPUs", "bare futex");
const COMPLETION: Claim =
    Claim::at_most(1.0, "a completion, both threads on one CPU", "mpsc::sync_channel");

pub(crate) fn run(bench: Bench) {
    let (turns, cpus) = (bench.ops(10_000), two_cpus());
    let on = |claim, turns, other| {
        let ours = || ping_pong::<Queue>(turns, other);
        bench.compare(claim, ours, || ping_pong::<Futex>(turns, other));
    };
    on(ONE_CPU, turns, cpus.driver);
    on(TWO_CPUS, bench.ops(3000), cpus.other);
    let other = cpus.driver;
    bench.compare(
        COMPLETION,
        || ping_pong::<Completions>(turns, other),
        || ping_pong::<Channels>(turns, other),
    );
}

/// Two threads, 0 and 1, that take turns.
trait Turns: Sync + Send + Default + 'static {
    /// Sleeps until it is the turn of `me`.
    fn wait(&self, me: usize);

    /// Gives the turn to `other`.
    fn give(&self, other: usize);
}

/// Nanoseconds from one thread's turn to the other's. This thread is on the driver's processor.
fn ping_pong<T: Turns>(turns: usize, other: usize) -> f64 {
    let shared = Arc::new(T::default());
    let partner = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let _there = pinned(other);
            (0..=turns).for_each(|_| {
                shared.wait(1);
                shared.give(0);
            });
        })
    };
    let _here = pinned(two_cpus().driver);
    let there_and_back = || {
        shared.give(1);
        shared.wait(0);
    };
    // The partner has started then.
    there_and_back();
    let each = ns_each(2 * turns, || (0..turns).for_each(|_| there_and_back()));
    partner.join().expect("the partner takes its turns");
    each
}

/// A queue for each thread, as a driver has one for those who read and one for those who write.
#[derive(Default)]
struct Queue {
    turn: AtomicU32,
    queues: [WaitQueue; 2],
}

impl Turns for Queue {
    fn wait(&self, me: usize) {
        self.queues[me].wait_until(|| self.turn.load(Ordering::Acquire) == me as u32);
    }

    fn give(&self, other: usize) {
        self.turn.store(other as u32, Ordering::Release);
        self.queues[other].wake_one();
    }
}

#[derive(Default)]
struct Futex(AtomicU32);

impl Turns for Futex {
    fn wait(&self, me: usize) {
        let (me, other) = (me as u32, 1 - me as u32);
        while self.0.load(Ordering::Acquire) != me {
            // The turn has changed already, or somebody wakes: both are looked at above.
            let _ = futex::wait(&self.0, futex::Flags::PRIVATE, other, None);
        }
    }

    fn give(&self, other: usize) {
        self.0.store(other as u32, Ordering::Release);
        futex::wake(&self.0, futex::Flags::PRIVATE, 1).expect("a wake-up does not fail");
    }
}

#[derive(Default)]
struct Completions([Completion; 2]);

impl Turns for Completions {
    fn wait(&self, me: usize) {
        self.0[me].wait();
    }

    fn give(&self, other: usize) {
        self.0[other].complete();
    }
}

type Channel = (mpsc::SyncSender<()>, std::sync::Mutex<mpsc::Receiver<()>>);

/// The receivers' mutexes are for the compiler; each has one user.
struct Channels([Channel; 2]);

impl Default for Channels {
    fn default() -> Self {
        let channel = || {
            let (sender, receiver) = mpsc::sync_channel(1);
            (sender, std::sync::Mutex::new(receiver))
        };
        Self([channel(), channel()])
    }
}

impl Turns for Channels {
    fn wait(&self, me: usize) {
        let receiver = self.0[me].1.lock().expect("it has one user");
        receiver.recv().expect("the sender is there");
    }

    fn give(&self, other: usize) {
        self.0[other].0.send(()).expect("the receiver is there");
    }
}
