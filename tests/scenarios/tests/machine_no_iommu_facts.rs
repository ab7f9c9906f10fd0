//! The machine `no-iommu`: no IOMMU and so no groups, while VFIO is loaded.

use std::fs;
use std::path::Path;

use scenarios::{pci, world};

#[test]
fn there_is_no_iommu_and_no_group() {
    world::require_machine("no-iommu");
    assert_eq!(fs::read_dir("/sys/class/iommu").unwrap().count(), 0);
    assert_eq!(fs::read_dir("/sys/kernel/iommu_groups").unwrap().count(), 0);
    for function in [pci::edu(0), pci::serial(0), pci::nvme()] {
        assert_eq!(function.group(), None);
    }
    assert!(Path::new("/dev/vfio/vfio").exists());
}
