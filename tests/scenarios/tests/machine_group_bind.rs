//! `uioctl bind` where two functions share an IOMMU group with a bridge.

use scenarios::pci::{self, Function};
use scenarios::{uioctl, world};

#[test]
fn a_group_goes_to_vfio_together_or_not_at_all() {
    world::require_machine("group");
    let (one, other) = (pci::shared_edu(0), pci::shared_edu(1));
    let (one_name, other_name) = (&one.to_string(), &other.to_string());
    let bridge = Function::at(0, 0x0a);
    let bridge_driver = bridge.driver();
    uioctl::run(&["bind", other_name, "uio_pci_generic"]).done();
    uioctl::run(&["bind", one_name, "vfio-pci"]).refused(&[
        "its IOMMU group is not viable",
        &format!("{other_name} is bound to uio_pci_generic"),
        "--group",
    ]);
    assert_eq!(one.driver(), None);
    let status = uioctl::run(&["status", one_name]).done();
    assert!(status.contains("not viable") && status.contains("in the way of VFIO"), "{status}");

    let said = uioctl::run(&["bind", one_name, "vfio-pci", "--group"]).done();
    assert!(
        said.contains(&format!("{one_name} is bound to vfio-pci (it had no driver)")),
        "{said}"
    );
    assert!(
        said.contains(&format!("{other_name} is bound to vfio-pci (it was with uio_pci_generic)")),
        "{said}"
    );
    assert!(said.contains("in its IOMMU group there are also 0000:00:0a.0"), "{said}");
    // The bridge's driver for hot-plug would keep VFIO from the group.
    assert_ne!(bridge.driver().as_deref(), Some("shpchp"), "{said}");
    let status = uioctl::run(&["status", one_name, "--json"]).json();
    assert_eq!(status["viable"], true);
    assert_eq!(status["siblings"].as_array().map(Vec::len), Some(2));

    uioctl::run(&["unbind", one_name, "--group"]).done();
    assert_eq!((one.driver(), other.driver()), (None, None));
    assert_eq!(bridge.driver(), bridge_driver);
    assert_eq!(other.attribute("driver_override"), "(null)");
}

#[test]
fn when_one_of_a_group_cannot_go_none_does() {
    world::require_machine("group");
    let (one, other) = (pci::shared_edu(0), pci::shared_edu(1));
    let (one_name, other_name) = (&one.to_string(), &other.to_string());
    uioctl::run(&["bind", other_name, "uio_pci_generic"]).done();
    let node = uio_node(other);
    let held = std::fs::File::open(&node).expect("the node opens");
    let name = node.display().to_string();
    uioctl::run(&["bind", one_name, "vfio-pci", "--group"])
        .refused(&[&format!("cannot bind {other_name}: it is in use"), &name]);
    assert_eq!((one.driver(), other.driver().as_deref()), (None, Some("uio_pci_generic")));
    assert_eq!(one.attribute("driver_override"), "(null)");
    drop(held);
    uioctl::run(&["unbind", other_name]).done();
}

fn uio_node(function: Function) -> std::path::PathBuf {
    scenarios::wait::until_some("its node", || {
        let entry = std::fs::read_dir(function.dir().join("uio")).ok()?.flatten().next()?;
        Some(std::path::Path::new("/dev").join(entry.file_name())).filter(|node| node.exists())
    })
}
