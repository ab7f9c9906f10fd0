//! The device tree: whether there is one, whether the node is in it, and what the node says of the device.

use std::path::PathBuf;

use uio_core::of::{Node, Selector};
use uio_core::sys::sysfs::nearest;

use crate::doctor::finding::Finding;
use crate::doctor::machine::Machine;

/// How an overlay comes to be applied.
const APPLY: &str = "the kernel takes it from who boots it: fdtoverlay for a tree in a file, `fdt apply` in U-Boot, \
                     dtoverlay= on a Raspberry Pi";

/// The directory of a node in sysfs.
fn dir(machine: &Machine, path: &str) -> PathBuf {
    machine.sysfs().device_tree().join(path.trim_start_matches('/'))
}

/// Nothing answers to what was asked for.
pub(super) fn no_node(machine: &Machine, selector: &Selector) -> Vec<Finding> {
    let tree = machine.tree();
    let root = machine.sysfs().device_tree();
    if !tree.exists() {
        let found = Finding::ok("device-tree", root.display(), "not there")
            .fault("this machine has no device tree: its firmware describes devices in another way, ACPI mostly")
            .advice("name the device by its UIO name (uio:NAME), its PCI address or its name on the platform bus");
        return vec![found];
    }
    let (looked_at, problem, near) = match selector {
        Selector::Path(path) => {
            let paths = tree.paths();
            let near = nearest(path, paths.iter().map(String::as_str)).join(", ");
            (dir(machine, path), "the tree that the kernel was booted with has no such node", near)
        }
        Selector::Compatible(what) => {
            let nodes: Vec<Node> =
                tree.paths().iter().filter_map(|path| tree.node(path).ok()).collect();
            let known = nodes.iter().flat_map(Node::compatible);
            let near = nearest(what, known).join(", ");
            (
                root.clone(),
                "no node of the tree that the kernel was booted with is compatible with it",
                near,
            )
        }
    };
    vec![
        Finding::ok("device-tree", root.display(), "there"),
        Finding::ok("node", looked_at.display(), format_args!("no {selector}"))
            .fault(format_args!("{problem}; most like it are {near}"))
            .advice(format_args!(
                "check how it is written; or the overlay that describes it was not applied: {APPLY}"
            )),
    ]
}

/// The node, and what it is.
pub(super) fn node(machine: &Machine, node: &Node) -> Finding {
    Finding::ok("node", dir(machine, node.path()).display(), node.compatible().join(", "))
}

/// A node can be switched off.
pub(super) fn status(machine: &Machine, node: &Node) -> Finding {
    let path = dir(machine, node.path()).join("status");
    let status = node.property_read::<String>("status").or("not there, which is okay".to_owned());
    let found = Finding::ok("status", path.display(), status);
    match node.is_available() {
        true => found,
        false => found
            .fault("the node is switched off, so that the kernel made no device of it")
            .advice(format_args!(
                "boot with an overlay that says &{{{}}} {{ status = \"okay\"; }};: {APPLY}",
                node.path()
            )),
    }
}

/// What UIO can map.
pub(super) fn registers(machine: &Machine, node: &Node) -> Finding {
    let path = dir(machine, node.path()).join("reg");
    let regions: Vec<String> = node
        .reg()
        .iter()
        .map(|reg| {
            let name = reg.name.as_ref().map_or(String::new(), |name| format!("{name} "));
            format!("{name}{:#x}+{:#x}", reg.address, reg.size)
        })
        .collect();
    match &regions[..] {
        [] => Finding::ok("reg", path.display(), "no address that the CPU has")
            .fault("it has no registers that could be mapped: it is no device by itself, or sits behind another bus")
            .advice("name the node of a device, or give it a reg by an overlay"),
        regions => Finding::ok("reg", path.display(), regions.join(", ")),
    }
}

/// UIO has one interrupt for a device.
pub(super) fn interrupts(machine: &Machine, node: &Node) -> Finding {
    let path = dir(machine, node.path()).join("interrupts");
    let names: Vec<&str> =
        node.interrupts().iter().filter_map(|interrupt| interrupt.name.as_deref()).collect();
    let count = node.interrupts().len();
    let of_names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    let found = Finding::ok("interrupts", path.display(), format_args!("{count}{of_names}"));
    match count {
        0 => found
            .warning("it has none: a driver that waits for its interrupt waits in vain")
            .advice("give it its interrupts by an overlay, if it has any"),
        1 => found,
        _ => found
            .warning(format_args!("UIO serves the first of the {count} alone{}", first_of(&names)))
            .advice("an overlay can put another first, or list only the one that matters"),
    }
}

fn first_of(names: &[&str]) -> String {
    names.first().map_or(String::new(), |name| format!(", {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::{Fake, NODE};
    use crate::doctor::finding::Severity;

    fn asked(fake: &Fake, text: &str) -> Finding {
        no_node(&fake.machine(), &text.parse().unwrap()).pop().unwrap()
    }

    #[test]
    fn a_machine_without_a_device_tree_says_so() {
        let found = asked(&Fake::ready(), NODE);
        assert!(found.is_fault() && found.check == "device-tree", "{found:?}");
    }

    #[test]
    fn a_node_that_is_not_there_is_answered_with_those_most_like_it() {
        let fake = Fake::board();
        let found = asked(&fake, "/pl031@901000");
        assert!(found.is_fault() && found.check == "node");
        assert!(found.problem.unwrap().contains("most like it are /pl031@9010000, "));
        assert!(found.advice.unwrap().contains("overlay"));
        let found = asked(&fake, "arm,pl013");
        assert!(found.problem.unwrap().contains("most like it are arm,pl031"));
    }

    #[test]
    fn a_node_that_is_switched_off_needs_an_overlay() {
        let fake = Fake::board();
        assert!(!status(&fake.machine(), &fake.node()).is_fault());
        fake.property("status", b"disabled\0");
        let found = status(&fake.machine(), &fake.node());
        assert!(found.is_fault());
        assert!(found.advice.unwrap().contains("&{/pl031@9010000} { status = \"okay\"; };"));
    }

    #[test]
    fn a_node_without_registers_is_nothing_to_drive() {
        let fake = Fake::board();
        assert_eq!(registers(&fake.machine(), &fake.node()).found, "0x9010000+0x1000");
        fake.property("reg", b"");
        assert!(registers(&fake.machine(), &fake.node()).is_fault());
    }

    #[test]
    fn of_several_interrupts_uio_serves_the_first() {
        let fake = Fake::board();
        let severity = |fake: &Fake| interrupts(&fake.machine(), &fake.node()).severity;
        assert_eq!(severity(&fake), Severity::Ok);
        fake.cells("interrupts", &[0, 2, 4, 0, 3, 4]);
        fake.property("interrupt-names", b"alarm\0tick\0");
        let found = interrupts(&fake.machine(), &fake.node());
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(found.problem.unwrap(), "UIO serves the first of the 2 alone, alarm");
        fake.property("interrupts", b"");
        assert_eq!(severity(&fake), Severity::Warning);
    }
}
