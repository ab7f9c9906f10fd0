//! `uioctl bind` where the VFIO modules are not loaded.

use std::path::Path;
use std::process::Command;

use scenarios::{pci, uioctl, wait, world};

#[test]
fn a_module_that_is_missing_is_loaded() {
    world::require_machine("no-vfio");
    let edu = pci::edu(0);
    let name = &edu.to_string();
    let module = Path::new("/sys/module/vfio_pci");
    assert!(!module.exists());
    let said = uioctl::run(&["bind", name, "vfio-pci", "--dry-run"]).done();
    assert!(said.starts_with("1. load the module vfio-pci: modprobe vfio-pci\n"), "{said}");
    assert!(!module.exists(), "a dry run loads nothing");

    uioctl::run(&["bind", name, "vfio-pci"]).done();
    assert_eq!(edu.driver().as_deref(), Some("vfio-pci"));
    uioctl::run(&["unbind", name]).done();
    assert_eq!(edu.driver(), None);
    // As the next story expects it.
    let done = Command::new("modprobe").args(["-r", "vfio-pci"]).output().expect("modprobe runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    wait::until("the module to be gone", || !module.exists());
}
