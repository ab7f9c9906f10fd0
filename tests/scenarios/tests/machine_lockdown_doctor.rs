//! On a kernel that is locked down `uio_pci_generic` is of no use, and VFIO is.

use scenarios::doctor::{Asker, follow};
use scenarios::{pci, world};

#[test]
fn lockdown_leaves_vfio_as_the_way() {
    world::require_machine("lockdown");
    let function = pci::edu(0);
    let _bound = pci::bind(function, "uio_pci_generic");
    let name = function.to_string();
    let mut root = Asker::root();
    let answer = root.ask(&name);
    assert_eq!(answer.faults(), ["lockdown"], "{answer:?}");
    assert_eq!(answer.finding("lockdown")["found"], "integrity");
    let steps = follow(&mut root, &name);
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(function.driver().as_deref(), Some("vfio-pci"));
    let answer = root.ask("");
    assert!(answer.is_ready(), "{answer:?}");
    assert_eq!(answer.finding("lockdown")["severity"], "note");
}
