//! The raw Linux ABI, one file per kernel object. Everything above speaks through these.
//!
//! Only [`sysfs`] and [`hints`] are public: what the first reads is text, and tools look at devices through it without
//! touching them; the second is text itself, what to do when the kernel says no.

pub(crate) mod clock;
pub mod hints;
pub(crate) mod memlock;
pub(crate) mod mmap;
pub(crate) mod node_ioctl;
pub(crate) mod of;
pub(crate) mod pagemap;
pub(crate) mod pages;
#[cfg(not(loom))]
pub(crate) mod pci_files;
pub(crate) mod sched;
pub(crate) mod schedstat;
pub(crate) mod scm;
pub(crate) mod sigbus;
pub mod sysfs;
pub(crate) mod timerfd;
#[cfg(not(loom))]
pub(crate) mod u_dma_buf;
pub(crate) mod uio;
#[cfg(not(loom))]
pub(crate) mod vfio;
