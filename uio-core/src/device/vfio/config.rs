//! The configuration space by `pread` and `pwrite` of its region.

use std::sync::Arc;

use nix::errno::Errno;

use super::handle::Handle;
use crate::pci::ConfigAccess;
use crate::sys::vfio::RegionInfo;

/// The kernel virtualises a part of it (`drivers/vfio/pci/vfio_pci_config.c`): BARs, the interrupt pin, the
/// capabilities of interrupts. The command register's memory, I/O and master bits are the device's own.
pub(super) struct VfioConfig {
    handle: Arc<Handle>,
    base: u64,
    size: usize,
}

impl VfioConfig {
    pub(super) fn new(handle: Arc<Handle>, region: &RegionInfo) -> Self {
        // CAST: 256 or 4096.
        Self { handle, base: region.offset, size: region.size.min(4096) as usize }
    }
}

impl ConfigAccess for VfioConfig {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, at: usize, buf: &mut [u8]) -> Result<(), Errno> {
        self.handle.with(|device| device.read_at(self.base + at as u64, buf)).map_err(gone)
    }

    fn write(&self, at: usize, data: &[u8]) -> Result<(), Errno> {
        self.handle.with(|device| device.write_at(self.base + at as u64, data)).map_err(gone)
    }
}

/// What the kernel says of a device that is not there.
fn gone(errno: Errno) -> Errno {
    if errno == Errno::EIO { Errno::ENODEV } else { errno }
}
