//! Read-copy-update: readers that pay next to nothing, writers that put a new version in the place of the old
//! one and wait until nobody can read that any more.
//!
//! # Vocabulary
//!
//! - **section**: what a thread does while it holds the guard of [`read_lock`]. It must not sleep.
//! - **[`RcuCell`]**: a pointer to the current version. What a section reads from it stays valid until the
//!   section ends, whatever is replaced meanwhile.
//! - **grace period**: a time at whose end every section that was there at its beginning is over.
//!   [`synchronize`] waits for one, [`call`] runs a function after one, and [`barrier`] waits for those.
//!
//! ```text
//!   readers    [ old ][ old       ]   [ new ] [ new ]
//!   writer          replace ─────────▶ grace period over: the old version is freed
//! ```
//!
//! # How it works, and why a reader never sees what was freed
//!
//! There is one epoch, a count that only grows. Each thread that reads has a word of its own, zero outside of
//! sections, else the epoch in which its section began.
//!
//! ```text
//!   reader                                   writer
//!   R1  own word = epoch (release)           W1  put the new pointer in place
//!   R2  fence(SeqCst)                        W2  epoch += 1, and fence(SeqCst)
//!   R3  load the pointer, read               W3  look at each thread's word until it is
//!   R4  own word = 0 (release)                   zero or of the new epoch (acquire)
//! ```
//!
//! The fences are totally ordered. If R2 is first, W3 sees the word of R1, which is of an older epoch, and waits
//! for R4, so that the reading happens before the freeing. If W2 is first, R3 sees the new pointer. A word of
//! the new epoch was loaded from W2 or later, so its section sees the new pointer too. A thread that begins to
//! read while the writer waits is not on its list, and put itself on the real one after W2, under a lock.
//!
//! This is the user-space RCU of Desnoyers and others (the variant with memory barriers), with a 64-bit epoch,
//! which never wraps, in the place of its two phases. A reader pays one fence, a writer the waiting. `arc-swap`,
//! which this crate uses for its own lists, would give a [`RcuCell`] but no `synchronize` and no `call`, since
//! it counts references to a version and not readers.
//!
//! # What differs from the kernel
//!
//! A writer that waits looks again and again, less and less often, up to a millisecond apart: a reader that
//! leaves wakes nobody, which would cost it another fence. Sections nest; they are preempted as any thread is.
//!
//! Mirrors `include/linux/rcupdate.h`, `rust/kernel/sync/rcu.rs` (`Documentation/RCU/whatisRCU.rst`).

#[cfg(not(loom))]
mod call;
#[cfg(not(loom))]
mod cell;
mod domain;
#[cfg(not(loom))]
mod section;

#[cfg(not(loom))]
pub use self::call::{barrier, call};
#[cfg(not(loom))]
pub use self::cell::{RcuCell, Retired};
#[cfg(not(loom))]
pub use self::section::{Guard, is_reading, read_lock, synchronize};

#[cfg(all(test, not(loom)))]
mod tests;
