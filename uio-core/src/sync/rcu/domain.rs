//! The epoch and the readers: who reads since when, and waiting until none of them does.

#[cfg(not(loom))]
use std::time::Duration;

use crate::sync::facade::atomic::{AtomicU64, Ordering, fence};
use crate::sync::facade::{Arc, Mutex, const_fn};

/// The word of a thread that does not read.
const QUIET: u64 = 0;

/// A thread's word, on a cache line of its own: it is written by one and seldom read.
#[repr(align(64))]
pub(super) struct Reader {
    since: AtomicU64,
}

/// Readers and writers that know of each other.
pub(super) struct Domain {
    epoch: AtomicU64,
    readers: Mutex<Vec<Arc<Reader>>>,
}

impl Domain {
    const_fn! {
        pub(super) fn new() -> Self {
            Self { epoch: AtomicU64::new(QUIET + 1), readers: Mutex::new(Vec::new()) }
        }
    }

    /// A new thread among the readers, quiet.
    pub(super) fn register(&self) -> Arc<Reader> {
        let reader = Arc::new(Reader { since: AtomicU64::new(QUIET) });
        self.readers.lock().unwrap().push(Arc::clone(&reader));
        reader
    }

    /// The thread reads no more.
    pub(super) fn unregister(&self, reader: &Arc<Reader>) {
        self.readers.lock().unwrap().retain(|other| !Arc::ptr_eq(other, reader));
    }

    /// Begins the thread's section.
    #[inline]
    pub(super) fn enter(&self, reader: &Reader) {
        // R1. The load may be relaxed, since R2 follows. Release: who waits for an older section and sees this
        // one has seen the end of that.
        reader.since.store(self.epoch.load(Ordering::Relaxed), Ordering::Release);
        // R2: pairs with the fence of W2, and with its addition, so that who has its epoch sees its pointer.
        fence(Ordering::SeqCst);
    }

    /// Ends the thread's section.
    #[inline]
    pub(super) fn leave(&self, reader: &Reader) {
        // R4: pairs with the load of W3.
        reader.since.store(QUIET, Ordering::Release);
    }

    /// Waits until every section that began before has ended.
    pub(super) fn synchronize(&self) {
        // W2: pairs with R1 and R2.
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
        fence(Ordering::SeqCst);
        let readers = self.readers.lock().unwrap().clone();
        let mut patience = Patience::default();
        // W3
        for reader in readers {
            while !reader.is_past(epoch) {
                patience.wait();
            }
        }
    }
}

impl Reader {
    fn is_past(&self, epoch: u64) -> bool {
        let since = self.since.load(Ordering::Acquire);
        since == QUIET || since >= epoch
    }
}

/// Looks again soon at first, and then less and less often.
#[derive(Default)]
struct Patience {
    rounds: u32,
}

impl Patience {
    #[cfg(not(loom))]
    fn wait(&mut self) {
        /// Rounds that spin, and the round after which it no longer yields but sleeps.
        const SPINS: u32 = 64;
        const YIELDS: u32 = 80;
        self.rounds += 1;
        match self.rounds {
            ..SPINS => std::hint::spin_loop(),
            SPINS..YIELDS => std::thread::yield_now(),
            rounds => {
                let pause = Duration::from_micros(10 << (rounds - YIELDS).min(7));
                std::thread::park_timeout(pause.min(LONGEST));
            }
        }
    }

    #[cfg(loom)]
    fn wait(&mut self) {
        self.rounds += 1;
        loom::thread::yield_now();
    }
}

/// The longest pause between two looks.
#[cfg(not(loom))]
const LONGEST: Duration = Duration::from_millis(1);

#[cfg(all(test, loom))]
mod loom_models {
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::AtomicUsize;

    use super::*;

    /// Two versions, and which of them is the current one.
    struct Shared {
        domain: Domain,
        current: AtomicUsize,
        versions: [UnsafeCell<()>; 2],
    }

    impl Shared {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                domain: Domain::new(),
                current: AtomicUsize::new(0),
                versions: [UnsafeCell::new(()), UnsafeCell::new(())],
            })
        }

        fn read(&self, reader: &Reader) {
            self.domain.enter(reader);
            let version = self.current.load(Ordering::Acquire);
            self.versions[version].with(|_| ());
            self.domain.leave(reader);
        }

        /// The model fails if anybody can still read the version that this frees.
        fn replace_and_free(&self) {
            self.current.store(1, Ordering::Release);
            self.domain.synchronize();
            self.versions[0].with_mut(|_| ());
        }
    }

    /// A thread that reads twice beside a writer: what is freed is not read any more.
    #[test]
    fn loom_synchronize_waits_for_readers() {
        loom::model(|| {
            let shared = Shared::new();
            let reader = shared.domain.register();
            let thread = {
                let shared = Arc::clone(&shared);
                loom::thread::spawn(move || {
                    shared.read(&reader);
                    shared.read(&reader);
                })
            };
            shared.replace_and_free();
            thread.join().unwrap();
        });
    }

    /// A thread that becomes a reader while the writer is at work.
    #[test]
    fn loom_a_thread_that_begins_to_read_is_waited_for_or_sees_the_new_version() {
        loom::model(|| {
            let shared = Shared::new();
            let thread = {
                let shared = Arc::clone(&shared);
                loom::thread::spawn(move || {
                    let reader = shared.domain.register();
                    shared.read(&reader);
                    shared.domain.unregister(&reader);
                })
            };
            shared.replace_and_free();
            thread.join().unwrap();
        });
    }

    /// Two writers at a time and a reader: each waits for it.
    #[test]
    fn loom_two_writers_wait_for_the_same_reader() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let shared = Shared::new();
            let reader = shared.domain.register();
            let threads = [
                loom::thread::spawn({
                    let shared = Arc::clone(&shared);
                    move || shared.read(&reader)
                }),
                loom::thread::spawn({
                    let shared = Arc::clone(&shared);
                    move || shared.domain.synchronize()
                }),
            ];
            shared.replace_and_free();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}
