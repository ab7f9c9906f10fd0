//! `uioctl bind` on a machine without an IOMMU.

use scenarios::{pci, uioctl, world};

#[test]
fn without_an_iommu_vfio_is_refused_and_uio_pci_generic_is_the_way() {
    world::require_machine("no-iommu");
    let edu = pci::edu(0);
    let name = &edu.to_string();
    uioctl::run(&["bind", name, "vfio-pci"]).refused(&["no IOMMU group", "intel_iommu=on"]);
    assert_eq!((edu.driver(), edu.attribute("driver_override")), (None, "(null)".to_owned()));
    uioctl::run(&["bind", name, "uio_pci_generic"]).done();
    assert_eq!(edu.driver().as_deref(), Some("uio_pci_generic"));
    uioctl::run(&["unbind", name]).done();
    assert_eq!(edu.driver(), None);
}
