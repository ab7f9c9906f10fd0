//! The machine `no-vfio`: the VFIO modules are there and not loaded, and `modprobe` loads them.

use std::path::Path;
use std::process::Command;

use scenarios::{wait, world};

fn loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

fn modprobe(args: &[&str]) {
    Command::new("modprobe").args(args).status().expect("modprobe runs");
}

#[test]
fn vfio_is_not_loaded_and_can_be() {
    world::require_machine("no-vfio");
    let modules = ["vfio_pci", "vfio_iommu_type1", "vfio"];
    let node = Path::new("/dev/vfio/vfio");
    assert!(!modules.into_iter().any(loaded));
    modprobe(&["-a", "vfio-pci", "vfio_iommu_type1"]);
    assert!(modules.into_iter().all(loaded));
    wait::until("the node", || node.exists());
    // As the next story expects it.
    modprobe(&["-r", "vfio-pci", "vfio_iommu_type1"]);
    wait::until("the modules to be gone", || !modules.into_iter().any(loaded));
}
