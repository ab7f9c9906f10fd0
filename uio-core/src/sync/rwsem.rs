//! [`RwSemaphore`]: a sleeping lock that many may read, or one may write.
//!
//! # Vocabulary
//!
//! - **fair**: who waits is served in order of arrival, and nobody comes between. Readers that stand together
//!   at the front go in together. A reader that comes while a writer waits waits behind it, so that writers are
//!   not starved; and readers that wait go in before the writers that came after them.
//! - **downgrade**: a writer becomes a reader without letting another writer in between.
//!
//! ```text
//!                 write                    downgrade_write                  read
//!   free ────────────────────▶ written ─────────────────────▶ read by 1 ◀─────────── read by n
//!    ▲                            │                               │  ───────────▶        │
//!    └────────────────────────────┴───────────────────────────────┘   another reader,
//!                          guard dropped: the front of the queue goes in     no queue
//! ```
//!
//! # Why nobody is forgotten
//!
//! The state and the queue are behind one mutex, and each change of the state looks at the front of the queue
//! before it lets go of the mutex; so is each leaving of the queue, since who leaves may have stood before some
//! that can go in. Whoever is let in is counted in by the one who lets it in.
//!
//! The data is in a reader-writer lock of `std`, which is only ever tried, and never fails, because the state
//! has let its taker in: no unsafe code is needed for the few instructions that it costs.
//!
//! A thread must not read twice at a time, as in the kernel: a writer may have come between.
//!
//! Mirrors `include/linux/rwsem.h`, `kernel/locking/rwsem.c`.
//!
//! # Lock order
//!
//! The mutex of the state is a leaf.

mod queue;

use std::fmt;
use std::ops::{Deref, DerefMut};

use self::queue::{Access, Queue};
use super::facade::{RwLock, RwLockReadGuard, RwLockWriteGuard, attempted, const_fn, unpoisoned};
use super::lockdep::{Held, Key, Kind};
use super::park::Sleep;
use super::task::Interrupted;

/// A fair reader-writer lock whose holders may sleep.
#[doc(alias("rw_semaphore", "init_rwsem", "DECLARE_RWSEM"))]
pub struct RwSemaphore<T> {
    key: Key,
    queue: Queue,
    data: RwLock<T>,
}

/// Shared access to what a [`RwSemaphore`] protects, until it is dropped.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwSemaphoreReadGuard<'a, T> {
    // In this order: the data is free before the turn is given on.
    data: RwLockReadGuard<'a, T>,
    _turn: Turn<'a>,
    _held: Held,
}

/// Exclusive access to what a [`RwSemaphore`] protects, until it is dropped.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwSemaphoreWriteGuard<'a, T> {
    data: RwLockWriteGuard<'a, T>,
    turn: Turn<'a>,
    held: Held,
    lock: &'a RwSemaphore<T>,
}

/// Having been let in; ends when it is dropped.
struct Turn<'a> {
    queue: &'a Queue,
    access: Access,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.leave(self.access);
    }
}

impl<T> RwSemaphore<T> {
    const_fn! {
        /// A free lock around `data`.
        #[track_caller]
        pub fn new(data: T) -> Self {
            Self { key: Key::new(Kind::Sleep), queue: Queue::new(), data: RwLock::new(data) }
        }
    }

