//! [`Device`]: one PCI function.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::uio::{pread, pwrite};
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, vfio_device_info, vfio_region_info,
};
use zerocopy::IntoBytes;

use super::ask::{ask, u32_at};
use super::numbers;
use super::region::RegionInfo;

/// An open function. Its close resets the function, and takes as long as that does.
#[derive(Debug)]
pub(crate) struct Device(OwnedFd);

/// What the kernel says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceInfo {
    /// It is a PCI function.
    pub(crate) pci: bool,
    /// It can be reset.
    pub(crate) reset: bool,
}

impl Device {
    /// The device behind a descriptor from [`VfioFds`](super::VfioFds).
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(super) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// What it is.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn info(&self) -> Result<DeviceInfo, Errno> {
        let words = ask(size_of::<vfio_device_info>(), 0, |words| {
            // SAFETY: `ask` gives live memory, as long as its first word says.
            unsafe { numbers::device_get_info(self.raw(), words) }
        })?;
        let flags = u32_at(words.as_bytes(), offset_of!(vfio_device_info, flags)).unwrap_or(0);
        Ok(DeviceInfo {
            pci: flags & VFIO_DEVICE_FLAGS_PCI != 0,
            reset: flags & VFIO_DEVICE_FLAGS_RESET != 0,
        })
    }

    /// What region `index` is.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there can be no such region; what the kernel says.
    pub(crate) fn region_info(&self, index: u32) -> Result<RegionInfo, Errno> {
        let words = ask(size_of::<vfio_region_info>(), index, |words| {
            // SAFETY: as above.
            unsafe { numbers::device_get_region_info(self.raw(), words) }
        })?;
        RegionInfo::parse(words.as_bytes()).ok_or(Errno::EINVAL)
    }

    /// Resets the function: it is as after power-on. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it has no reset, `EAGAIN` if somebody holds the device's lock; what the kernel says.
    pub(crate) fn reset(&self) -> Result<(), Errno> {
        // SAFETY: it takes nothing.
        unsafe { numbers::device_reset(self.raw()) }.map(drop)
    }

    /// Reads at `offset` of the descriptor, all bytes at once.
    ///
    /// # Errors
    ///
    /// `EIO` if fewer came, `ENODEV` or `EIO` if the device is gone; what the kernel says.
    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        let got = pread(&self.0, buf, offset)?;
        if got == buf.len() { Ok(()) } else { Err(Errno::EIO) }
    }

    /// Writes at `offset` of the descriptor, all bytes at once.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub(crate) fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        let put = pwrite(&self.0, data, offset)?;
        if put == data.len() { Ok(()) } else { Err(Errno::EIO) }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
