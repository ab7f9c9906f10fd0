//! The addresses that may fault, in a form that a signal handler can read.
//!
//! # Vocabulary
//!
//! - **slot**: one place of the table; free, or the range of one mapping.
//! - **sequence**: a count for each slot, odd while a writer is at work on it.
//!
//! ```text
//!   writer (one at a time)                    handler
//!   P1  sequence = odd                        C1  load sequence (acquire); odd: not ours
//!   P2  fence(release)                        C2  load start, end, mark
//!   P3  store start, end, mark                C3  fence(acquire)
//!   P4  sequence = even (release)             C4  load sequence; another than at C1: not ours
//! ```
//!
//! # Why a handler finds its slot, and never half of one
//!
//! If C2 reads a word that a later P3 stored, the fences P2 and C3 order P1 before C4, which so sees the
//! sequence move; if C1 saw the even sequence of P4, C2 sees all of P3. So what passes C4 was the slot of one
//! moment: the start of one mapping is never joined to the end of another.
//!
//! A reader of a plain sequence lock tries again; a handler must not, for the writer may be the thread that it
//! interrupted. It need not either. Whoever touches a mapping holds it alive, and so
//!
//! - its slot was filled before the access (P4 happens before the mapping is handed out), and
//! - nobody empties the slot before the access has ended, signal handler and all.
//!
//! The slot of the faulting address therefore holds still, and a slot that moves is another one's. The same
//! argument lets the handler use the mark: the slot borrows it from the mapping, which empties the slot first.
//!
//! An address that is nobody's is found in no slot: the slot of a mapping is emptied before its pages are
//! unmapped, and only then can the kernel give the address away again.

#[cfg(loom)]
use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};
use std::ptr::{self, NonNull};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};

/// `N` slots for ranges, each with a mark of type `T`, which is borrowed.
pub(super) struct Table<T, const N: usize> {
    slots: [Slot<T>; N],
}

struct Slot<T> {
    sequence: AtomicUsize,
    /// First address.
    start: AtomicUsize,
    /// One past the last address; 0 in a free slot.
    end: AtomicUsize,
    mark: AtomicPtr<T>,
}

/// The range that an address lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit<T> {
    /// First address.
    pub(super) start: usize,
    /// One past the last address.
    pub(super) end: usize,
    /// What was inserted with the range.
    pub(super) mark: NonNull<T>,
}

impl<T> Slot<T> {
    #[cfg(not(loom))]
    const fn free() -> Self {
        Self {
            sequence: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            mark: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[cfg(loom)]
    fn free() -> Self {
        Self {
            sequence: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            mark: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Changes the slot. Only one writer at a time.
    fn set(&self, start: usize, end: usize, mark: *mut T) {
        // Relaxed: writers take turns, so this reads their own last store.
        let sequence = self.sequence.load(Ordering::Relaxed);
        // P1, P2: pair with C3 and C4.
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        // P3
        self.start.store(start, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
        self.mark.store(mark, Ordering::Relaxed);
        // P4: pairs with C1.
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// The slot as it was at one moment, if it holds `address`.
    fn holding(&self, address: usize) -> Option<Hit<T>> {
        // C1: pairs with P4.
        let before = self.sequence.load(Ordering::Acquire);
        if before & 1 != 0 {
            return None;
        }
        // C2
        let start = self.start.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        let mark = self.mark.load(Ordering::Relaxed);
        // C3: pairs with P2.
        fence(Ordering::Acquire);
        // C4: pairs with P1.
        if self.sequence.load(Ordering::Relaxed) != before {
            return None;
        }
        let mark = NonNull::new(mark)?;
        (start..end).contains(&address).then_some(Hit { start, end, mark })
    }
}

impl<T, const N: usize> Table<T, N> {
    /// A table of free slots.
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { slots: [const { Slot::free() }; N] }
    }

    /// As the other one; atomics of a model are born at run time.
    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self { slots: std::array::from_fn(|_| Slot::free()) }
    }

    /// Puts a range into a free slot, and says which; none if there is none. Only one writer at a time.
    pub(super) fn insert(&self, start: usize, end: usize, mark: NonNull<T>) -> Option<usize> {
        // Relaxed: writers take turns, so this reads what they stored.
        let free = |slot: &Slot<T>| slot.end.load(Ordering::Relaxed) == 0;
        let index = self.slots.iter().position(free)?;
        self.slots[index].set(start, end, mark.as_ptr());
        Some(index)
    }

    /// Empties a slot that `insert` filled. Only one writer at a time.
    pub(super) fn remove(&self, index: usize) {
        self.slots[index].set(0, 0, ptr::null_mut());
    }

    /// The range that holds `address`. Takes no lock, allocates nothing, never waits: for a signal handler.
    pub(super) fn find(&self, address: usize) -> Option<Hit<T>> {
        self.slots.iter().find_map(|slot| slot.holding(address))
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
