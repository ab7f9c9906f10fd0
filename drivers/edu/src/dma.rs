//! The engine that moves bytes between memory and the device's buffer.
//!
//! It has one buffer of coherent memory, which belongs to the request that runs, in both directions. As long as the
//! device says that a transfer runs, the engine is not given another one, and the buffer to nobody.

use std::sync::Arc;

use uio_core::device::Device;
use uio_core::error::{Errno, Result};
use uio_core::io::{Io, IoRegion};
use uio_core::mem::dma::{Coherent, Mask, dma_rmb, dma_wmb};

use crate::engine::Unit;
use crate::regs::{BUFFER_BYTES, BUFFER_START, DMA_BITS, DmaCmd, DmaCount, DmaDst, DmaSrc};
use crate::stats::{Stats, count};

/// The longest transfer, in bytes.
pub(crate) const LONGEST: usize = 2048;

/// Bytes of the device's buffer that are used: QEMU 7.2 ends, and the machine in it, when a transfer
/// touches the last one.
pub(crate) const USABLE: usize = BUFFER_BYTES - 1;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From memory into the device's buffer.
    In,
    /// From the device's buffer to memory.
    Out,
}

/// A transfer that the device survives.
#[derive(Debug)]
pub(crate) struct Transfer {
    way: Way,
    offset: u32,
    /// What goes in, or room for what comes out.
    data: Vec<u8>,
}

impl Transfer {
    /// Moves `data` to `offset` of the device's buffer.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub(crate) fn to_device(offset: usize, data: &[u8]) -> Result<Self, Errno> {
        let offset = check(offset, data.len())?;
        Ok(Self { way: Way::In, offset, data: data.to_vec() })
    }

    /// Moves `len` bytes from `offset` of the device's buffer here.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub(crate) fn from_device(offset: usize, len: usize) -> Result<Self, Errno> {
        Ok(Self { way: Way::Out, offset: check(offset, len)?, data: vec![0; len] })
    }

    /// What came out.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Refuses a transfer that would end the emulator: one without bytes, one that leaves the buffer or touches its last
/// byte; and one that is longer than the memory for it.
fn check(offset: usize, len: usize) -> Result<u32, Errno> {
    let fits = offset.checked_add(len).is_some_and(|end| end <= USABLE);
    if len == 0 || len > LONGEST || !fits {
        return Err(Errno::EINVAL);
    }
    u32::try_from(offset).map_err(|_| Errno::EINVAL)
}

/// See the [module](self).
pub(crate) struct DmaUnit {
    regs: IoRegion,
    memory: Coherent<[u8]>,
    iova: u32,
    stats: Arc<Stats>,
}

impl DmaUnit {
    /// With memory that the device can reach, if there is an IOMMU that lets it; else none.
    ///
    /// # Errors
    ///
    /// What the kernel says when the memory is mapped.
    pub(crate) fn new(
        device: &Device,
        regs: &IoRegion,
        stats: &Arc<Stats>,
    ) -> Result<Option<Self>> {
        let domain = match device.dma() {
            Ok(domain) => domain,
            Err(error) if error.errno() == Errno::EOPNOTSUPP => {
                tracing::info!("{} runs without DMA: {error}", device.name());
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        domain.set_mask(Mask::bits(DMA_BITS))?;
        let memory = Coherent::zeroed_slice(&domain, LONGEST)?;
        // CAST: below 2^28, as the mask says.
        let iova = memory.iova().0 as u32;
        Ok(Some(Self { regs: regs.clone(), memory, iova, stats: Arc::clone(stats) }))
    }

    fn program(&self, src: u32, dst: u32, len: usize, cmd: DmaCmd) -> Result<(), Errno> {
        self.regs.try_write(DmaSrc::new(src))?;
        self.regs.try_write(DmaDst::new(dst))?;
        // CAST: at most LONGEST.
        self.regs.try_write(DmaCount::new(len as u32))?;
        // The memory is as the device is to find it before it is told to look.
        dma_wmb();
        Ok(self.regs.try_write(cmd)?)
    }
}

impl Unit for DmaUnit {
    type Job = Transfer;

    fn start(&self, job: &Transfer) -> Result<(), Errno> {
        let cmd = DmaCmd::default().with(DmaCmd::RUN, true).with(DmaCmd::RAISE_WHEN_DONE, true);
        let (inside, len) = (BUFFER_START + job.offset, job.data.len());
        // What comes out of a transfer that the IOMMU refused, of which the device tells nobody, is zeros, and not
        // what another client has had.
        let fill = if job.way == Way::In { &job.data[..] } else { &[0; LONGEST][..len] };
        self.memory.write_bytes(0, fill)?;
        match job.way {
            Way::In => self.program(self.iova, inside, len, cmd),
            Way::Out => self.program(inside, self.iova, len, cmd.with(DmaCmd::TO_MEMORY, true)),
        }
    }

    fn is_busy(&self) -> Result<bool, Errno> {
        let cmd = self.regs.try_read::<DmaCmd>()?;
        // Most bits of it are never set.
        if cmd.raw() == u32::MAX { Err(Errno::ENODEV) } else { Ok(cmd.get(DmaCmd::RUN)) }
    }

    fn finish(&self, job: &mut Transfer) -> Result<(), Errno> {
        let len = job.data.len() as u64;
        match job.way {
            Way::In => {
                count(&self.stats.transfers_in, 1);
                count(&self.stats.bytes_in, len);
            }
            Way::Out => {
                // What the device wrote came before the register that says that it has ended.
                dma_rmb();
                self.memory.read_bytes(0, &mut job.data)?;
                count(&self.stats.transfers_out, 1);
                count(&self.stats.bytes_out, len);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_that_would_end_the_emulator_is_refused() {
        for (offset, len) in [(0, 1), (0, 2048), (2047, 2048), (4094, 1)] {
            assert!(check(offset, len).is_ok(), "{offset} {len}");
        }
        for (offset, len) in
            [(0, 0), (0, 2049), (2048, 2048), (4095, 1), (4096, 1), (usize::MAX, 2)]
        {
            assert_eq!(check(offset, len), Err(Errno::EINVAL), "{offset} {len}");
        }
    }
}
