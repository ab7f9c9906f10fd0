//! What the kernel keeps even from root: lockdown, which Secure Boot switches on, and the exclusive use of memory
//! (`CONFIG_IO_STRICT_DEVMEM`). Both concern `uio_pci_generic` alone, whose functions are driven through files of sysfs;
//! VFIO goes on working (`kernel_lockdown(7)`, `drivers/pci/pci-sysfs.c`).

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};
use crate::doctor::target::Function;
use crate::proc::iomem::ResourceTree;

/// Lockdown, of a machine (`None`) or of a function on `uio_pci_generic`.
pub(super) fn lockdown(machine: &Machine, function: Option<&Function>) -> Finding {
    const CHECK: &str = "lockdown";
    let path = machine.sys("kernel/security/lockdown");
    let Some(modes) = text(&path) else {
        return Finding::ok(
            CHECK,
            path.display(),
            "not there: the kernel has no lockdown, or securityfs is not mounted",
        );
    };
    let mode = modes.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or("none");
    let found = Finding::ok(CHECK, path.display(), mode);
    if mode == "none" {
        return found;
    }
    let problem = "uio_pci_generic is of no use: BARs cannot be mapped, nor interrupts armed through the configuration space";
    let instead = "or switch Secure Boot off in the firmware's set-up, and take lockdown= off the kernel's command line";
    match function {
        Some(function) => found
            .fault(format_args!("the kernel is locked down: {problem}"))
            .root_command(format_args!("uioctl bind {} vfio-pci", function.bdf()))
            .advice(instead),
        None => found
            .note(format_args!("the kernel is locked down: {problem}; VFIO is"))
            .advice("use vfio-pci"),
    }
}

/// Exclusive memory: a BAR that somebody has claimed cannot be mapped.
pub(super) fn devmem(machine: &Machine, function: &Function) -> Finding {
    const CHECK: &str = "io-strict-devmem";
    let Some((config, value)) = machine.kernel.option("IO_STRICT_DEVMEM") else {
        let place = machine.proc("config.gz");
        return Finding::ok(
            CHECK,
            place.display(),
            "not known: no configuration of the kernel can be read",
        );
    };
    let found =
        Finding::ok(CHECK, config.display(), format_args!("CONFIG_IO_STRICT_DEVMEM={value}"));
    if value != "y" || machine.booted_with("iomem=relaxed") {
        return found;
    }
    let Some(owner) = claimed(machine, function) else { return found };
    found
        .fault(format_args!(
            "its memory is claimed by {owner}, and a claimed BAR cannot be mapped (EINVAL)"
        ))
        .root_command(format_args!("uioctl bind {} vfio-pci", function.bdf()))
        .advice("or start the kernel with iomem=relaxed")
}

/// Who has claimed a part of the function's memory. Nobody, where the kernel does not tell addresses to the user.
fn claimed(machine: &Machine, function: &Function) -> Option<String> {
    let tree = ResourceTree::parse(&text(&machine.proc("iomem"))?);
    if tree.is_hidden() {
        return None;
    }
    let bars =
        function.info.bars.iter().filter(|bar| bar.is_mem() && !bar.is_rom() && bar.start != 0);
    let mut owners = bars.filter_map(|bar| {
        let row = &tree.resources[tree.innermost(bar.start)?];
        // A row of the function itself says where the BAR is; one below it, that it is taken.
        let within = row.start >= bar.start && row.end <= bar.start.saturating_add(bar.size - 1);
        (within && row.name != function.bdf()).then(|| row.name.clone())
    });
    owners.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;
    use crate::doctor::finding::Severity;

    #[test]
    fn lockdown_leaves_vfio_alone() {
        let fake = Fake::generic();
        let of = |function: Option<&Function>| lockdown(&fake.machine(), function).severity;
        assert_eq!(of(Some(&fake.function())), Severity::Ok);
        for modes in ["none [integrity] confidentiality", "none integrity [confidentiality]\n"] {
            fake.write("sys/kernel/security/lockdown", modes);
            assert_eq!(of(Some(&fake.function())), Severity::Fault);
            assert_eq!(of(None), Severity::Note);
        }
        fake.without("sys/kernel/security");
        assert_eq!(of(Some(&fake.function())), Severity::Ok);
    }

    #[test]
    fn a_bar_that_somebody_claimed_cannot_be_mapped() {
        let fake = Fake::generic();
        let found = || devmem(&fake.machine(), &fake.function());
        assert_eq!(found().severity, Severity::Ok);
        fake.write("proc/iomem", "fea00000-feafffff : 0000:00:03.0\n  fea00000-feafffff : edu\n");
        assert!(found().problem.unwrap().contains("claimed by edu"));
        fake.write("proc/cmdline", "iomem=relaxed");
        assert_eq!(found().severity, Severity::Ok);
        fake.write("proc/cmdline", "");
        fake.write("boot/config-6.1.0", "# CONFIG_IO_STRICT_DEVMEM is not set");
        assert_eq!(found().severity, Severity::Ok);
        fake.without("boot");
        assert!(found().found.starts_with("not known"));
    }
}
