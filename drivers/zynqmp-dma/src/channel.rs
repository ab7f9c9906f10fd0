//! [`Channel`]: the registers, programmed for one copy at a time. Nobody else writes them, but for the top half, which
//! acknowledges.
//!
//! # Why nothing here believes an interrupt alone
//!
//! `start` clears ISR before it sets ENABLE, and notes TOTAL_BYTE. So a copy has ended if ISR has had DONE or an error
//! since, STATUS says that the channel is at rest, and TOTAL_BYTE has grown by its length. An interrupt that is late, or
//! of the copy before, fails one of these.

use uio_core::io::{AccessError, Io, IoRegion};
use uio_core::mem::dma::{Iova, dma_rmb, dma_wmb};

use crate::regs::{
    Ctrl0, Ctrl2, DATA_ATTR_CACHED, DATA_ATTR_RESET, DataAttr, DstAccount, DstControl, DstHigh,
    DstLow, DstSize, Ids, Ien, Isr, SrcAccount, SrcControl, SrcHigh, SrcLow, SrcSize, Status,
    TotalByte, cause,
};

/// STATE of a channel that is paused, or at work. QEMU says 1 for at work, which in simple mode is nothing else.
const AT_WORK: [u32; 2] = [1, 2];

/// See the [module](self).
pub(crate) struct Channel {
    regs: IoRegion,
    is_coherent: bool,
}

impl Channel {
    /// The channel behind `regs`; with `is_coherent`, its accesses go through the CPU's caches, which the device tree
    /// says with `dma-coherent`.
    pub(crate) fn new(regs: IoRegion, is_coherent: bool) -> Self {
        Self { regs, is_coherent }
    }

    /// Brings the channel, which is at rest, to where `start` begins: simple mode, nothing pending, interrupts on.
    pub(crate) fn initialise(&self) -> Result<(), AccessError> {
        self.forget()?;
        self.regs.try_write(Ctrl0::default())?;
        let caches = if self.is_coherent { DATA_ATTR_CACHED } else { 0 };
        self.regs.try_write(DataAttr::new(DATA_ATTR_RESET | caches))?;
        self.regs.try_read::<SrcAccount>()?;
        self.regs.try_read::<DstAccount>()?;
        self.regs.try_write(Ien::new(cause::WANTED))
    }

    /// No interrupts any more, and no new copy. The one that is under way may go on for a moment:
    /// [`is_at_work`](Self::is_at_work) tells.
    pub(crate) fn stop(&self) -> Result<(), AccessError> {
        self.regs.try_write(Ids::new(cause::ALL))?;
        self.regs.try_write(Ctrl2::default())
    }

    /// Has the channel, which is at rest, copy `len` bytes. What TOTAL_BYTE was before.
    pub(crate) fn start(&self, src: Iova, dst: Iova, len: u32) -> Result<u32, AccessError> {
        self.regs.try_write(Isr::new(cause::ALL))?;
        let before = self.total()?;
        let (low, high) = halves(src);
        self.regs.try_write(SrcLow::new(low))?;
        self.regs.try_write(SrcHigh::new(high))?;
        self.regs.try_write(SrcSize::new(len))?;
        self.regs.try_write(SrcControl::default().with(SrcControl::COHERENT, self.is_coherent))?;
        let (low, high) = halves(dst);
        self.regs.try_write(DstLow::new(low))?;
        self.regs.try_write(DstHigh::new(high))?;
        self.regs.try_write(DstSize::new(len))?;
        self.regs.try_write(DstControl::default().with(DstControl::COHERENT, self.is_coherent))?;
        // The memory is as the engine is to find it before it is told to look.
        dma_wmb();
        self.regs.try_write(Ctrl2::default().with(Ctrl2::ENABLE, true))?;
        Ok(before)
    }

    /// Whether it reads or writes memory.
    pub(crate) fn is_at_work(&self) -> Result<bool, AccessError> {
        let status = self.regs.try_read::<Status>()?;
        // What it wrote came before the register that says that it is at rest.
        dma_rmb();
        Ok(AT_WORK.contains(&status.get(Status::STATE)))
    }

    /// Bytes moved so far, modulo 2^32.
    pub(crate) fn total(&self) -> Result<u32, AccessError> {
        Ok(self.regs.try_read::<TotalByte>()?.raw())
    }

    /// Why it would raise an interrupt, for one who heard none; forgets it.
    pub(crate) fn take_causes(&self) -> Result<u32, AccessError> {
        let causes = self.regs.try_read::<Isr>()?.raw() & cause::WANTED;
        self.regs.try_write(Isr::new(causes))?;
        Ok(causes)
    }

    fn forget(&self) -> Result<(), AccessError> {
        self.regs.try_write(Ids::new(cause::ALL))?;
        self.regs.try_write(Isr::new(cause::ALL))
    }
}

fn halves(address: Iova) -> (u32, u32) {
    // CAST: the low half, and the high half.
    (address.0 as u32, (address.0 >> 32) as u32)
}
