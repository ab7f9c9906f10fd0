//! The memory that the channel copies in: the carve-out of the device tree, or what stands in for it.

use uio_core::device::Device;
use uio_core::error::{Errno, Error, Result};
use uio_core::mem::dma::ReservedMemory;

use crate::copies::Limits;
use crate::engine::Keep;
use crate::regs::ADDRESS_BITS;

/// The region that is the carve-out: its entry in `reg-names`.
pub(crate) const REGION: &str = "buf";

/// The longest piece of a write that is echoed at once, in bytes.
pub(crate) const ECHO: usize = 4096;
/// Bytes of the memory that are for echoes: the rest is the clients'.
const ECHOES: usize = 16 * ECHO;
/// Less is no memory to work with.
const SMALLEST: usize = 2 * ECHOES;
/// Bytes that are asked for where there is no carve-out: a huge page, of which one is contiguous in itself.
const PHYSICAL: usize = 2 << 20;

/// Finds the memory of the device and parts it: the arena of the clients, cleared, and the rest.
///
/// # Errors
///
/// - `ENODEV`, `EPERM` if there is no carve-out, and the user has not accepted to do without;
/// - `EINVAL` if it is too small, or where the channel does not reach.
pub(crate) fn find(device: &Device) -> Result<Keep> {
    let memory = match device.region_index(REGION) {
        Some(_) => device.reserved_memory(REGION)?,
        None => without_carve_out(device)?,
    };
    check(&memory)?;
    let arena = memory.alloc(memory.len() - ECHOES, 1)?.into_shared()?;
    // What an earlier owner left is none of the clients' business.
    arena.fill(0, 0, arena.len()).map_err(|error| {
        Error::new(error.into(), "cannot clear", memory.name()).with_cause(error)
    })?;
    Ok(Keep { arena, memory })
}

/// Pages of this process, if the user has accepted the risk; else what to do.
fn without_carve_out(device: &Device) -> Result<ReservedMemory> {
    let memory = device.physical_memory(PHYSICAL)?;
    tracing::warn!(
        "{} has no carve-out ({REGION}); it uses {} at {}, of which the kernel does not know",
        device.name(),
        memory.name(),
        memory.bus_address(),
    );
    Ok(memory)
}

fn check(memory: &ReservedMemory) -> Result<()> {
    let refuse = |cause: String| Err(Error::invalid("cannot copy in", memory.name(), cause));
    if memory.len() < SMALLEST {
        return refuse(format!("it has {:#x} bytes, and {SMALLEST:#x} is the least", memory.len()));
    }
    // CAST: a usize has at most 64 bits on Linux. The memory's end does not overflow.
    let last = memory.bus_address().0 + (memory.len() as u64 - 1);
    if last >> ADDRESS_BITS != 0 {
        return refuse(format!("it ends at {last:#x}, and an address has {ADDRESS_BITS} bits"));
    }
    Ok(())
}

/// What copies are held to: the arena, in beats of the bus of the engine.
///
/// # Errors
///
/// `EINVAL` if the device tree says a width that there is not.
pub(crate) fn limits(device: &Device, keep: &Keep) -> Result<Limits> {
    let width = device.of_node().map(|node| node.property_read::<u32>("xlnx,bus-width"));
    // Without a word of it, what is right for both.
    let bits = width.and_then(|width| width.optional()).unwrap_or(128);
    if bits != 64 && bits != 128 {
        return Err(Error::new(Errno::EINVAL, "cannot drive", device.name())
            .with_cause(format!(
                "its node says xlnx,bus-width = <{bits}>, and there are 64 and 128"
            ))
            .with_hint("mend the device tree"));
    }
    // CAST: a usize has at most 64 bits on Linux.
    Ok(Limits { bytes: keep.arena.len() as u64, align: u64::from(bits / 8) })
}
