//! The register map of the PL061 (ARM DDI 0190B, chapter 3), and nothing else.
//!
//! All registers have eight bits, one a line, in words of 32. GPIODATA is there 256 times: bits 9 to 2 of the address
//! are a mask, and an access touches the lines in the mask alone. So lines are set together and others left alone by
//! one write, with no read before it; what two clients set at once is not lost.

use uio_core::io::{AccessError, Io, IoRegion, RegisterInfo, RegisterMap};
use uio_core::register;

/// Lines of a block.
pub(crate) const LINES: usize = 8;

/// Bytes that region 0 must have to hold the registers.
pub(crate) const REGS_BYTES: usize = 0x1000;

register! {
    /// The levels of all lines: of inputs what is on them, of outputs what was written. The last place of the window.
    pub(crate) GpioData(u32) @ 0x3FC, rw {}

    /// 1: output. All lines are inputs after a reset.
    pub(crate) GpioDir(u32) @ 0x400, rw {}

    /// 1: interrupts by level, 0: by edge.
    pub(crate) GpioIs(u32) @ 0x404, rw {}

    /// 1: by both edges, 0: by the one that GPIOIEV says.
    pub(crate) GpioIbe(u32) @ 0x408, rw {}

    /// 1: by the rising edge or the high level, 0: by the falling edge or the low level.
    pub(crate) GpioIev(u32) @ 0x40C, rw {}

    /// 1: interrupts are let through.
    pub(crate) GpioIe(u32) @ 0x410, rw {}

    /// What would interrupt: latched edges, and levels that are there.
    pub(crate) GpioRis(u32) @ 0x414, ro {}

    /// What interrupts: GPIORIS, as far as GPIOIE lets it through.
    pub(crate) GpioMis(u32) @ 0x418, ro {}

    /// Forgets latched edges.
    pub(crate) GpioIc(u32) @ 0x41C, wo {}

    /// 1: the line belongs to another block of the chip.
    pub(crate) GpioAfsel(u32) @ 0x420, rw {}

    /// The first of four bytes that say which PrimeCell it is, and of which revision.
    pub(crate) GpioPeriphId0(u32) @ 0xFE0, ro {}

    /// The second.
    pub(crate) GpioPeriphId1(u32) @ 0xFE4, ro {}

    /// The third; its upper half is the revision.
    pub(crate) GpioPeriphId2(u32) @ 0xFE8, ro {}

    /// The fourth.
    pub(crate) GpioPeriphId3(u32) @ 0xFEC, ro {}

    /// The first of four bytes that say that it is a PrimeCell.
    pub(crate) GpioPCellId0(u32) @ 0xFF0, ro {}

    /// The second.
    pub(crate) GpioPCellId1(u32) @ 0xFF4, ro {}

    /// The third.
    pub(crate) GpioPCellId2(u32) @ 0xFF8, ro {}

    /// The fourth.
    pub(crate) GpioPCellId3(u32) @ 0xFFC, ro {}
}

/// The places of GPIODATA that are one line each, for `uioctl poke ... GpioData3 8`.
const ONE_LINE: [&str; LINES] = [
    "GpioData0",
    "GpioData1",
    "GpioData2",
    "GpioData3",
    "GpioData4",
    "GpioData5",
    "GpioData6",
    "GpioData7",
];

/// All of them by name, for tools. None has an effect when it is read.
pub(crate) fn map() -> Vec<RegisterMap> {
    let one_line = ONE_LINE.iter().enumerate().map(|(line, name)| RegisterInfo {
        name,
        ..RegisterInfo::of::<GpioData>().at(window(1 << line))
    });
    let rest = [
        RegisterInfo::of::<GpioData>(),
        RegisterInfo::of::<GpioDir>(),
        RegisterInfo::of::<GpioIs>(),
        RegisterInfo::of::<GpioIbe>(),
        RegisterInfo::of::<GpioIev>(),
        RegisterInfo::of::<GpioIe>(),
        RegisterInfo::of::<GpioRis>(),
        RegisterInfo::of::<GpioMis>(),
        RegisterInfo::of::<GpioIc>(),
        RegisterInfo::of::<GpioAfsel>(),
        RegisterInfo::of::<GpioPeriphId0>(),
        RegisterInfo::of::<GpioPeriphId1>(),
        RegisterInfo::of::<GpioPeriphId2>(),
        RegisterInfo::of::<GpioPeriphId3>(),
        RegisterInfo::of::<GpioPCellId0>(),
        RegisterInfo::of::<GpioPCellId1>(),
        RegisterInfo::of::<GpioPCellId2>(),
        RegisterInfo::of::<GpioPCellId3>(),
    ];
    vec![RegisterMap { region: 0, registers: one_line.chain(rest).collect() }]
}

/// Where GPIODATA touches the lines of `mask` alone.
pub(crate) const fn window(mask: u8) -> usize {
    // CAST: a usize is wider than a byte.
    (mask as usize) << 2
}

/// The levels of the lines of `mask`, of one moment; the other bits are 0.
pub(crate) fn read_data(io: &IoRegion, mask: u8) -> Result<u8, AccessError> {
    Ok(low_byte(io.try_read32(window(mask))?) & mask)
}

/// Sets the lines of `mask` together, and no others.
pub(crate) fn write_data(io: &IoRegion, mask: u8, bits: u8) -> Result<(), AccessError> {
    io.try_write32(window(mask), bits.into())
}

/// The eight bits that a register has.
pub(crate) const fn low_byte(raw: u32) -> u8 {
    raw.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_addressed_by_its_mask() {
        assert_eq!((window(0), window(1 << 3), window(0xFF)), (0x000, 0x020, 0x3FC));
        let map = map().swap_remove(0);
        let place = |name| map.registers.iter().find(|info| info.name == name).unwrap().offset;
        assert_eq!(
            (place("GpioData"), place("GpioData0"), place("GpioData7")),
            (0x3FC, 0x4, 0x200)
        );
    }
}
