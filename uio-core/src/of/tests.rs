//! Trees in files, as the kernel shows them.

use std::fs;
use std::path::Path;

use super::*;
use crate::error::Errno;

fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

/// Makes a node with these properties.
fn node(root: &Path, path: &str, properties: &[(&str, &[u8])]) {
    let dir = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("name"), "the name\0").unwrap();
    for (name, value) in properties {
        fs::write(dir.join(name), value).unwrap();
    }
}

/// A board: two cells each at the root, a bus of one cell each with a window, two interrupt controllers.
fn board() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let two = cells(&[2]);
    let one = cells(&[1]);
    node(root, "", &[("#address-cells", &two), ("#size-cells", &two), ("interrupt-parent", &one)]);
    node(root, "/gic", &[("phandle", &one), ("#interrupt-cells", &cells(&[3]))]);
    node(root, "/gpio@1000", &[("phandle", &two), ("#interrupt-cells", &two)]);
    node(
        root,
        "/rtc@9010000",
        &[
            ("compatible", b"arm,pl031\0generic-uio\0"),
            ("reg", &cells(&[0, 0x901_0000, 0, 0x1000, 1, 0, 0, 0x10])),
            ("reg-names", b"regs\0ram\0"),
            ("interrupts", &cells(&[0, 2, 4, 0, 3, 1])),
            ("interrupt-names", b"match\0"),
        ],
    );
    let window = cells(&[0x0, 0, 0x4000_0000, 0x1000_0000]);
    node(root, "/soc", &[("#address-cells", &one), ("#size-cells", &one), ("ranges", &window)]);
    node(
        root,
        "/soc/timer@2000",
        &[
            ("compatible", b"acme,timer\0"),
            ("reg", &cells(&[0x2000, 0x100])),
            ("interrupts-extended", &cells(&[2, 7, 1, 1, 0, 9, 4])),
        ],
    );
    node(root, "/soc/timer@3000", &[("compatible", b"acme,timer\0"), ("status", b"disabled\0")]);
    node(root, "/soc/i2c@1/chip@50", &[("reg", &cells(&[0x50]))]);
    node(root, "/soc/i2c@1", &[("#address-cells", &one), ("#size-cells", &cells(&[0]))]);
    let tree = Tree::at(root);
    (dir, tree)
}

#[test]
fn reg_has_its_names_and_64_bits() {
    let (_dir, tree) = board();
    let rtc = tree.node("/rtc@9010000").unwrap();
    let regs = Reg { name: Some("regs".to_owned()), address: 0x901_0000, size: 0x1000 };
    let ram = Reg { name: Some("ram".to_owned()), address: 0x1_0000_0000, size: 0x10 };
    assert_eq!(rtc.reg(), [regs, ram]);
    assert_eq!((rtc.path(), rtc.name()), ("/rtc@9010000", "rtc@9010000"));
}

#[test]
fn reg_is_what_the_cpu_sees_through_the_ranges_of_the_bus() {
    let (_dir, tree) = board();
    let timer = tree.node("/soc/timer@2000").unwrap();
    assert_eq!(timer.reg(), [Reg { name: None, address: 0x4000_2000, size: 0x100 }]);
}

#[test]
fn what_the_cpu_does_not_address_has_no_reg() {
    let (dir, tree) = board();
    // A chip's number on a bus without sizes.
    assert_eq!(tree.node("/soc/i2c@1/chip@50").unwrap().reg(), []);
    // A bus without `ranges` is not reached by addresses.
    fs::remove_file(dir.path().join("soc/ranges")).unwrap();
    assert_eq!(tree.node("/soc/timer@2000").unwrap().reg(), []);
}

#[test]
fn an_address_outside_every_window_is_none() {
    let (dir, tree) = board();
    fs::write(dir.path().join("soc/timer@2000/reg"), cells(&[0x1000_0000, 4])).unwrap();
    assert_eq!(tree.node("/soc/timer@2000").unwrap().reg(), []);
    fs::write(dir.path().join("soc/timer@2000/reg"), cells(&[0x0FFF_FFFC, 4])).unwrap();
    assert_eq!(tree.node("/soc/timer@2000").unwrap().reg()[0].address, 0x4FFF_FFFC);
}

#[test]
fn an_empty_ranges_changes_nothing() {
    let (dir, tree) = board();
    fs::write(dir.path().join("soc/ranges"), []).unwrap();
    assert_eq!(tree.node("/soc/timer@2000").unwrap().reg()[0].address, 0x2000);
}

#[test]
fn interrupts_are_of_the_parent_that_is_named_here_or_above() {
    let (_dir, tree) = board();
    let rtc = tree.node("/rtc@9010000").unwrap();
    let first = Interrupt {
        name: Some("match".to_owned()),
        controller: "/gic".to_owned(),
        specifier: vec![0, 2, 4],
    };
    let second = Interrupt { name: None, controller: "/gic".to_owned(), specifier: vec![0, 3, 1] };
    assert_eq!(rtc.interrupts(), [first, second]);
}

#[test]
fn extended_interrupts_each_name_their_controller() {
    let (_dir, tree) = board();
    let timer = tree.node("/soc/timer@2000").unwrap();
    let controllers: Vec<_> =
        timer.interrupts().iter().map(|one| one.controller.as_str()).collect();
    assert_eq!(controllers, ["/gpio@1000", "/gic"]);
    assert_eq!(timer.interrupts()[1].specifier, [0, 9, 4]);
}

