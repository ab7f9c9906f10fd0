//! [`RoomWanted`]: the bottom half waits for a reader to make room in the rx ring.
//!
//! # Why the reader always comes
//!
//! ```text
//!   bottom half                             reader
//!   B1  the ring is too full: level = n     R1  take bytes out of the ring
//!   B2  fence(SeqCst)                       R2  fence(SeqCst)
//!   B3  look at the ring again              R3  if the ring holds at most `level`: schedule the bottom half
//! ```
//!
//! If B2 is first, R3 sees the level. If R2 is first, B3 sees the room, and goes on by itself.

use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// Nobody waits.
const NOTHING: usize = usize::MAX;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct RoomWanted(AtomicUsize);

impl RoomWanted {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(NOTHING))
    }

    /// B1 and B2: a run is wanted when the ring holds at most `level` bytes.
    pub(crate) fn set(&self, level: usize) {
        self.0.store(level, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn clear(&self) {
        self.0.store(NOTHING, Ordering::Relaxed);
    }

    /// R2 and R3: whether the reader, who left `held` bytes in the ring, owes the bottom half a run.
    pub(crate) fn is_due(&self, held: usize) -> bool {
        fence(Ordering::SeqCst);
        let level = self.0.load(Ordering::Relaxed);
        level != NOTHING && held <= level
    }
}