    /// Takes the lock for reading, asleep while somebody writes or waits to.
    #[track_caller]
    #[doc(alias = "down_read")]
    pub fn read(&self) -> RwSemaphoreReadGuard<'_, T> {
        let held = self.key.acquire(0);
        let _granted = self.queue.enter(Access::Read, Sleep::Uninterruptible);
        self.reading(held)
    }

    /// Takes the lock for writing, asleep until nobody has it and all who came before had their turn.
    #[track_caller]
    #[doc(alias = "down_write")]
    pub fn write(&self) -> RwSemaphoreWriteGuard<'_, T> {
        self.write_nested(0)
    }

    /// As [`write`](Self::write), of a lock that is rightly taken inside another of its class.
    #[track_caller]
    #[doc(alias = "down_write_nested")]
    pub fn write_nested(&self, subclass: u8) -> RwSemaphoreWriteGuard<'_, T> {
        let held = self.key.acquire(subclass);
        let _granted = self.queue.enter(Access::Write, Sleep::Uninterruptible);
        self.writing(held)
    }

    /// As [`read`](Self::read); an [interrupt](super::Interrupt) ends the wait.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the thread was interrupted first, or before; it does not have the lock.
    #[track_caller]
    #[doc(alias = "down_read_interruptible")]
    pub fn read_interruptible(&self) -> Result<RwSemaphoreReadGuard<'_, T>, Interrupted> {
        let held = self.key.acquire(0);
        self.queue.enter(Access::Read, Sleep::Interruptible)?;
        Ok(self.reading(held))
    }

    /// As [`write`](Self::write); an [interrupt](super::Interrupt) ends the wait.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the thread was interrupted first, or before; it does not have the lock.
    #[track_caller]
    #[doc(alias = "down_write_killable")]
    pub fn write_interruptible(&self) -> Result<RwSemaphoreWriteGuard<'_, T>, Interrupted> {
        let held = self.key.acquire(0);
        self.queue.enter(Access::Write, Sleep::Interruptible)?;
        Ok(self.writing(held))
    }

    /// Takes the lock for reading if nobody writes or waits to.
    #[track_caller]
    #[doc(alias = "down_read_trylock")]
    pub fn try_read(&self) -> Option<RwSemaphoreReadGuard<'_, T>> {
        self.queue.try_enter(Access::Read).then(|| self.reading(self.key.acquired()))
    }

    /// Takes the lock for writing if nobody has it or waits for it.
    #[track_caller]
    #[doc(alias = "down_write_trylock")]
    pub fn try_write(&self) -> Option<RwSemaphoreWriteGuard<'_, T>> {
        self.queue.try_enter(Access::Write).then(|| self.writing(self.key.acquired()))
    }

    /// Ends the lock.
    pub fn into_inner(self) -> T {
        unpoisoned(self.data.into_inner())
    }

    /// The caller has been let in to read.
    fn reading(&self, held: Held) -> RwSemaphoreReadGuard<'_, T> {
        let turn = Turn { queue: &self.queue, access: Access::Read };
        RwSemaphoreReadGuard { data: self.shared(), _turn: turn, _held: held }
    }

    /// The caller has been let in to write.
    fn writing(&self, held: Held) -> RwSemaphoreWriteGuard<'_, T> {
        let turn = Turn { queue: &self.queue, access: Access::Write };
        // PANIC: not reached; whoever was in has let the data go before it left the queue.
        let data = attempted(self.data.try_write()).expect("the queue lets one writer in, alone");
        RwSemaphoreWriteGuard { data, turn, held, lock: self }
    }

    fn shared(&self) -> RwLockReadGuard<'_, T> {
        // PANIC: not reached; the last writer has let the data go before it left the queue.
        attempted(self.data.try_read()).expect("the queue lets no writer in beside a reader")
    }
}

impl<'a, T> RwSemaphoreWriteGuard<'a, T> {
    /// Becomes a reader. No writer comes between; readers at the front of the queue come in.
    pub fn downgrade_write(self) -> RwSemaphoreReadGuard<'a, T> {
        let Self { data, mut turn, held, lock } = self;
        drop(data);
        let data = lock.shared();
        turn.queue.downgrade();
        turn.access = Access::Read;
        RwSemaphoreReadGuard { data, _turn: turn, _held: held }
    }
}

impl<T> Deref for RwSemaphoreReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> Deref for RwSemaphoreWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> DerefMut for RwSemaphoreWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: fmt::Debug> fmt::Debug for RwSemaphore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwSemaphore")
            .field("queue", &self.queue)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for RwSemaphoreReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwSemaphoreWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
