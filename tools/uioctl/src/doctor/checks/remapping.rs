//! Interrupt remapping: without it a device could forge the interrupts of others, and `vfio_iommu_type1` refuses.
//!
//! No attribute says whether it is on. The names of the interrupt controllers in `/proc/interrupts` do, on x86, and
//! anybody may read them: `IR-IO-APIC` and `IR-PCI-MSI` stand behind the remapping, `IO-APIC` and `PCI-MSI` do not
//! (`arch/x86/kernel/apic/io_apic.c`, `drivers/iommu/intel/irq_remapping.c`). On Arm the `ITS` isolates messages. Where
//! neither can be seen, it is not known. That the hardware could is in its extended capabilities (`ecap`, bit 3).

use std::fs;

use uio_core::sys::hints;

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};
use crate::proc::interrupts::Interrupts;

const CHECK: &str = "interrupt-remapping";

/// Says that forged interrupts are accepted.
const UNSAFE: &str = "module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";

/// Words on the command line that switch it off.
const OFF: [&str; 2] = ["nointremap", "intremap=off"];

/// Whether messages of devices are remapped.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remapping {
    /// As the name of this controller says.
    On(String),
    Off(String),
    Unknown,
}

pub(super) fn remapping(machine: &Machine) -> Finding {
    let path = machine.proc("interrupts");
    let looked_at = path.display();
    match remapping_of(&text(&path).unwrap_or_default()) {
        Remapping::On(chip) => Finding::ok(CHECK, looked_at, format_args!("on: {chip}")),
        Remapping::Off(chip) => {
            off(machine, Finding::ok(CHECK, looked_at, format_args!("off: {chip}")))
        }
        Remapping::Unknown => Finding::ok(CHECK, looked_at, "not known").note(
            "no interrupt controller there tells; if it is off, VFIO says so when it is used",
        ),
    }
}

fn remapping_of(interrupts: &str) -> Remapping {
    let all = Interrupts::parse(interrupts);
    let chips = || all.rows.iter().map(|irq| irq.chip.as_str());
    let first = |parts: &[&str]| {
        chips().find(|chip| parts.iter().any(|part| chip.contains(part))).map(str::to_owned)
    };
    if let Some(chip) = first(&["IR-IO-APIC", "IR-PCI-MSI", "ITS"]) {
        return Remapping::On(chip);
    }
    first(&["IO-APIC", "PCI-MSI"]).map_or(Remapping::Unknown, Remapping::Off)
}

fn off(machine: &Machine, found: Finding) -> Finding {
    let parameter = machine.sys(UNSAFE);
    let shown = parameter.display();
    let value = text(&parameter);
    if value.as_deref() == Some("Y") {
        return found
            .warning(format_args!(
                "interrupts are not remapped, and the risk is accepted: {shown} is Y"
            ))
            .advice(remedy(machine));
    }
    let command = match value {
        Some(_) => format!("echo Y > {shown}"),
        None => "modprobe vfio_iommu_type1 allow_unsafe_interrupts=1".to_owned(),
    };
    found
        .fault(hints::no_interrupt_remapping().cause)
        .root_command(command)
        .advice(format_args!("the command accepts the risk; to remove it, {}", remedy(machine)))
}

/// What switches it on.
fn remedy(machine: &Machine) -> String {
    if let Some(word) = OFF.into_iter().find(|word| machine.booted_with(word)) {
        return format!("take {word} off the kernel's command line and start the machine anew");
    }
    match hardware_can(machine) {
        Some(false) => {
            "use a machine whose IOMMU can remap interrupts: this one's cannot".to_owned()
        }
        _ => "switch interrupt remapping (x2APIC, VT-d) on in the firmware's set-up".to_owned(),
    }
}

/// Whether the IOMMUs of Intel can; `None` if there is none.
fn hardware_can(machine: &Machine) -> Option<bool> {
    let units = fs::read_dir(machine.sys("class/iommu")).ok()?.flatten();
    let ecaps = units.filter_map(|unit| {
        let ecap = text(&unit.path().join("intel-iommu/ecap"))?;
        u64::from_str_radix(ecap.trim(), 16).ok()
    });
    ecaps.map(|ecap| ecap >> 3 & 1 != 0).reduce(|all, one| all && one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;

    const OFF_TABLE: &str =
        "  CPU0\n 4: 7 IO-APIC 4-edge ttyS0\n 24: 1 PCI-MSI-0000:00:02.0 0-edge v\n";

    fn off_machine() -> Fake {
        let fake = Fake::ready();
        assert!(!remapping(&fake.machine()).is_fault());
        fake.write("proc/interrupts", OFF_TABLE);
        fake
    }

    #[test]
    fn without_remapping_the_risk_can_be_accepted() {
        let fake = off_machine();
        let found = remapping(&fake.machine());
        assert!(found.is_fault() && found.as_root);
        let parameter = fake.path("sys").join(UNSAFE);
        assert_eq!(found.command.unwrap(), format!("echo Y > {}", parameter.display()));
        fs::write(parameter, "Y\n").unwrap();
        let found = remapping(&fake.machine());
        assert!(!found.is_fault() && found.problem.is_some());
    }

    #[test]
    fn a_module_that_is_not_loaded_is_loaded_with_the_parameter() {
        let fake = off_machine();
        fake.without("sys/module/vfio_iommu_type1");
        let command = remapping(&fake.machine()).command.unwrap();
        assert_eq!(command, "modprobe vfio_iommu_type1 allow_unsafe_interrupts=1");
    }

    #[test]
    fn what_would_switch_it_on_depends_on_what_keeps_it_off() {
        let fake = off_machine();
        let advice = |fake: &Fake| remapping(&fake.machine()).advice.unwrap();
        assert!(advice(&fake).contains("firmware"));
        fake.write("sys/class/iommu/dmar0/intel-iommu/ecap", "f00f52");
        assert!(advice(&fake).contains("cannot"));
        fake.write("proc/cmdline", "nointremap");
        assert!(advice(&fake).contains("take nointremap off"));
    }

    #[test]
    fn the_controllers_of_other_machines() {
        let row = |chip: &str| remapping_of(&format!("  CPU0\n 4: 7 {chip} 4 Edge x\n"));
        assert_eq!(row("ITS-MSI"), Remapping::On("ITS-MSI".into()));
        assert_eq!(row("GICv3"), Remapping::Unknown);
        assert_eq!(remapping_of(""), Remapping::Unknown);
    }
}
