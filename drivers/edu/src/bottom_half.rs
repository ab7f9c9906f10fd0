//! BOTTOM HALF: let the engine that raised look at its work. Runs as a tasklet, after interrupts.

use std::sync::Arc;

use crate::engines::Engines;
use crate::regs::cause;
use crate::top_half::Causes;

pub(crate) struct BottomHalf {
    pub(crate) causes: Arc<Causes>,
    pub(crate) engines: Arc<Engines>,
}

impl BottomHalf {
    /// The tasklet's function. The bits say only where to look: whether anything has ended, the engines ask the
    /// device.
    pub(crate) fn run(&self) {
        let causes = self.causes.take();
        if causes & cause::FACTORIAL != 0 {
            self.engines.factorial.service();
        }
        if causes & cause::DMA != 0
            && let Some(dma) = &self.engines.dma
        {
            dma.service();
        }
    }
}