#[test]
fn a_broken_property_is_as_none() {
    let (dir, tree) = board();
    let rtc = dir.path().join("rtc@9010000");
    fs::write(rtc.join("reg"), [1, 2, 3]).unwrap();
    fs::write(rtc.join("interrupts"), cells(&[0])).unwrap();
    fs::write(rtc.join("compatible"), [0xFF, 0xFE]).unwrap();
    let node = tree.node("/rtc@9010000").unwrap();
    assert_eq!((node.reg(), node.interrupts()), (&[][..], &[][..]));
    assert!(node.compatible().is_empty());
}

#[test]
fn a_node_is_found_by_its_path_or_by_what_it_is() {
    let (_dir, tree) = board();
    let by_path = tree.find(&"/rtc@9010000".parse().unwrap()).unwrap();
    let by_name = tree.find(&"arm,pl031".parse().unwrap()).unwrap();
    assert_eq!(by_path, by_name);
    // One of the two timers is disabled: the other is meant.
    assert_eq!(tree.find(&"acme,timer".parse().unwrap()).unwrap().path(), "/soc/timer@2000");
}

#[test]
fn several_that_are_compatible_are_named() {
    let (dir, tree) = board();
    fs::remove_file(dir.path().join("soc/timer@3000/status")).unwrap();
    let error = tree.find(&"acme,timer".parse().unwrap()).unwrap_err();
    assert_eq!(error.errno(), Errno::EEXIST);
    let text = error.to_string();
    assert!(text.contains("of:/soc/timer@2000, of:/soc/timer@3000"), "{text}");
}

#[test]
fn a_path_that_is_none_is_told_with_those_that_are_near() {
    let (_dir, tree) = board();
    let error = tree.find(&"/timer@2000".parse().unwrap()).unwrap_err();
    assert_eq!(error.errno(), Errno::ENODEV);
    assert!(error.to_string().contains("there is: /soc/timer@2000"), "{error}");
    let error = tree.find(&"/nothing".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("overlay"), "{error}");
}

#[test]
fn a_machine_without_a_tree_is_told_so() {
    let tree = Tree::at("/nowhere");
    assert!(!tree.exists() && tree.paths().len() == 1);
    let error = tree.find(&"arm,pl031".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("no device tree"), "{error}");
}

#[test]
fn a_link_of_the_kernel_leads_to_its_node() {
    let (dir, tree) = board();
    let link = dir.path().join("of_node");
    std::os::unix::fs::symlink(dir.path().join("soc/timer@2000"), &link).unwrap();
    assert_eq!(tree.path_of_link(&link).as_deref(), Some("/soc/timer@2000"));
    assert_eq!(tree.path_of_link(Path::new("/")), None);
}

#[test]
fn a_selector_does_not_leave_the_tree() {
    for text in ["/a/../b", "/a//b", "/.", "/", ""] {
        assert!(text.parse::<Selector>().is_err(), "{text}");
    }
    assert_eq!("/a/".parse::<Selector>().unwrap().to_string(), "/a");
    let (_dir, tree) = board();
    assert!(tree.node("/../..").is_err());
}

#[test]
fn properties_are_read_as_what_is_asked_for() {
    let node = Node::new("/x@1")
        .with_u32s("one", &[7])
        .with_u32s("two", &[1, 2])
        .with_strings("texts", &["a", "b"])
        .with_strings("text", &["a"])
        .with_property("flag", []);
    assert_eq!(node.property_read::<u32>("one").required().unwrap(), 7);
    assert_eq!(node.property_read::<u64>("one").optional(), Some(7));
    assert_eq!(node.property_read::<u64>("two").optional(), Some(0x1_0000_0002));
    assert_eq!(node.property_read::<Vec<u32>>("two").or(vec![]), [1, 2]);
    assert_eq!(node.property_read::<String>("text").or(String::new()), "a");
    assert_eq!(node.property_read::<Vec<String>>("texts").or(vec![]), ["a", "b"]);
    assert!(node.property_read::<bool>("flag").or(false));
    assert!(!node.property_read::<bool>("none").required().unwrap());
    assert_eq!(node.property_read::<u32>("none").or(3), 3);
}

#[test]
fn a_property_that_is_missing_or_something_else_is_explained() {
    let node = Node::new("/x@1").with_u32s("two", &[1, 2]);
    let error = node.property_read::<u32>("two").required().unwrap_err().to_string();
    assert!(error.contains("property two of /x@1") && error.contains("one cell"), "{error}");
    let error = node.property_read::<u32>("none").required().unwrap_err().to_string();
    assert!(error.contains("does not have it"), "{error}");
}

#[test]
fn a_node_is_a_device_if_its_status_is_missing_or_okay() {
    let node = Node::new("/x@1").with_compatible(&["Acme,x"]);
    assert!(node.is_available() && node.is_compatible("acme,X"));
    assert!(node.clone().with_strings("status", &["okay"]).is_available());
    assert!(node.clone().with_strings("status", &["ok"]).is_available());
    assert!(!node.clone().with_strings("status", &["disabled"]).is_available());
    assert!(!node.with_property("status", [1, 2]).is_available());
}

#[test]
fn a_table_matches_by_compatible() {
    let node = Node::new("/x@1").with_compatible(&["acme,x2", "acme,x"]);
    assert!(DeviceId::new("acme,x").matches(&node));
    assert!(!DeviceId::new("acme").matches(&node));
}
