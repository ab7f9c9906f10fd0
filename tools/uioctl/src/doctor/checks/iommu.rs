//! The IOMMU: whether it is on, and if not, whether the firmware or the kernel's command line keeps it off.
//!
//! On: `/sys/kernel/iommu_groups` has groups. Off, with the firmware's table of it (ACPI `DMAR` of Intel, `IVRS` of AMD)
//! in `/sys/firmware/acpi/tables`: the kernel was not told to use it. Without such a table: the firmware keeps it to
//! itself, or the machine has none.

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};

const CHECK: &str = "iommu";

/// Words on the command line that switch the IOMMU off.
const OFF: [&str; 3] = ["iommu=off", "intel_iommu=off", "amd_iommu=off"];

pub(super) fn iommu(machine: &Machine) -> Finding {
    let groups = machine.sys("kernel/iommu_groups");
    let numbers = machine.sysfs().iommu_groups().unwrap_or_default();
    let count = numbers.iter().filter(|&&group| is_real(machine, group)).count();
    if count > 0 {
        return Finding::ok(CHECK, groups.display(), format_args!("{count} groups"));
    }
    let tables = machine.sys("firmware/acpi/tables");
    let table = ["DMAR", "IVRS"].into_iter().find(|name| tables.join(name).exists());
    match table {
        Some(name) => not_told(machine, tables.join(name).display(), name),
        None if tables.exists() => {
            Finding::ok(CHECK, tables.display(), "no groups, and neither DMAR nor IVRS")
                .fault("the firmware tells of no IOMMU: it is switched off there, or the machine has none")
                .advice(
                    "switch VT-d (Intel) or AMD-Vi, IOMMU (AMD) on in the firmware's set-up; give a virtual machine \
                     an IOMMU of its own; or do without: bind the device to uio_pci_generic",
                )
        }
        None => Finding::ok(CHECK, groups.display(), "no groups")
            .fault("no driver of an IOMMU came up")
            .advice(
                "look for the IOMMU (arm,smmu-v3 and others) in the device tree, and for its driver in the kernel; \
                 or do without: bind the device to uio_pci_generic",
            ),
    }
}

/// Whether the group is of an IOMMU: VFIO makes some of its own where it was told to do without.
fn is_real(machine: &Machine, group: u32) -> bool {
    let name = machine.sys(format!("kernel/iommu_groups/{group}/name"));
    text(&name).is_none_or(|name| name != "vfio-noiommu")
}

/// The machine has an IOMMU, as `table` says, and the kernel does not use it.
fn not_told(machine: &Machine, path: impl std::fmt::Display, table: &str) -> Finding {
    let (option, driver) = match table {
        "DMAR" => ("intel_iommu=on", "INTEL_IOMMU"),
        _ => ("amd_iommu=on", "AMD_IOMMU"),
    };
    let found = Finding::ok(CHECK, path, "the table is there, but no groups");
    if let Some(word) = OFF.into_iter().find(|word| machine.booted_with(word)) {
        return found.fault(format_args!("the kernel's command line says {word}")).advice(
            format_args!("take {word} off the kernel's command line and start the machine anew"),
        );
    }
    match machine.kernel.option(driver) {
        Some((config, "n")) => {
            let looked = config.display();
            found
                .fault(format_args!("the kernel is built without a driver for it: CONFIG_{driver} is not set in {looked}"))
                .advice(format_args!("run a kernel with CONFIG_{driver}=y"))
        }
        _ if machine.booted_with(option) => found
            .fault(format_args!(
                "{option} stands on the kernel's command line, and still it is not on"
            ))
            .command("dmesg | grep -i -e DMAR -e IOMMU -e AMD-Vi")
            .advice("the kernel's log says why; a firmware with a broken table needs an update"),
        _ => add_option(machine, found, option),
    }
}

/// The mend is a word on the command line, for the boot loader that is there.
fn add_option(machine: &Machine, found: Finding, option: &str) -> Finding {
    let line = machine.proc("cmdline");
    let found = found.fault(format_args!(
        "the machine has an IOMMU, and the kernel does not use it: {} has no {option}",
        line.display()
    ));
    let last = format!("add {option} to the kernel's command line and start the machine anew");
    if machine.at_root("usr/sbin/grubby").exists() {
        found.root_command(format_args!("grubby --update-kernel=ALL --args={option}")).advice(last)
    } else if machine.at_root("etc/default/grub").exists() {
        let edit = format!(r#"s/^GRUB_CMDLINE_LINUX="/&{option} /"#);
        found
            .root_command(format_args!("sed -i '{edit}' /etc/default/grub && update-grub"))
            .advice(last)
    } else {
        found.advice(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;

    fn fault_of(fake: &Fake) -> Finding {
        let found = iommu(&fake.machine());
        assert!(found.is_fault(), "{found:?}");
        found
    }

    fn off() -> Fake {
        let fake = Fake::ready();
        assert!(!iommu(&fake.machine()).is_fault());
        fake.without("sys/kernel/iommu_groups");
        fake
    }

    #[test]
    fn an_iommu_that_the_kernel_was_not_told_to_use() {
        let fake = off();
        fake.write("proc/cmdline", "quiet");
        let found = fault_of(&fake);
        assert!(found.looked_at.ends_with("DMAR"), "{found:?}");
        assert_eq!((found.command.as_deref(), found.as_root), (None, false));
        assert!(found.advice.unwrap().starts_with("add intel_iommu=on"));
        fake.write("etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet\"\n");
        let command = fault_of(&fake).command.unwrap();
        assert!(
            command.contains("&intel_iommu=on ") && command.ends_with("update-grub"),
            "{command}"
        );
    }

    #[test]
    fn an_iommu_that_was_switched_off_by_a_word() {
        let fake = off();
        fake.write("proc/cmdline", "quiet iommu=off");
        let found = fault_of(&fake);
        assert!(found.advice.unwrap().starts_with("take iommu=off off"));
    }

    #[test]
    fn an_iommu_that_the_firmware_keeps_to_itself() {
        let fake = off();
        fake.without("sys/firmware/acpi/tables/DMAR");
        let found = fault_of(&fake);
        assert!(found.advice.unwrap().contains("VT-d"));
    }

    #[test]
    fn an_iommu_of_amd_has_its_own_table_and_word() {
        let fake = off();
        fake.without("sys/firmware/acpi/tables/DMAR");
        fake.write("sys/firmware/acpi/tables/IVRS", "");
        assert!(fault_of(&fake).problem.unwrap().contains("amd_iommu=on"));
    }

    #[test]
    fn a_kernel_without_the_driver_is_told_from_one_that_was_not_asked() {
        let fake = off();
        fake.write("boot/config-6.1.0", "CONFIG_INTEL_IOMMU=y");
        let found = fault_of(&fake);
        assert!(found.command.unwrap().starts_with("dmesg"));
        fake.write("boot/config-6.1.0", "# CONFIG_INTEL_IOMMU is not set");
        assert!(fault_of(&fake).problem.unwrap().contains("CONFIG_INTEL_IOMMU is not set"));
    }

    #[test]
    fn a_machine_without_acpi_looks_at_its_device_tree() {
        let fake = off();
        fake.without("sys/firmware");
        assert!(fault_of(&fake).advice.unwrap().contains("device tree"));
    }

    #[test]
    fn the_groups_of_vfio_without_an_iommu_do_not_count() {
        let fake = Fake::ready();
        fake.write("sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
        fault_of(&fake);
    }
}
