//! Device nodes: whether they are there, and whether the asking user may open them to read and write.
//!
//! The rights are asked of the kernel; nothing is opened.

use std::path::PathBuf;

use crate::doctor::finding::Finding;
use crate::doctor::kernel::Module;
use crate::doctor::machine::{Access, Machine};
use crate::doctor::target::Function;

/// The node that all users of VFIO open first.
pub(super) fn container(machine: &Machine) -> Finding {
    const CHECK: &str = "node-vfio";
    let node = machine.at_root("dev/vfio/vfio");
    let found = Finding::ok(CHECK, node.display(), shown(machine.access(&node)));
    match machine.access(&node) {
        Access::Yes => found,
        Access::Denied => found
            .fault(format_args!("user {} may not open it", machine.user.uid))
            .root_command(format_args!("chmod 666 {}", node.display()))
            .advice("everybody may: a container alone gives access to no device"),
        Access::Missing => missing_container(machine, found),
    }
}

/// The node comes with the module.
fn missing_container(machine: &Machine, found: Finding) -> Finding {
    let elsewhere = "in a container, hand it in from outside: /dev/vfio/vfio and the group's node";
    match machine.kernel.module(&machine.sys(""), "vfio") {
        Module::Present => found
            .fault(
                "the kernel has the module, but this /dev has not the node: it is not the kernel's",
            )
            .advice(elsewhere),
        // What to do about the module, its own check says.
        Module::Absent => found.fault("the kernel has no module that makes it"),
        Module::Available | Module::Unknown => found
            .fault("it is not there: the module is not loaded")
            .root_command("modprobe vfio-pci")
            .advice(elsewhere),
    }
}

/// The node of the function's group, once it is bound to VFIO.
pub(super) fn group(machine: &Machine, function: &Function) -> Option<Finding> {
    const CHECK: &str = "node-group";
    let group = function.info.iommu_group.filter(|_| function.is_on_vfio())?;
    let node = machine.at_root(format!("dev/vfio/{group}"));
    let rule = format!(r#"SUBSYSTEM=="vfio", KERNEL=="{group}", OWNER="USER""#);
    Some(own(machine, CHECK, &[node], &rule))
}

/// `/dev/uioN`.
pub(super) fn uio(machine: &Machine, number: u32) -> Finding {
    const CHECK: &str = "node-uio";
    let node = machine.at_root(format!("dev/uio{number}"));
    let rule = format!(r#"SUBSYSTEM=="uio", KERNEL=="uio{number}", OWNER="USER""#);
    own(machine, CHECK, &[node], &rule)
}

/// The files of sysfs by which a function on `uio_pci_generic` is driven: its BARs, and the configuration space, where
/// its interrupt is armed.
pub(super) fn resources(machine: &Machine, function: &Function) -> Finding {
    const CHECK: &str = "node-resources";
    let bars = function.info.bars.iter().filter(|bar| !bar.is_rom());
    let mut files: Vec<PathBuf> =
        bars.map(|bar| function.dir.join(format!("resource{}", bar.index))).collect();
    files.push(function.dir.join("config"));
    own(
        machine,
        CHECK,
        &files,
        "run as root, or chown them from a script that a udev rule runs: sysfs forgets it",
    )
}

/// All of `files` have to be open to the user; the first that is not is shown, and the command is for all such.
fn own(machine: &Machine, check: &'static str, files: &[PathBuf], last: &str) -> Finding {
    let state = |path: &PathBuf| machine.access(path);
    if let Some(missing) = files.iter().find(|path| state(path) == Access::Missing) {
        return Finding::ok(check, missing.display(), shown(Access::Missing))
            .fault("it is not there: udev has not made it yet, or this /dev is not the kernel's")
            .advice("in a container, hand it in from outside; elsewhere look at the log of udev");
    }
    let denied: Vec<&PathBuf> = files.iter().filter(|path| state(path) == Access::Denied).collect();
    let Some(first) = denied.first().copied().or(files.first()) else {
        return Finding::ok(check, "-", "nothing to open");
    };
    let found = Finding::ok(check, first.display(), shown(state(first)));
    if denied.is_empty() {
        return found;
    }
    let names: Vec<String> = denied.iter().map(|path| path.display().to_string()).collect();
    let uid = machine.user.uid;
    found
        .fault(format_args!("user {uid} may not open it to read and write"))
        .root_command(format_args!("chown {uid} {}", names.join(" ")))
        .advice(format_args!("to keep it, in /etc/udev/rules.d/60-uiod.rules: {last}"))
}

fn shown(access: Access) -> &'static str {
    match access {
        Access::Yes => "may be opened",
        Access::Denied => "permission denied",
        Access::Missing => "not there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;

    #[test]
    fn the_container_is_for_everybody() {
        let fake = Fake::ready();
        assert!(!container(&fake.machine()).is_fault());
        fake.deny("dev/vfio/vfio");
        let command = container(&fake.machine()).command.unwrap();
        assert!(
            command.starts_with("chmod 666 ") && command.ends_with("/dev/vfio/vfio"),
            "{command}"
        );
        fake.without("dev/vfio");
        let found = container(&fake.machine());
        assert!(found.is_fault() && found.command.is_none(), "{found:?}");
        fake.without("sys/module/vfio");
        assert_eq!(container(&fake.machine()).command, None, "the kernel has none");
        fake.write("lib/modules/6.1.0/modules.dep", "kernel/vfio.ko:\n");
        assert_eq!(container(&fake.machine()).command.unwrap(), "modprobe vfio-pci");
    }

    #[test]
    fn the_node_of_a_group_is_given_to_the_user_who_asks() {
        let fake = Fake::ready();
        fake.as_user();
        assert!(!group(&fake.machine(), &fake.function()).unwrap().is_fault());
        fake.deny("dev/vfio/7");
        let found = group(&fake.machine(), &fake.function()).unwrap();
        assert!(found.is_fault() && found.as_root);
        let node = fake.path("dev/vfio/7");
        assert_eq!(found.command.unwrap(), format!("chown 1000 {}", node.display()));
        assert!(found.advice.unwrap().contains(r#"KERNEL=="7""#));
        fake.without("dev/vfio/7");
        assert!(group(&fake.machine(), &fake.function()).unwrap().is_fault());
    }

    #[test]
    fn a_function_that_is_not_on_vfio_has_no_node_yet() {
        let fake = Fake::ready();
        fake.bind(crate::doctor::fake::BDF, None);
        assert_eq!(group(&fake.machine(), &fake.function()), None);
    }

    #[test]
    fn the_files_of_a_generic_function_are_given_all_at_once() {
        let fake = Fake::generic();
        assert!(!resources(&fake.machine(), &fake.function()).is_fault());
        assert!(!uio(&fake.machine(), 0).is_fault());
        for file in ["resource0", "config"] {
            let path = fake.function_path(file);
            fake.deny(path.strip_prefix(fake.path("")).unwrap().to_str().unwrap());
        }
        let command = resources(&fake.machine(), &fake.function()).command.unwrap();
        assert!(command.contains("/resource0 ") && command.ends_with("/config"), "{command}");
        fake.deny("dev/uio0");
        assert!(uio(&fake.machine(), 0).command.unwrap().ends_with("/dev/uio0"));
    }
}
