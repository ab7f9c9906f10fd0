//! The register map of edu (`docs/specs/edu.rst` of QEMU), and nothing else.
//!
//! The registers of DMA take accesses of 4 or 8 bytes, the others of 4 alone. Addresses of memory have 28 bits and
//! those of the buffer 19, so that 4 are enough for all.

use uio_core::io::{RegisterInfo, RegisterMap};
use uio_core::register;

/// What ID reads as, but for the version in the upper half.
pub(crate) const ID_KIND: u32 = 0xED;

/// Bits of an address of memory that the device can say.
pub(crate) const DMA_BITS: u32 = 28;

/// Where the device's buffer is, for its DMA.
pub(crate) const BUFFER_START: u32 = 0x4_0000;

/// Size of the device's buffer, in bytes.
pub(crate) const BUFFER_BYTES: usize = 4096;

/// Bytes that region 0 must have to hold the registers.
pub(crate) const REGS_BYTES: usize = 0xA0;

register! {
    /// Tells the device from others, and its version.
    pub(crate) Id(u32) @ 0x00, ro {
        31:24 MAJOR: u32;
        23:16 MINOR: u32;
        15:0 KIND: u32;
    }

    /// Reads as the inversion of what was written.
    pub(crate) Liveness(u32) @ 0x04, rw {}

    /// A write starts a computation, unless one runs; afterwards it reads as the product.
    pub(crate) Factorial(u32) @ 0x08, rw {}

    /// How computations go.
    pub(crate) Status(u32) @ 0x20, rw {
        /// One runs. Read-only.
        0:0 COMPUTING: bool;
        /// Its end raises an interrupt.
        7:7 RAISE_WHEN_DONE: bool;
    }

    /// Why an interrupt was raised, until it is acknowledged.
    pub(crate) IrqStatus(u32) @ 0x24, ro {}

    /// Sets bits of IRQ_STATUS, and raises the interrupt.
    pub(crate) IrqRaise(u32) @ 0x60, wo {}

    /// Clears bits of IRQ_STATUS.
    pub(crate) IrqAck(u32) @ 0x64, wo {}

    /// Where a transfer reads. Takes nothing while one runs, as the other three.
    pub(crate) DmaSrc(u32) @ 0x80, rw {}

    /// Where it writes.
    pub(crate) DmaDst(u32) @ 0x88, rw {}

    /// How many bytes.
    pub(crate) DmaCount(u32) @ 0x90, rw {}

    /// Starts a transfer.
    pub(crate) DmaCmd(u32) @ 0x98, rw {
        /// Start; reads as 1 until it has ended.
        0:0 RUN: bool;
        /// From the device's buffer to memory; else the other way.
        1:1 TO_MEMORY: bool;
        /// Its end raises an interrupt.
        2:2 RAISE_WHEN_DONE: bool;
    }
}

/// All of them by name, for tools.
pub(crate) fn map() -> Vec<RegisterMap> {
    let registers = vec![
        RegisterInfo::of::<Id>(),
        RegisterInfo::of::<Liveness>(),
        RegisterInfo::of::<Factorial>(),
        RegisterInfo::of::<Status>(),
        RegisterInfo::of::<IrqStatus>(),
        RegisterInfo::of::<IrqRaise>(),
        RegisterInfo::of::<IrqAck>(),
        RegisterInfo::of::<DmaSrc>(),
        RegisterInfo::of::<DmaDst>(),
        RegisterInfo::of::<DmaCount>(),
        RegisterInfo::of::<DmaCmd>(),
    ];
    vec![RegisterMap { region: 0, registers }]
}

/// The bits of IRQ_STATUS.
pub(crate) mod cause {
    /// A computation has ended.
    pub(crate) const FACTORIAL: u32 = 0x001;
    /// A transfer has ended.
    pub(crate) const DMA: u32 = 0x100;
}
