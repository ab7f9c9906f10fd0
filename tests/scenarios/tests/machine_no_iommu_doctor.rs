//! Without an IOMMU: the doctor says so, and knows the way that needs none. With one, on the default machine, it finds
//! nothing wrong.

use scenarios::doctor::{Asker, follow};
use scenarios::{pci, world};

#[test]
fn without_an_iommu_the_firmware_is_to_blame_and_uio_is_the_other_way() {
    world::require_machine("no-iommu");
    let function = pci::edu(0);
    let _given_back = pci::as_it_is(function);
    let mut root = Asker::root();
    let answer = root.ask("");
    assert_eq!(answer.faults(), ["iommu"], "{answer:?}");
    let advice = answer.finding("iommu")["advice"].to_string();
    assert!(advice.contains("VT-d") && advice.contains("firmware"), "{advice}");

    let name = function.to_string();
    assert_eq!(root.ask(&name).faults(), ["iommu", "driver"]);
    let steps = follow(&mut root, &name);
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(steps[0].command, format!("uioctl bind {name} uio_pci_generic"));
    assert_eq!(function.driver().as_deref(), Some("uio_pci_generic"));
}
