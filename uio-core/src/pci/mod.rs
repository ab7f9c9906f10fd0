//! PCI: how functions are named and told apart, their configuration space, and the kinds of their interrupts.
//!
//! Pure types over bytes: nothing here opens a file. [`ConfigSpace`] reads through a [`ConfigAccess`], which a
//! backend, or a model, supplies; [`DeviceId`] is what a driver's table is made of.
//!
//! Mirrors `rust/kernel/pci.rs`, `rust/kernel/pci/id.rs` and `include/uapi/linux/pci_regs.h`.

mod address;
mod capability;
mod config;
mod id;
mod irq_type;

pub use address::Address;
pub use capability::{Capabilities, Capability, ExtCapabilities, ext_id, id as cap_id};
pub use config::{Command, ConfigAccess, ConfigSpace, Header};
pub use id::{DeviceId, Id};
pub use irq_type::{IrqType, IrqTypes};
