//! [`ByAddress`]: the caches of arm64, written back and dropped by address.
//!
//! Linux lets processes clean and invalidate data by address (`SCTLR_EL1.UCI`), and read how long a line is
//! (`SCTLR_EL1.UCT`). There is no pure invalidation for them, which might bring back what was there before; none is needed:
//! before a transfer lines are cleaned and invalidated, so that none is dirty when the device writes, and after it those
//! that were fetched ahead are dropped. An emulator has no caches, so that no test there can tell.
//!
//! Mirrors `arch/arm64/mm/cache.S` (`dcache_clean_inval_poc`).
#![expect(unsafe_code, reason = "no other way to the caches than instructions")]

use std::arch::asm;
use std::sync::Arc;

use super::{CacheSync, Coherence};
use crate::error::Result;
use crate::mem::dma::{Direction, Pages};

/// Of cached pages that the device sees only in memory.
pub(super) struct ByAddress(pub(super) Arc<Pages>);

impl CacheSync for ByAddress {
    fn coherence(&self) -> Coherence {
        Coherence::ByHand
    }

    fn for_device(&self, offset: usize, len: usize, _direction: Direction) -> Result<()> {
        clean_and_invalidate(self.0.address().as_ptr().addr() + offset, len);
        Ok(())
    }

    fn for_cpu(&self, offset: usize, len: usize, direction: Direction) -> Result<()> {
        if direction.device_writes() {
            clean_and_invalidate(self.0.address().as_ptr().addr() + offset, len);
        }
        Ok(())
    }
}

/// Bytes of the shortest line of a data cache.
fn line() -> usize {
    let ctr: usize;
    // SAFETY: reads a register that says what the caches are like.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    4 << (ctr >> 16 & 0xF)
}

/// `len` bytes at `address`, which are mapped.
fn clean_and_invalidate(address: usize, len: usize) {
    let line = line();
    barrier();
    for at in (address - address % line..address + len).step_by(line) {
        // SAFETY: changes what no program sees: data in a cache goes to its place in memory, which is mapped.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
    }
    barrier();
}

/// All accesses and cache operations before are complete.
fn barrier() {
    // SAFETY: a barrier changes nothing.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}
