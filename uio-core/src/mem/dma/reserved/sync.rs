//! [`CacheSync`]: what is done when a block changes its owner.

use super::Coherence;
use crate::error::Result;
use crate::mem::dma::Direction;
use crate::mem::dma::barrier::{dma_rmb, dma_wmb};

/// The cache rules of one memory. Mirrors `arch_sync_dma_for_device` and `arch_sync_dma_for_cpu`.
pub(crate) trait CacheSync: Send + Sync {
    /// Which rules these are.
    fn coherence(&self) -> Coherence;

    /// The device gets `len` bytes at `offset`: it is to see what the CPU wrote.
    ///
    /// # Errors
    ///
    /// What the kernel says; then the device may see what was there before.
    fn for_device(&self, offset: usize, len: usize, direction: Direction) -> Result<()>;

    /// The CPU gets them back: it is to see what the device wrote.
    ///
    /// # Errors
    ///
    /// What the kernel says; then the CPU may see what was there before.
    fn for_cpu(&self, offset: usize, len: usize, direction: Direction) -> Result<()>;
}

/// Of memory where nothing is between the two but order.
pub(crate) struct Ordered(pub(crate) Coherence);

impl CacheSync for Ordered {
    fn coherence(&self) -> Coherence {
        self.0
    }

    fn for_device(&self, _offset: usize, _len: usize, _direction: Direction) -> Result<()> {
        dma_wmb();
        Ok(())
    }

    fn for_cpu(&self, _offset: usize, _len: usize, _direction: Direction) -> Result<()> {
        dma_rmb();
        Ok(())
    }
}
