//! The register map of a channel, and nothing else: UG1087 (ZynqMP Register Reference), module `ZDMA`; AM012 (Versal),
//! module `ADMA`.
//!
//! All take accesses of 4 bytes. An access to an address in between raises `INV_APB`. Compared with
//! `drivers/dma/xilinx/zynqmp_dma.c` of Linux and `hw/dma/xlnx-zdma.c` of QEMU.

use uio_core::io::{RegisterInfo, RegisterMap};
use uio_core::register;

/// Bytes that region 0 must have to hold the registers.
pub(crate) const REGS_BYTES: usize = 0x204;

/// What the channel can say of a length.
pub(crate) const SIZE_BITS: u32 = 30;

/// What it can say of an address: 32 bits, and 17 in the upper half.
pub(crate) const ADDRESS_BITS: u32 = 49;

/// DATA_ATTR as after a reset: bursts of 16 beats, at rising addresses, not coherent.
pub(crate) const DATA_ATTR_RESET: u32 = 0x0483_D20F;

/// ARCACHE and AWCACHE of it: through the caches, which are looked into and filled.
pub(crate) const DATA_ATTR_CACHED: u32 = 0xF << 22 | 0xF << 8;

/// The bits of ISR, IMR, IEN and IDS.
pub(crate) mod cause {
    /// The copy has ended.
    pub(crate) const DONE: u32 = 1 << 10;
    /// Whoever was written to refused.
    pub(crate) const AXI_WR_DATA: u32 = 1 << 9;
    /// Whoever was read from refused.
    pub(crate) const AXI_RD_DATA: u32 = 1 << 8;
    /// A descriptor could not be read: only in linked mode.
    pub(crate) const AXI_RD_DST_DSCR: u32 = 1 << 7;
    /// As above.
    pub(crate) const AXI_RD_SRC_DSCR: u32 = 1 << 6;
    /// TOTAL_BYTE has started again at 0. No error: the driver reckons with it.
    pub(crate) const BYTE_CNT_OVRFL: u32 = 1 << 3;
    /// A register was accessed that is not there.
    pub(crate) const INV_APB: u32 = 1 << 0;

    /// Those after which the copy that ran is not to be trusted.
    pub(crate) const ERRORS: u32 =
        AXI_WR_DATA | AXI_RD_DATA | AXI_RD_DST_DSCR | AXI_RD_SRC_DSCR | INV_APB;
    /// Those that the driver wants to hear of.
    pub(crate) const WANTED: u32 = DONE | ERRORS | BYTE_CNT_OVRFL;
    /// All that there are.
    pub(crate) const ALL: u32 = 0xFFF;
}

register! {
    /// Why the channel raises its interrupt; what is written as 1 is forgotten.
    pub(crate) Isr(u32) @ 0x100, rw {}

    /// Which of them raise nothing.
    pub(crate) Imr(u32) @ 0x104, ro {}

    /// Bits of IMR to clear.
    pub(crate) Ien(u32) @ 0x108, wo {}

    /// Bits of IMR to set.
    pub(crate) Ids(u32) @ 0x10C, wo {}

    /// Modes. All bits 0: simple mode, reading and writing, nothing fetched beyond the source.
    pub(crate) Ctrl0(u32) @ 0x110, rw {
        /// Whole bursts are read, though the source ends before.
        7:7 OVERFETCH: bool;
        /// Linked mode.
        6:6 LINKED: bool;
        3:3 RATE_CONTROL: bool;
    }

    /// How the channel is; read-only.
    pub(crate) Status(u32) @ 0x11C, ro {
        /// 0 idle, 1 paused, 2 at work, 3 idle after an error.
        1:0 STATE: u32;
    }

    /// Kinds of bursts, and their caches.
    pub(crate) DataAttr(u32) @ 0x120, rw {}

    /// Source: the low half of its address.
    pub(crate) SrcLow(u32) @ 0x128, rw {}
    /// The high half.
    pub(crate) SrcHigh(u32) @ 0x12C, rw {}
    /// Bytes.
    pub(crate) SrcSize(u32) @ 0x130, rw {}
    /// Its control word; 0 in simple mode, but for the coherent bit.
    pub(crate) SrcControl(u32) @ 0x134, rw {
        /// The CPU's caches are asked.
        0:0 COHERENT: bool;
    }

    /// Destination: the low half of its address.
    pub(crate) DstLow(u32) @ 0x138, rw {}
    /// The high half.
    pub(crate) DstHigh(u32) @ 0x13C, rw {}
    /// Bytes; simple mode goes by those of the source.
    pub(crate) DstSize(u32) @ 0x140, rw {}
    /// As the source's.
    pub(crate) DstControl(u32) @ 0x144, rw {
        /// The CPU's caches are asked.
        0:0 COHERENT: bool;
    }

    /// Bytes moved since power-on, modulo 2^32; what is written as 1 is cleared.
    pub(crate) TotalByte(u32) @ 0x188, rw {}

    /// Interrupts for source descriptors; a read clears it.
    pub(crate) SrcAccount(u32) @ 0x190, ro {}

    /// Interrupts for destination descriptors; a read clears it.
    pub(crate) DstAccount(u32) @ 0x194, ro {}

    /// Starts and stops.
    pub(crate) Ctrl2(u32) @ 0x200, rw {
        /// Start; the channel clears it at the end. Cleared by the driver: stop.
        0:0 ENABLE: bool;
    }
}

/// All of them by name, for tools.
pub(crate) fn map(region: usize) -> Vec<RegisterMap> {
    let registers = vec![
        RegisterInfo::of::<Isr>(),
        RegisterInfo::of::<Imr>(),
        RegisterInfo::of::<Ien>(),
        RegisterInfo::of::<Ids>(),
        RegisterInfo::of::<Ctrl0>(),
        RegisterInfo::of::<Status>(),
        RegisterInfo::of::<DataAttr>(),
        RegisterInfo::of::<SrcLow>(),
        RegisterInfo::of::<SrcHigh>(),
        RegisterInfo::of::<SrcSize>(),
        RegisterInfo::of::<SrcControl>(),
        RegisterInfo::of::<DstLow>(),
        RegisterInfo::of::<DstHigh>(),
        RegisterInfo::of::<DstSize>(),
        RegisterInfo::of::<DstControl>(),
        RegisterInfo::of::<TotalByte>(),
        RegisterInfo::of::<SrcAccount>(),
        RegisterInfo::of::<DstAccount>(),
        RegisterInfo::of::<Ctrl2>(),
    ];
    vec![RegisterMap { region, registers }]
}
