//! [`VfioFds`]: the one place where VFIO is opened.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::container::Container;
use super::group::Group;
use crate::error::{Error, Result};
use crate::sys::hints;
use crate::sys::sysfs::Sysfs;

const ACT: &str = "cannot open";
const CONTAINER: &str = "/dev/vfio/vfio";

/// What a function needs: its descriptors, all close-on-exec. Everything else is built from them.
#[derive(Debug)]
pub(crate) struct VfioFds {
    pub(crate) container: OwnedFd,
    pub(crate) group: OwnedFd,
    pub(crate) device: OwnedFd,
}

impl VfioFds {
    /// Opens the function `bdf`, which is in IOMMU group `group`, in a container of its own. The kernel resets
    /// it, and takes as long as that takes.
    ///
    /// # Errors
    ///
    /// What stands in the way, with what to do about it.
    pub(crate) fn open(bdf: &dyn fmt::Display, group: u32, sysfs: &Sysfs) -> Result<Self> {
        let thing = format!("pci:{bdf}");
        let container = Container::new(open_container()?.into());
        check(&container, &thing)?;
        let node = PathBuf::from(format!("/dev/vfio/{group}"));
        let group_fd = Group::new(open_group(&node, bdf)?.into());
        let not_viable = |errno| {
            let members = sysfs.group_members(group);
            hints::not_viable(bdf, &members).explain(Error::new(errno, ACT, &thing))
        };
        let failed = |errno| Error::new(errno, ACT, &thing);
        if !group_fd.is_viable().map_err(failed)? {
            return Err(not_viable(Errno::EPERM));
        }
        group_fd.set_container(&container).map_err(|errno| match errno {
            Errno::EPERM | Errno::EBUSY | Errno::EINVAL => not_viable(errno),
            _ => failed(errno),
        })?;
        container.set_type1v2().map_err(|errno| match errno {
            Errno::EPERM => hints::no_interrupt_remapping().explain(failed(errno)),
            _ => failed(errno),
        })?;
        let device = group_fd.open_device(&bdf.to_string()).map_err(|errno| match errno {
            Errno::ENODEV => failed(errno).with_hint(hints::not_bound(bdf)),
            Errno::EBUSY => hints::group_busy(&node).explain(failed(errno)),
            _ => failed(errno),
        })?;
        Ok(Self { container: container.into_fd(), group: group_fd.into_fd(), device })
    }
}

fn check(container: &Container, thing: &str) -> Result<()> {
    let failed = |errno| Error::new(errno, ACT, thing);
    let refuse = |cause: &str| Err(failed(Errno::EOPNOTSUPP).with_cause(cause));
    if !container.is_known_version().map_err(failed)? {
        return refuse("this kernel speaks another version of VFIO");
    }
    if !container.has_type1v2().map_err(failed)? {
        return refuse("this kernel's VFIO has no IOMMU of type 1 version 2")
            .map_err(|error| error.with_hint("load the module: modprobe vfio_iommu_type1"));
    }
    Ok(())
}

fn node(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(path)
}

fn open_container() -> Result<File> {
    let path = Path::new(CONTAINER);
    node(path).map_err(|error| {
        let error = Error::from_io(&error, ACT, CONTAINER);
        match error.errno() {
            Errno::EACCES | Errno::EPERM => error.with_hint(hints::node_denied(path)),
            Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => error.with_hint(hints::no_vfio()),
            _ => error,
        }
    })
}

fn open_group(path: &Path, bdf: &dyn fmt::Display) -> Result<File> {
    node(path).map_err(|error| {
        let error = Error::from_io(&error, ACT, path.display());
        match error.errno() {
            Errno::EACCES | Errno::EPERM => error.with_hint(hints::node_denied(path)),
            Errno::ENOENT | Errno::ENODEV => error.with_hint(hints::not_bound(bdf)),
            Errno::EBUSY => hints::group_busy(path).explain(error),
            _ => error,
        }
    })
}
