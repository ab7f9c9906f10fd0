//! What the kernel keeps even from root: lockdown, which Secure Boot switches on, and the exclusive use of memory
//! (`CONFIG_IO_STRICT_DEVMEM`). Both concern `uio_pci_generic` alone, whose functions are driven through files of sysfs;
//! VFIO goes on working (`kernel_lockdown(7)`, `drivers/pci/pci-sysfs.c`).

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};
use crate::doctor::target::Function;
use crate::proc::iomem::ResourceTree;

/// The modes of lockdown that stand in the way.
const MODES: [&str; 2] = ["integrity", "confidentiality"];

/// Lockdown, of a machine (`None`) or of a function on `uio_pci_generic`.
pub(super) fn lockdown(machine: &Machine, function: Option<&Function>) -> Finding {
    const CHECK: &str = "lockdown";
    let path = machine.sys("kernel/security/lockdown");
    let (found, mode) = match text(&path) {
        Some(modes) => {
            let mode = modes.split('[').nth(1).and_then(|rest| rest.split(']').next());
            let mode = mode.unwrap_or("none").to_owned();
            (Finding::ok(CHECK, path.display(), &mode), mode)
        }
        None if machine.sys("kernel/security/lsm").exists() => {
            return Finding::ok(CHECK, path.display(), "not there: the kernel knows no lockdown");
        }
        None => {
            let line = machine.proc("cmdline");
            let Some(mode) =
                MODES.into_iter().find(|mode| machine.booted_with(&format!("lockdown={mode}")))
            else {
                return Finding::ok(CHECK, path.display(), "not there")
                    .note(
                        "whether the kernel is locked down is not known: securityfs is not mounted",
                    )
                    .root_command("mount -t securityfs securityfs /sys/kernel/security");
            };
            (Finding::ok(CHECK, line.display(), format_args!("lockdown={mode}")), mode.to_owned())
        }
    };
    if mode == "none" { found } else { locked(found, function) }
}

/// What lockdown does to `uio_pci_generic`.
fn locked(found: Finding, function: Option<&Function>) -> Finding {
    let problem = "the kernel is locked down, which leaves uio_pci_generic without use: it lets nobody map BARs, nor arm \
                   interrupts through the configuration space";
    match function {
        Some(function) => found
            .fault(problem)
            .root_command(format_args!("uioctl bind {} vfio-pci", function.bdf()))
            .advice(
                "or switch Secure Boot off in the firmware's set-up, and take lockdown= off the kernel's command line",
            ),
        None => found.note(problem).advice("use vfio-pci, which goes on working"),
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
        fake.without("sys/kernel/security/lockdown");
        assert_eq!(of(None), Severity::Note);
        fake.write("sys/kernel/security/lsm", "capability,yama");
        assert_eq!(of(Some(&fake.function())), Severity::Ok);
    }

    #[test]
    fn without_securityfs_the_command_line_tells() {
        let fake = Fake::generic();
        fake.without("sys/kernel/security");
        let found = || lockdown(&fake.machine(), Some(&fake.function()));
        assert!(found().command.unwrap().starts_with("mount -t securityfs"));
        fake.write("proc/cmdline", "quiet lockdown=integrity");
        assert!(found().is_fault());
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
