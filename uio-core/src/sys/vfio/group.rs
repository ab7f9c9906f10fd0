//! [`Group`]: the functions that the IOMMU cannot tell apart.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use vfio_bindings::bindings::vfio::{VFIO_GROUP_FLAGS_VIABLE, vfio_group_status};

use super::container::Container;
use super::numbers;

/// An open group. Its close takes it out of its container, with all that is mapped there.
#[derive(Debug)]
pub(crate) struct Group(OwnedFd);

impl Group {
    /// The group behind a descriptor.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Whether every device in it is left to VFIO or to nobody.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn is_viable(&self) -> Result<bool, Errno> {
        let mut status = vfio_group_status {
            argsz: size_of::<vfio_group_status>() as u32, // CAST: a small constant.
            flags: 0,
        };
        // SAFETY: `status` is a live structure of the size that it says.
        unsafe { numbers::group_get_status(self.0.as_raw_fd(), &raw mut status) }?;
        Ok(status.flags & VFIO_GROUP_FLAGS_VIABLE != 0)
    }

    /// Puts the group into `container`.
    ///
    /// # Errors
    ///
    /// `EPERM` if it is not viable, `EBUSY` if it is in one; what the kernel says.
    pub(crate) fn set_container(&self, container: &Container) -> Result<(), Errno> {
        let fd = container.as_fd().as_raw_fd();
        // SAFETY: the kernel reads a descriptor's number, which lives.
        unsafe { numbers::group_set_container(self.0.as_raw_fd(), &raw const fd) }.map(drop)
    }

    /// Opens the function called `name`, as sysfs calls it. Resets it, and sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is not in the group or not bound to VFIO's driver; what the kernel says.
    pub(super) fn open_device(&self, name: &str) -> Result<OwnedFd, Errno> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the name lives and ends in 0.
        let fd = unsafe { numbers::group_get_device_fd(self.0.as_raw_fd(), name.as_ptr()) }?;
        // SAFETY: the kernel has just made this descriptor for us, close-on-exec; nobody else knows its number.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }
}
