//! A sibling in the IOMMU group on another driver: the doctor names it, and what takes it out of the way.

use scenarios::doctor::{Asker, follow};
use scenarios::{pci, world};

#[test]
fn siblings_on_other_drivers_are_named_and_taken_out_of_the_way() {
    world::require_machine("group");
    let [function, sibling] = [pci::shared_edu(0), pci::shared_edu(1)];
    let _bound = pci::bind(sibling, "uio_pci_generic");
    let _given_back = pci::as_it_is(function);
    let name = function.to_string();
    let mut root = Asker::root();
    let answer = root.ask(&name);
    assert_eq!(answer.faults(), ["group", "driver"], "{answer:?}");
    let problem = answer.finding("group")["problem"].to_string();
    assert!(problem.contains(&format!("{sibling} is bound to uio_pci_generic")), "{problem}");
    let steps = follow(&mut root, &name);
    assert_eq!(steps.len(), 1, "{steps:?}");
    for function in [function, sibling] {
        assert_eq!(function.driver().as_deref(), Some("vfio-pci"));
    }
}
