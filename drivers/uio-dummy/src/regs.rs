//! The register map of `uio_dummy`, and nothing else.

use uio_core::io::{RegisterInfo, RegisterMap};
use uio_core::register;

/// What ID reads: "UDMY".
pub(crate) const ID_VALUE: u32 = 0x5544_4D59;

/// What VERSION reads on the devices that this driver knows.
pub(crate) const VERSION: u32 = 1;

/// Bytes that region 0 must have to hold the registers.
pub(crate) const REGS_BYTES: usize = 0x50;

register! {
    /// Tells the device from others.
    pub(crate) Id(u32) @ 0x00, ro {}

    /// Version of the register map.
    pub(crate) Version(u32) @ 0x04, ro {}

    /// Size of each FIFO in bytes, a power of two.
    pub(crate) FifoBytes(u32) @ 0x08, ro {}

    /// Expiries of the timer since it was enabled.
    pub(crate) Ticks(u32) @ 0x0C, ro {}

    /// Bytes that the device took from TX, free-running.
    pub(crate) TxTail(u32) @ 0x10, ro {}

    /// Bytes that the device put into RX, free-running.
    pub(crate) RxHead(u32) @ 0x14, ro {}

    /// Interrupts that were raised since the device was made.
    pub(crate) Raised(u32) @ 0x18, ro {}

    /// What the device does.
    pub(crate) Ctrl(u32) @ 0x40, rw {
        /// Its timer runs.
        0:0 ENABLE: bool;
        /// Each expiry moves TX to RX, and raises the interrupt if that was any byte.
        1:1 LOOPBACK: bool;
        /// Each expiry raises the interrupt.
        2:2 TICK_IRQ: bool;
    }

    /// Period of the timer in microseconds, 50 to 1,000,000.
    pub(crate) PeriodUs(u32) @ 0x44, rw {}

    /// Bytes that the driver put into TX, free-running.
    pub(crate) TxHead(u32) @ 0x48, rw {}

    /// Bytes that the driver took from RX, free-running.
    pub(crate) RxTail(u32) @ 0x4C, rw {}
}

/// The map, for those who look from outside.
pub(crate) fn map() -> Vec<RegisterMap> {
    let registers = vec![
        RegisterInfo::of::<Id>(),
        RegisterInfo::of::<Version>(),
        RegisterInfo::of::<FifoBytes>(),
        RegisterInfo::of::<Ticks>(),
        RegisterInfo::of::<TxTail>(),
        RegisterInfo::of::<RxHead>(),
        RegisterInfo::of::<Raised>(),
        RegisterInfo::of::<Ctrl>(),
        RegisterInfo::of::<PeriodUs>(),
        RegisterInfo::of::<TxHead>(),
        RegisterInfo::of::<RxTail>(),
    ];
    vec![RegisterMap { region: 0, registers }]
}
