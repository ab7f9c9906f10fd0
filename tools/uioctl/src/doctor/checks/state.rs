//! What a PCI function can do and how it stands: its interrupt pin, how it is reset, its power, whether it masters the
//! bus.

use uio_core::pci::Command;

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};
use crate::doctor::target::Function;

/// `pci_dev::irq` of a pin that is routed nowhere (`IRQ_NOTCONNECTED`).
const NOT_CONNECTED: u32 = 1 << 31;

/// The pin, which is all that `uio_pci_generic` has for interrupts.
pub(super) fn pin(function: &Function) -> Finding {
    const CHECK: &str = "intx";
    let config = function.dir.join("config");
    let header = function.config.as_ref().map(|config| config.header());
    let Some(Ok(header)) = header else {
        return Finding::ok(CHECK, config.display(), "cannot be read")
            .note("whether it has an interrupt pin is not known");
    };
    let instead = format!("uioctl bind {} vfio-pci", function.bdf());
    let Some(pin) = header.interrupt_pin else {
        return Finding::ok(CHECK, config.display(), "byte 0x3d is 0: no pin")
            .fault("it has no INTx pin, and uio_pci_generic knows no other interrupts")
            .root_command(instead);
    };
    let irq = function.dir.join("irq");
    match function.info.irq.filter(|&irq| irq != NOT_CONNECTED) {
        Some(number) => {
            let letter = char::from(b'A' + pin - 1);
            Finding::ok(CHECK, irq.display(), format_args!("INT{letter}, interrupt {number}"))
        }
        None => Finding::ok(CHECK, irq.display(), "0")
            .fault("its INTx pin is routed to no interrupt, and uio_pci_generic knows no other interrupts")
            .root_command(instead),
    }
}

/// How the function is reset between two users.
pub(super) fn reset(function: &Function) -> Option<Finding> {
    const CHECK: &str = "reset";
    let path = function.dir.join("reset_method");
    let methods = match text(&path) {
        Some(methods) => methods,
        // The kernel shows the file of a function that it can reset alone.
        None if function.dir.exists() => String::new(),
        None => return None,
    };
    let methods = methods.trim();
    if methods.is_empty() {
        return Some(Finding::ok(CHECK, path.display(), "none").warning(
            "the kernel cannot reset it: a driver finds it as the one before has left it, and must bring it to rest itself",
        ));
    }
    let found = Finding::ok(CHECK, path.display(), methods);
    let only_bus = methods.split_whitespace().all(|method| method == "bus");
    Some(match only_bus {
        true => found.note("it is reset together with all that is on its bus"),
        false => found,
    })
}

/// The power state. A driver of VFIO wakes it, `uio_pci_generic` does not.
pub(super) fn power(function: &Function, is_woken: bool) -> Option<Finding> {
    const CHECK: &str = "power";
    let path = function.dir.join("power_state");
    let state = text(&path)?;
    let found = Finding::ok(CHECK, path.display(), &state);
    if !state.starts_with("D3") {
        return Some(found);
    }
    if is_woken {
        return Some(found.note("it sleeps, and wakes when it is opened"));
    }
    let control = function.dir.join("power/control");
    Some(
        found
            .fault("it sleeps, and reads of its registers give all ones")
            .root_command(format_args!("echo on > {}", control.display())),
    )
}

/// A function that may write to memory by itself, without an IOMMU that holds it.
pub(super) fn master(machine: &Machine, function: &Function) -> Finding {
    const CHECK: &str = "bus-master";
    let config = function.dir.join("config");
    let command = function.config.as_ref().map(|config| config.command());
    let Some(Ok(command)) = command else {
        return Finding::ok(CHECK, config.display(), "cannot be read")
            .note("whether it masters the bus is not known");
    };
    let is_on = command.contains(Command::MASTER);
    let found = Finding::ok(
        CHECK,
        config.display(),
        if is_on { "bus mastering is on" } else { "bus mastering is off" },
    );
    if !is_on {
        return found;
    }
    let found = found.warning(
        "it may write anywhere in memory, with no IOMMU between; uiod lets a driver do that with --i-accept-dma-risk only",
    );
    match machine.sysfs().iommu_groups().is_ok_and(|groups| !groups.is_empty()) {
        true => found.root_command(format_args!("uioctl bind {} vfio-pci", function.bdf())),
        false => found.advice("switch the IOMMU on, and bind it to vfio-pci"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;
    use crate::doctor::finding::Severity;

    #[test]
    fn a_function_without_a_pin_needs_vfio() {
        let fake = Fake::generic();
        assert_eq!(pin(&fake.function()).found, "INTA, interrupt 11");
        fake.write_config(&[]);
        let found = pin(&fake.function());
        assert!(found.is_fault() && found.command.unwrap().ends_with("vfio-pci"));
        fake.write_config(&[(0x3D, 2)]);
        for nowhere in ["0", "2147483648"] {
            fake.attribute("irq", nowhere);
            assert!(pin(&fake.function()).is_fault(), "{nowhere}");
        }
        fake.attribute("config", "");
        assert_eq!(pin(&fake.function()).severity, Severity::Note);
    }

    #[test]
    fn a_function_that_cannot_be_reset_is_worth_a_warning() {
        let fake = Fake::ready();
        let severity = || reset(&fake.function()).unwrap().severity;
        assert_eq!(severity(), Severity::Ok);
        fake.attribute("reset_method", "bus\n");
        assert_eq!(severity(), Severity::Note);
        fake.attribute("reset_method", "\n");
        assert_eq!(severity(), Severity::Warning);
    }

    #[test]
    fn a_function_that_sleeps_is_woken_by_vfio_alone() {
        let fake = Fake::ready();
        assert_eq!(power(&fake.function(), false).unwrap().severity, Severity::Ok);
        fake.attribute("power_state", "D3hot\n");
        assert_eq!(power(&fake.function(), true).unwrap().severity, Severity::Note);
        let found = power(&fake.function(), false).unwrap();
        assert!(found.is_fault() && found.command.unwrap().ends_with("power/control"));
    }

    #[test]
    fn a_bus_master_without_an_iommu_is_a_risk() {
        let fake = Fake::generic();
        assert_eq!(master(&fake.machine(), &fake.function()).severity, Severity::Ok);
        fake.write_config(&[(4, 0x04)]);
        let found = master(&fake.machine(), &fake.function());
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.problem.unwrap().contains("--i-accept-dma-risk"));
    }
}
