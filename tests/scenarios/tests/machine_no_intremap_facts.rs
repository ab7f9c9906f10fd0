//! The machine `no-intremap`: an IOMMU with groups, that does not remap interrupts.

use std::fs;
use std::path::Path;

use scenarios::{pci, world};

#[test]
fn there_are_groups_and_no_remapped_interrupts() {
    world::require_machine("no-intremap");
    assert!(Path::new("/sys/class/iommu/dmar0").exists());
    assert_eq!(pci::edu(0).siblings().len(), 1);
    let interrupts = fs::read_to_string("/proc/interrupts").unwrap();
    // A chip whose interrupts are remapped has this before its name.
    assert!(interrupts.contains(" IO-APIC") && !interrupts.contains(" IR-"), "{interrupts}");
}
