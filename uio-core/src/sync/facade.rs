//! `std`'s synchronisation, or loom's when the crate is built as a model (`--cfg loom`).
//!
//! Lock-free code in this crate takes its atomics, cells, mutexes and threads from here and nowhere else, so
//! that the code that is modelled is the code that ships.

use std::sync::{Arc as StdArc, LockResult, PoisonError, TryLockError, TryLockResult};

#[cfg(not(loom))]
pub(crate) use std::{
    sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread, thread_local,
};

#[cfg(loom)]
pub(crate) use loom::{
    sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread, thread_local,
};

/// Parking threads: [`parking::current`], [`parking::Thread::unpark`], [`parking::park`].
#[cfg(not(loom))]
pub(crate) use std::thread as parking;

/// Parking with a token for each thread. Loom's own `unpark` also wakes a thread that is blocked in a mutex or
/// a join, which the standard's does not.
#[cfg(loom)]
pub(crate) mod parking {
    use loom::sync::{Arc, Condvar, Mutex};

    #[derive(Clone)]
    pub(crate) struct Thread(Arc<(Mutex<bool>, Condvar)>);

    loom::thread_local! {
        static OWN: Thread = Thread(Arc::new((Mutex::new(false), Condvar::new())));
    }

    pub(crate) fn current() -> Thread {
        OWN.with(Clone::clone)
    }

    impl Thread {
        pub(crate) fn unpark(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }
    }

    pub(crate) fn park() {
        let own = current();
        let mut token = own.0.0.lock().unwrap();
        while !*token {
            token = own.0.1.wait(token).unwrap();
        }
        *token = false;
    }
}

/// A `const fn`, so that a `static` can be made of it; a plain one in a model, whose atomics are born at run
/// time.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attr])*
        $vis const fn $($rest)*

        #[cfg(loom)]
        $(#[$attr])*
        $vis fn $($rest)*
    };
}

pub(crate) use const_fn;

/// Locks, whatever became of the last holder: a lock of the kernel knows no poison.
pub(crate) fn unpoisoned<G>(locked: LockResult<G>) -> G {
    locked.unwrap_or_else(PoisonError::into_inner)
}

/// As [`unpoisoned`], of an attempt.
pub(crate) fn attempted<G>(locked: TryLockResult<G>) -> Option<G> {
    match locked {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A list that is read by everybody on the fast path and changed seldom, by copying.
///
/// A reader sees one whole version, takes no lock and allocates nothing; this is the role that
/// `rcu_dereference` and a copied array have in the kernel. An empty one costs a reader a load.
#[derive(Debug)]
pub(crate) struct Snapshot<T> {
    #[cfg(not(loom))]
    current: arc_swap::ArcSwapOption<Vec<T>>,
    /// How long the list is, changed after it by what each change added: while changes are under way it may be
    /// anything but zero where the list was not and will not be empty.
    #[cfg(not(loom))]
    len: atomic::AtomicUsize,
    #[cfg(loom)]
    current: Mutex<StdArc<Vec<T>>>,
}

impl<T> Snapshot<T> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                #[cfg(not(loom))]
                current: arc_swap::ArcSwapOption::const_empty(),
                #[cfg(not(loom))]
                len: atomic::AtomicUsize::new(0),
                #[cfg(loom)]
                current: Mutex::new(StdArc::new(Vec::new())),
            }
        }
    }
}

impl<T: Clone> Snapshot<T> {
    /// Calls `f` with the version that is current now.
    #[cfg(not(loom))]
    pub(crate) fn read<R>(&self, f: impl FnOnce(&[T]) -> R) -> R {
        // Acquire: pairs with the addition in `update`.
        if self.len.load(atomic::Ordering::Acquire) == 0 {
            return f(&[]);
        }
        f(self.current.load().as_ref().map_or(&[], |version| version.as_slice()))
    }

    #[cfg(loom)]
    pub(crate) fn read<R>(&self, f: impl FnOnce(&[T]) -> R) -> R {
        let version = StdArc::clone(&self.current.lock().unwrap());
        f(&version)
    }

    /// Puts a changed copy in the place of the current version. `change` may run more than once.
    #[cfg(not(loom))]
    pub(crate) fn update(&self, mut change: impl FnMut(&mut Vec<T>)) {
        let mut added = 0;
        self.current.rcu(|old| {
            let mut new = old.as_ref().map_or_else(Vec::new, |old| Vec::clone(old));
            let before = new.len();
            change(&mut new);
            added = new.len().wrapping_sub(before);
            Some(StdArc::new(new))
        });
        // SeqCst: whoever changed the list and then looks at something else is ordered against those who
        // changed that and then read the list.
        self.len.fetch_add(added, atomic::Ordering::SeqCst);
    }

    #[cfg(loom)]
    pub(crate) fn update(&self, mut change: impl FnMut(&mut Vec<T>)) {
        let mut current = self.current.lock().unwrap();
        let mut new = Vec::clone(&current);
        change(&mut new);
        *current = StdArc::new(new);
    }
}
