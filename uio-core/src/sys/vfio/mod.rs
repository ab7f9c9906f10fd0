//! VFIO: a PCI function in the hands of this process, behind the IOMMU.
//!
//! # Vocabulary
//!
//! - **container** ([`Container`], `/dev/vfio/vfio`): an address space of the IOMMU, and what is mapped in it.
//! - **group** ([`Group`], `/dev/vfio/N`): the functions that the IOMMU cannot tell apart. One process has it.
//! - **device** ([`Device`]): one function: its regions, its interrupts, its reset.
//! - **answer**: what an information ioctl returns: a fixed part, and a [chain](caps) of capabilities behind it.
//!
//! All three are opened in [`open`], and nowhere else; the rest is built from the descriptors, which another
//! process may have opened. Opening, closing and resetting take as long as the function's reset does, up to two
//! minutes.
//!
//! Mirrors `include/uapi/linux/vfio.h`; the structures are those of `vfio-bindings`.
#![expect(unsafe_code, reason = "ioctls take pointers")]

mod ask;
mod caps;
mod container;
mod device;
mod group;
mod irq;
mod numbers;
mod open;
mod region;

pub(crate) use container::{Container, DmaMemory, IommuInfo};
pub(crate) use device::Device;
pub(crate) use group::Group;
pub(crate) use irq::{Index, IrqInfo};
pub(crate) use open::VfioFds;
pub(crate) use region::{Area, CONFIG_REGION, ROM_REGION, RegionInfo};
