//! `uioctl doctor` against faults made on purpose, on the machine that has none: each is named, with a command that mends
//! it. `uioctl ls` says the same in short.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::client::Client;
use scenarios::doctor::{Asker, follow};
use scenarios::pci::{self, Function};
use scenarios::{programs, wait, world};

/// The node of the function's group, which is there once it is bound to VFIO.
fn node(function: Function) -> PathBuf {
    let node = Path::new("/dev/vfio").join(function.group().expect("a group"));
    wait::until("the group's node", || node.exists());
    node
}

fn checks(asker: &mut Asker, function: Function) -> Vec<String> {
    follow(asker, &function.to_string()).into_iter().map(|step| step.check).collect()
}

#[test]
fn the_machine_is_ready() {
    world::require_machine("default");
    let answer = Asker::root().ask("");
    assert!(answer.is_ready(), "{answer:?}");
    assert_eq!(answer.finding("iommu")["severity"], "ok");
    assert_eq!(answer.finding("interrupt-remapping")["severity"], "ok");
}

#[test]
fn a_function_that_nobody_drives_is_bound() {
    let function = pci::edu(0);
    let _given_back = pci::as_it_is(function);
    let mut root = Asker::root();
    let answer = root.ask(&function.to_string());
    assert_eq!(answer.faults(), ["driver"], "{answer:?}");
    assert_eq!(checks(&mut root, function), ["driver"]);
    assert_eq!(function.driver().as_deref(), Some("vfio-pci"));
}

#[test]
fn a_function_that_the_kernel_drives_is_named_with_its_driver() {
    let function = pci::serial(1);
    let _given_back = pci::as_it_is(function);
    let mut root = Asker::root();
    let answer = root.ask(&function.to_string());
    let problem = answer.finding("driver")["problem"].to_string();
    assert!(problem.contains("serial"), "{answer:?}");
    assert_eq!(checks(&mut root, function), ["driver"]);
}

#[test]
fn a_group_that_an_ordinary_user_may_not_open_is_given_to_them() {
    let function = pci::edu(0);
    let _bound = pci::bind(function, "vfio-pci");
    let node = node(function);
    let mut nobody = Asker::nobody();
    let answer = nobody.ask(&function.to_string());
    assert_eq!(answer.faults(), ["node-group"], "{answer:?}");
    assert_eq!(answer.finding("node-group")["looked_at"], node.to_str().unwrap());
    assert_eq!(checks(&mut nobody, function), ["node-group"]);
    let (code, _) = nobody.run(&format!("test -r {0} && test -w {0}", node.display()));
    assert_eq!(code, 0, "the user may open it now");
}

#[test]
fn a_limit_of_locked_memory_that_is_too_low_is_raised_by_who_may() {
    let function = pci::edu(0);
    let _bound = pci::bind(function, "vfio-pci");
    let (user, group) = world::NOBODY;
    chown(node(function), Some(user), Some(group)).unwrap();
    // The hard limit leaves room, then it does not.
    for (limit, is_for_root) in [("ulimit -S -l 64", false), ("ulimit -l 64", true)] {
        let mut nobody = Asker::nobody();
        assert_eq!(nobody.run(limit).0, 0);
        let answer = nobody.ask(&function.to_string());
        assert_eq!(answer.faults(), ["memlock"], "{answer:?}");
        assert!(answer.finding("memlock")["found"].to_string().contains("64 KiB"), "{answer:?}");
        let steps = follow(&mut nobody, &function.to_string());
        let done: Vec<_> = steps.iter().map(|step| (&*step.check, step.as_root)).collect();
        assert_eq!(done, [("memlock", is_for_root)], "{steps:?}");
    }
}

/// Files of sysfs keep the owner that they are given.
struct OwnedByRoot(Function);

impl Drop for OwnedByRoot {
    fn drop(&mut self) {
        for name in ["config", "resource0"] {
            let _ = chown(self.0.dir().join(name), Some(0), Some(0));
        }
    }
}

#[test]
fn a_function_on_uio_pci_generic_is_given_to_an_ordinary_user_file_by_file() {
    let function = pci::edu(0);
    let _given_back = OwnedByRoot(function);
    let _bound = pci::bind(function, "uio_pci_generic");
    wait::until("its node", || fs::read_dir(function.dir().join("uio")).is_ok());
    assert!(Asker::root().ask(&function.to_string()).is_ready());
    let mut nobody = Asker::nobody();
    assert_eq!(checks(&mut nobody, function), ["node-resources", "node-uio"]);
}

#[test]
fn an_override_that_was_left_set_is_a_warning() {
    let function = pci::edu(1);
    let _bound = pci::bind(function, "vfio-pci");
    fs::write(function.dir().join("driver_override"), "uio_pci_generic\n").unwrap();
    let mut root = Asker::root();
    let answer = root.ask(&function.to_string());
    assert!(answer.is_ready(), "{answer:?}");
    let found = answer.finding("driver_override");
    assert_eq!(found["severity"], "warning");
    assert_eq!(root.run(found["command"].as_str().unwrap()).0, 0);
    assert_eq!(function.attribute("driver_override"), "(null)");
}

#[test]
fn a_bridge_is_no_candidate() {
    let answer = Asker::root().ask("0000:00:08.0");
    assert_eq!(answer.faults(), ["candidate"], "{answer:?}");
}

#[test]
fn the_list_has_names_capabilities_and_what_each_function_is_ready_for() {
    let _bound = pci::bind(pci::edu(0), "vfio-pci");
    let list = || {
        let mut uioctl = Command::new(programs::uioctl());
        uioctl.args(["ls", "--json"]);
        let text = Client::start(uioctl).finish("uioctl ls").text();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["pci"].as_array().unwrap().clone()
    };
    let all = list();
    let find = |function: Function| {
        let name = function.to_string();
        all.iter().find(|entry| entry["bdf"] == *name).unwrap_or_else(|| panic!("no {name}"))
    };
    let edu = find(pci::edu(0));
    assert_eq!(edu["ready"], "vfio", "{edu}");
    let network = find(pci::e1000e());
    assert_eq!(network["device_name"], "82574L Gigabit Network Connection");
    assert_eq!((&network["ready"], &network["missing"]), (&().into(), &"not bound".into()));
    let abilities = network["abilities"]["capabilities"].as_array().unwrap();
    let vectors = abilities.iter().find(|one| one["name"] == "MSI-X").unwrap();
    assert_eq!(vectors["vectors"], 5);
    assert!(abilities.iter().any(|one| one["name"] == "AER"), "{network}");
    assert_eq!(find(pci::serial(1))["missing"], "the kernel has it");
}
