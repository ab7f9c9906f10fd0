//! The registers of the PL031, by their names in its manual (ARM DDI 0224, chapter 3), and nothing else.

use uio_core::io::{RegisterInfo, RegisterMap};
use uio_core::register;

/// Bytes that region 0 must have to hold the registers: the last ones are at its end.
pub(crate) const REGS_BYTES: usize = 0x1000;

register! {
    /// Data register: the time, in seconds since 1970.
    pub(crate) Rtcdr(u32) @ 0x000, ro {}

    /// Match register: the time of the interrupt.
    pub(crate) Rtcmr(u32) @ 0x004, rw {}

    /// Load register: sets the time. Reads what was written last.
    pub(crate) Rtclr(u32) @ 0x008, rw {}

    /// Control register.
    pub(crate) Rtccr(u32) @ 0x00C, rw {
        /// The clock runs. It can be started and not stopped.
        0:0 START: bool;
    }

    /// Interrupt mask set or clear register.
    pub(crate) Rtcimsc(u32) @ 0x010, rw {
        /// The interrupt is let through.
        0:0 ALARM: bool;
    }

    /// Raw interrupt status.
    pub(crate) Rtcris(u32) @ 0x014, ro {
        /// The time has met the match register.
        0:0 ALARM: bool;
    }

    /// Masked interrupt status: what the line says.
    pub(crate) Rtcmis(u32) @ 0x018, ro {
        /// The interrupt is raised and let through.
        0:0 ALARM: bool;
    }

    /// Interrupt clear register.
    pub(crate) Rtcicr(u32) @ 0x01C, wo {
        /// Clears the interrupt.
        0:0 ALARM: bool;
    }

    /// Part number, low.
    pub(crate) Rtcperiphid0(u32) @ 0xFE0, ro { 7:0 PART: u8; }

    /// Designer, low; part number, high.
    pub(crate) Rtcperiphid1(u32) @ 0xFE4, ro { 7:4 DESIGNER: u8; 3:0 PART: u8; }

    /// Revision; designer, high.
    pub(crate) Rtcperiphid2(u32) @ 0xFE8, ro { 7:4 REVISION: u8; 3:0 DESIGNER: u8; }

    /// Configuration.
    pub(crate) Rtcperiphid3(u32) @ 0xFEC, ro {}

    /// 0x0d, as in every PrimeCell.
    pub(crate) Rtcpcellid0(u32) @ 0xFF0, ro {}

    /// 0xf0.
    pub(crate) Rtcpcellid1(u32) @ 0xFF4, ro {}

    /// 0x05.
    pub(crate) Rtcpcellid2(u32) @ 0xFF8, ro {}

    /// 0xb1.
    pub(crate) Rtcpcellid3(u32) @ 0xFFC, ro {}
}

/// All of them by name, for tools.
pub(crate) fn map() -> Vec<RegisterMap> {
    let registers = vec![
        RegisterInfo::of::<Rtcdr>(),
        RegisterInfo::of::<Rtcmr>(),
        RegisterInfo::of::<Rtclr>(),
        RegisterInfo::of::<Rtccr>(),
        RegisterInfo::of::<Rtcimsc>(),
        RegisterInfo::of::<Rtcris>(),
        RegisterInfo::of::<Rtcmis>(),
        RegisterInfo::of::<Rtcicr>(),
        RegisterInfo::of::<Rtcperiphid0>(),
        RegisterInfo::of::<Rtcperiphid1>(),
        RegisterInfo::of::<Rtcperiphid2>(),
        RegisterInfo::of::<Rtcperiphid3>(),
        RegisterInfo::of::<Rtcpcellid0>(),
        RegisterInfo::of::<Rtcpcellid1>(),
        RegisterInfo::of::<Rtcpcellid2>(),
        RegisterInfo::of::<Rtcpcellid3>(),
    ];
    vec![RegisterMap { region: 0, registers }]
}
