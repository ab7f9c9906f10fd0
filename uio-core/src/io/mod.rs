//! REGISTERS: access to a device's regions, at exact width, and nothing else.
//!
//! As in the kernel there are two ways:
//!
//! - [`IoMem`] is `ioremap` with `readl` and `writel`: mapped memory and a pointer. Its size is proven when
//!   it is mapped, so an access at a constant offset compiles to the load or the store alone.
//! - [`IoRegion`] is `pci_iomap` with `ioread32` and `iowrite32`: what [`Device::region`] hands out. It goes to
//!   mapped memory or to a simulated model, so that one driver text serves real and simulated devices.
//!
//! Both implement [`Io`]. [`register!`](crate::register) defines registers as types with named fields, whose
//! offset, width and direction the compiler checks.
//!
//! **Never a Rust reference into a region**: the compiler may read through a reference when it likes, and a
//! read of a device register can have effects.
//!
//! # Three forms of every access
//!
//! | form | bounds and alignment | after the device is gone |
//! | --- | --- | --- |
//! | `read32` | panics, as a driver bug; folded away where the compiler can prove it | all ones; writes vanish |
//! | `try_read32` | [`AccessError`] | [`AccessError::Gone`] |
//! | `read32_unchecked` (`IoMem` only, unsafe) | the caller's proof | all ones; writes vanish |
//!
//! A device may go away between any two instructions, and the access that finds it gone is a SIGBUS. It is caught
//! ([`sigbus`](crate::sys::sigbus)): that access behaves as the last column says, and so do all after it.
//!
//! `IoMem` looks at no flag in the infallible forms. Its memory is a private copy then: a register that the
//! driver writes after the device went away reads as written.
//!
//! Mirrors `include/asm-generic/io.h`, `lib/iomap.c` and `rust/kernel/io.rs`.
//!
//! [`Device::region`]: crate::device::Device::region

mod access;
mod map;
mod mmio;
mod peek;
mod region;
mod register;

pub use access::{AccessError, Io};
pub use map::{RegisterAccess, RegisterInfo, RegisterMap};
pub use mmio::IoMem;
pub use peek::{peek, poke};
#[cfg(not(loom))]
pub(crate) use region::RegionAccess;
pub use region::{IoRegion, RegionModel, Width};
pub use register::{Field, FieldInfo, FieldValue, Readable, Register, Word, Writable};
