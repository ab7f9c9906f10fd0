//! The binding of a PCI function: whether it is one for userspace, who drives it, and who shares its IOMMU group.

use std::path::Path;

use uio_core::sys::hints;
use uio_core::sys::sysfs::GroupMember;

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};
use crate::doctor::target::{Function, Route};

/// A bridge leads to other devices: to take it away from the kernel takes those away.
pub(super) fn candidate(function: &Function) -> Finding {
    const CHECK: &str = "candidate";
    let class = function.dir.join("class");
    let found = Finding::ok(CHECK, class.display(), format_args!("{:#08x}", function.info.class));
    match function.is_bridge() {
        true => found
            .fault("it is a bridge: userspace drives the devices behind it, and not the bridge")
            .advice("name one of these; `uioctl ls` shows them"),
        false => found,
    }
}

/// Who drives it.
pub(super) fn driver(machine: &Machine, function: &Function) -> Finding {
    const CHECK: &str = "driver";
    let link = function.dir.join("driver");
    let name = function.info.driver.as_deref();
    let found = Finding::ok(CHECK, link.display(), name.unwrap_or("none"));
    if function.is_bridge() || function.is_on_vfio() || function.route() != Route::Vfio {
        return found;
    }
    let found = match name {
        Some(name) => found.fault(format_args!("the kernel's driver {name} has it")),
        None => found.fault("no driver gives it to userspace"),
    };
    let bdf = function.bdf();
    match has_iommu(machine) {
        true => found.root_command(format_args!("uioctl bind {bdf} vfio-pci")),
        false => found
            .root_command(format_args!("uioctl bind {bdf} uio_pci_generic"))
            .advice("once the IOMMU is on, vfio-pci is the better one"),
    }
}

fn has_iommu(machine: &Machine) -> bool {
    machine.sysfs().iommu_groups().is_ok_and(|groups| !groups.is_empty())
}

/// A `driver_override` for a driver that does not have the device: the next one to bind will. `dir` is the device's.
pub(super) fn driver_override(dir: &Path, driver: Option<&str>) -> Option<Finding> {
    const CHECK: &str = "driver_override";
    let path = dir.join("driver_override");
    let value = text(&path)?;
    // Older kernels print the null pointer.
    let wanted = Some(value.trim()).filter(|value| !value.is_empty() && *value != "(null)");
    let found = Finding::ok(CHECK, path.display(), wanted.unwrap_or("not set"));
    let wanted = wanted.filter(|&wanted| driver != Some(wanted))?;
    let bound = driver.unwrap_or("no driver");
    Some(
        found
            .warning(format_args!(
                "it was left set: no driver but {wanted} binds by itself, and the device has {bound}"
            ))
            .root_command(format_args!("echo > {}", path.display())),
    )
}

/// Whether the group can go to userspace, as far as the others in it are concerned.
pub(super) fn group(machine: &Machine, function: &Function) -> Option<Finding> {
    const CHECK: &str = "group";
    let link = function.dir.join("iommu_group");
    let Some(group) = function.info.iommu_group else {
        // Without any group that is the IOMMU's fault.
        return has_iommu(machine).then(|| {
            Finding::ok(CHECK, link.display(), "none")
                .fault("the IOMMU does not cover it: it is in no group")
                .root_command(format_args!("uioctl bind {} uio_pci_generic", function.bdf()))
        });
    };
    let siblings = function.siblings(machine);
    let named: Vec<String> = siblings
        .iter()
        .map(|sibling| {
            format!("{} ({})", sibling.bdf, sibling.driver.as_deref().unwrap_or("no driver"))
        })
        .collect();
    let shown = match &named[..] {
        [] => format!("group {group}, alone in it"),
        named => format!("group {group}, with {}", named.join(", ")),
    };
    let found = Finding::ok(CHECK, link.display(), shown);
    let blocking: Vec<&GroupMember> =
        siblings.iter().filter(|sibling| sibling.blocks_vfio()).collect();
    if blocking.is_empty() {
        return Some(found);
    }
    let found = found.fault(hints::not_viable(function.bdf(), &siblings).cause);
    Some(free_group(machine, function, &blocking, found))
}

