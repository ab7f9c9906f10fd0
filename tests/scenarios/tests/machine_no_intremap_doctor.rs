//! Without interrupt remapping: VFIO refuses, until the risk is accepted.

use std::fs;

use scenarios::doctor::{Asker, follow};
use scenarios::{pci, world};

const ACCEPTED: &str = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";

/// As the next story expects it.
struct NotAccepted;

impl Drop for NotAccepted {
    fn drop(&mut self) {
        let _ = fs::write(ACCEPTED, "N");
    }
}

#[test]
fn without_interrupt_remapping_the_risk_can_be_accepted() {
    world::require_machine("no-intremap");
    let _bound = pci::bind(pci::edu(0), "vfio-pci");
    let _not_accepted = NotAccepted;
    let name = pci::edu(0).to_string();
    let mut root = Asker::root();
    assert_eq!(root.ask(&name).faults(), ["interrupt-remapping"]);
    let steps = follow(&mut root, &name);
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(steps[0].command, format!("echo Y > {ACCEPTED}"));
    let answer = root.ask(&name);
    assert_eq!(answer.finding("interrupt-remapping")["severity"], "warning");
    assert_eq!(fs::read_to_string(ACCEPTED).unwrap(), "Y\n");
}
