//! IOMMU groups below `/sys/kernel/iommu_groups`: which functions the IOMMU cannot tell apart, and who drives them.
//!
//! All devices of a group go to userspace together or not at all. The kernel's rule (`iommu_group_claim_dma_owner` in
//! `drivers/iommu/iommu.c`) is that nobody else owns their DMA: each has no driver, or one that manages the DMA itself
//! (`driver_managed_dma`), which VFIO's own drivers do, and two that do no DMA at all.

use std::io;

use super::{Sysfs, entry_names, link_name};
use crate::error::{Error, Result};

/// Drivers that do no DMA, so that VFIO does not mind them.
const HARMLESS: [&str; 2] = ["pci-stub", "pcieport"];

/// One function of an IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its name on its bus: `0000:00:03.0` on PCI.
    pub bdf: String,
    /// The kernel driver that is bound to it.
    pub driver: Option<String>,
}

impl GroupMember {
    /// Whether it is bound to a driver of VFIO: `vfio-pci`, or one for certain devices such as `mlx5_vfio_pci`.
    pub fn is_vfio(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| driver.contains("vfio"))
    }

    /// Whether its driver keeps the whole group from being given to userspace.
    pub fn blocks_vfio(&self) -> bool {
        let Some(driver) = self.driver.as_deref() else { return false };
        !self.is_vfio() && !HARMLESS.contains(&driver)
    }
}

impl Sysfs {
    /// The numbers of all IOMMU groups, in order. None where the IOMMU is off or absent.
    ///
    /// # Errors
    ///
    /// When `/sys/kernel/iommu_groups` is there and cannot be read.
    pub fn iommu_groups(&self) -> Result<Vec<u32>> {
        let dir = self.root().join("kernel/iommu_groups");
        let names = match entry_names(&dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::from_io(&error, "cannot list", dir.display())),
        };
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The devices of the IOMMU group `group`, by name. A group that is not there has none.
    pub fn group_members(&self, group: u32) -> Vec<GroupMember> {
        let dir = self.root().join(format!("kernel/iommu_groups/{group}/devices"));
        let mut names = entry_names(&dir).unwrap_or_default();
        names.sort();
        let member = |bdf: String| {
            let driver = link_name(&dir.join(&bdf).join("driver"));
            GroupMember { bdf, driver }
        };
        names.into_iter().map(member).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Puts a function into group 7, below a sysfs at `root`.
    fn add(root: &Path, bdf: &str, driver: Option<&str>) {
        let dir = root.join("kernel/iommu_groups/7/devices").join(bdf);
        fs::create_dir_all(&dir).unwrap();
        if let Some(driver) = driver {
            symlink(format!("../../../../bus/pci/drivers/{driver}"), dir.join("driver")).unwrap();
        }
    }

    #[test]
    fn members_come_by_name_with_their_drivers() {
        let root = tempfile::tempdir().unwrap();
        add(root.path(), "0000:03:00.1", Some("e1000e"));
        add(root.path(), "0000:03:00.0", None);
        let sysfs = Sysfs::at(root.path());
        assert_eq!(sysfs.iommu_groups().unwrap(), [7]);
        let members = sysfs.group_members(7);
        let named: Vec<_> =
            members.iter().map(|member| (&*member.bdf, member.driver.as_deref())).collect();
        assert_eq!(named, [("0000:03:00.0", None), ("0000:03:00.1", Some("e1000e"))]);
    }

    #[test]
    fn a_machine_without_an_iommu_has_no_groups() {
        let root = tempfile::tempdir().unwrap();
        let sysfs = Sysfs::at(root.path());
        assert_eq!(sysfs.iommu_groups().unwrap(), []);
        assert_eq!(sysfs.group_members(0), []);
    }

    #[test]
    fn only_a_driver_that_does_dma_for_the_kernel_is_in_the_way() {
        let blocks = |driver: Option<&str>| {
            GroupMember { bdf: String::new(), driver: driver.map(str::to_owned) }.blocks_vfio()
        };
        assert!(blocks(Some("e1000e")) && blocks(Some("uio_pci_generic")));
        for driver in
            [None, Some("vfio-pci"), Some("mlx5_vfio_pci"), Some("pcieport"), Some("pci-stub")]
        {
            assert!(!blocks(driver), "{driver:?}");
        }
    }
}
