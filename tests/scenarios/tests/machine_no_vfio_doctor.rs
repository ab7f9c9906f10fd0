//! Modules that are not loaded: each is named, with the command that loads it.

use std::path::Path;
use std::process::Command;

use scenarios::client::Client;
use scenarios::doctor::{Asker, follow};
use scenarios::{wait, world};

/// As the next story expects it.
struct Unloaded;

impl Drop for Unloaded {
    fn drop(&mut self) {
        let mut modprobe = Command::new("modprobe");
        modprobe.args(["-r", "vfio-pci", "vfio_iommu_type1"]);
        Client::start(modprobe).finish("modprobe -r");
        let is_loaded = || Path::new("/sys/module/vfio").exists();
        wait::until("the modules to be gone", || !is_loaded());
    }
}

#[test]
fn modules_that_are_not_loaded_are_loaded() {
    world::require_machine("no-vfio");
    let _unloaded = Unloaded;
    let mut root = Asker::root();
    let answer = root.ask("");
    let faults = ["module-vfio-pci", "module-vfio_iommu_type1", "node-vfio"];
    assert_eq!(answer.faults(), faults, "{answer:?}");
    let steps = follow(&mut root, "");
    assert_eq!(steps[0].command, "modprobe vfio-pci", "{steps:?}");
    assert!(Path::new("/dev/vfio/vfio").exists());
}