/// The command that takes the others of the group out of the way.
///
/// A bridge is not for userspace, so it cannot be bound along; its driver, which does no more than hot-plug, has to go.
fn free_group(
    machine: &Machine,
    function: &Function,
    blocking: &[&GroupMember],
    found: Finding,
) -> Finding {
    let is_bridge = |member: &GroupMember| {
        text(&machine.pci_dir(&member.bdf).join("class"))
            .is_some_and(|class| class.starts_with("0x06"))
    };
    let (bridges, others): (Vec<&GroupMember>, Vec<&GroupMember>) =
        blocking.iter().partition(|member| is_bridge(member));
    let mut commands: Vec<String> = bridges
        .iter()
        .map(|bridge| {
            let unbind = machine.pci_dir(&bridge.bdf).join("driver/unbind");
            format!("echo {} > {}", bridge.bdf, unbind.display())
        })
        .collect();
    if !others.is_empty() || commands.is_empty() {
        commands.push(format!("uioctl bind {} vfio-pci --group", function.bdf()));
    }
    let found = found.root_command(commands.join(" && "));
    match &bridges[..] {
        [] => found,
        _ => found.advice(
            "what is behind the bridge stays, and can no longer be plugged; or put the card into another slot",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::{BDF, Fake};
    use crate::doctor::finding::Severity;

    #[test]
    fn a_bridge_is_no_candidate() {
        let fake = Fake::ready();
        assert!(!candidate(&fake.function()).is_fault());
        fake.attribute("class", "0x060400\n");
        assert!(candidate(&fake.function()).is_fault());
    }

    #[test]
    fn a_function_that_a_driver_of_the_kernel_has_is_bound_to_vfio() {
        let fake = Fake::ready();
        assert!(!driver(&fake.machine(), &fake.function()).is_fault());
        for name in [Some("e1000e"), None] {
            fake.bind(BDF, name);
            let found = driver(&fake.machine(), &fake.function());
            assert!(found.is_fault() && found.as_root);
            assert_eq!(found.command.unwrap(), format!("uioctl bind {BDF} vfio-pci"));
        }
        fake.without("sys/kernel/iommu_groups");
        let found = driver(&fake.machine(), &fake.function());
        assert_eq!(found.command.unwrap(), format!("uioctl bind {BDF} uio_pci_generic"));
    }

    fn left_over(fake: &Fake) -> Option<Finding> {
        let function = fake.function();
        driver_override(&function.dir, function.info.driver.as_deref())
    }

    #[test]
    fn an_override_for_another_driver_is_worth_a_warning() {
        let fake = Fake::ready();
        for value in ["(null)\n", "\n", "vfio-pci\n"] {
            fake.attribute("driver_override", value);
            assert_eq!(left_over(&fake), None, "{value:?}");
        }
        fake.attribute("driver_override", "uio_pci_generic\n");
        let found = left_over(&fake).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.command.unwrap().starts_with("echo > "));
    }

    #[test]
    fn a_sibling_on_a_driver_of_the_kernel_is_named() {
        let fake = Fake::ready();
        assert_eq!(group(&fake.machine(), &fake.function()).unwrap().found, "group 7, alone in it");
        fake.add("0000:03:00.1", Some("e1000e"));
        let found = group(&fake.machine(), &fake.function()).unwrap();
        assert!(found.is_fault());
        assert!(found.problem.unwrap().contains("0000:03:00.1 is bound to e1000e"));
        assert_eq!(found.command.unwrap(), format!("uioctl bind {BDF} vfio-pci --group"));
        fake.bind("0000:03:00.1", Some("vfio-pci"));
        assert!(!group(&fake.machine(), &fake.function()).unwrap().is_fault());
    }

    #[test]
    fn a_bridge_in_the_way_loses_its_driver_and_is_not_bound_along() {
        let fake = Fake::ready();
        fake.add("0000:00:1e.0", Some("shpchp"));
        fake.write("sys/bus/pci/devices/0000:00:1e.0/class", "0x060400\n");
        let command = || group(&fake.machine(), &fake.function()).unwrap().command.unwrap();
        assert!(
            command().starts_with("echo 0000:00:1e.0 > ") && command().ends_with("driver/unbind")
        );
        fake.add("0000:03:00.1", Some("e1000e"));
        assert!(command().contains("driver/unbind && uioctl bind "), "{}", command());
    }

    #[test]
    fn a_function_that_the_iommu_does_not_cover() {
        let fake = Fake::ready();
        fake.without(&format!("sys/bus/pci/devices/{BDF}/iommu_group"));
        assert!(group(&fake.machine(), &fake.function()).unwrap().is_fault());
        fake.without("sys/kernel/iommu_groups");
        assert_eq!(group(&fake.machine(), &fake.function()), None);
    }
}
