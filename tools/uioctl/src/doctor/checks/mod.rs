//! The checks, a file for each thing that can stand in the way; [`all`] says which of them concern what is asked about.
//!
//! A check reads the [`Machine`] and the [`Function`] or the [`Block`], and returns a [`Finding`]; it changes nothing and knows no other
//! check.

mod binding;
mod block;
mod carveout;
mod chardev;
mod hugepages;
mod iommu;
mod line;
mod lockdown;
mod memlock;
mod modules;
mod nodes;
mod remapping;
mod state;
mod tree;

use super::finding::Finding;
use super::machine::Machine;
use super::target::{Block, Function, Route, Target};

/// What there is to say about the target, in the order in which one would mend it.
pub(crate) fn all(machine: &Machine, target: &Target) -> Vec<Finding> {
    let mut findings = match target {
        Target::Machine => of_machine(machine),
        Target::Sim(_) => Vec::new(),
        Target::Uio(uio) => vec![nodes::uio(machine, uio.number)],
        Target::Pci(function) => of_function(machine, function),
        Target::Block(block) => of_block(machine, block),
        Target::NoNode(selector) => tree::no_node(machine, selector),
    };
    findings.extend(chardev::ways(machine));
    findings
}

fn of_machine(machine: &Machine) -> Vec<Finding> {
    let all = machine.sysfs().pci_devices().unwrap_or_default();
    // On a machine without PCI, a board say, nobody misses VFIO.
    let mut findings = match all.iter().any(|info| info.class >> 16 != 0x06) {
        true => vfio(machine),
        false => Vec::new(),
    };
    findings.push(modules::useful(machine, modules::UIO_PCI_GENERIC));
    if machine.tree().exists() {
        findings.push(modules::useful(machine, modules::UIO_PDRV_GENIRQ));
    }
    findings.push(lockdown::lockdown(machine, None));
    findings.extend(hugepages::hugepages(machine));
    findings
}

/// What VFIO needs of a machine, whichever the device.
fn vfio(machine: &Machine) -> Vec<Finding> {
    let iommu = iommu::iommu(machine);
    // Without an IOMMU, interrupts are the smaller concern.
    let remapping = (!iommu.is_fault()).then(|| remapping::remapping(machine));
    let mut findings = vec![iommu];
    findings.extend(remapping);
    findings.extend([
        modules::needed(machine, modules::VFIO_PCI),
        modules::needed(machine, modules::TYPE1),
        nodes::container(machine),
        memlock::memlock(machine),
    ]);
    findings
}

fn of_function(machine: &Machine, function: &Function) -> Vec<Finding> {
    let mut findings = vec![binding::candidate(function)];
    if function.is_bridge() {
        return findings;
    }
    let route = function.route();
    if route == Route::Vfio {
        findings.extend(vfio(machine));
        // Before the driver: a function in a group that is not free cannot be bound.
        findings.extend(binding::group(machine, function));
    }
    findings.push(binding::driver(machine, function));
    findings.extend(binding::driver_override(&function.dir, function.info.driver.as_deref()));
    findings.extend(match route {
        Route::Vfio => on_vfio(machine, function),
        Route::Generic => on_generic(machine, function),
        Route::Uio => Vec::new(),
    });
    findings.extend(function.uio.map(|number| nodes::uio(machine, number)));
    findings.extend(state::reset(function));
    findings.extend(state::power(function, route == Route::Vfio));
    findings
}

/// What the node says comes first: without a device, and on another bus, nothing else matters.
fn of_block(machine: &Machine, block: &Block) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(node) = &block.node {
        findings.push(tree::node(machine, node));
        findings.push(tree::status(machine, node));
        findings.push(tree::registers(machine, node));
        findings.push(tree::interrupts(machine, node));
        findings.extend(carveout::carveouts(machine, node));
    }
    findings.extend(block::device(machine, block));
    findings.extend(block::bus(block));
    if findings.iter().any(Finding::is_fault) && block.uio().is_none() {
        return findings;
    }
    if block.uio().is_none() {
        findings.push(block::module(machine, block));
        findings.extend(line::taken(machine, block));
    }
    findings.push(block::driver(block));
    findings.extend(block::of_id(machine, block));
    let dir = block.info.as_ref().map(|info| &info.path);
    findings.extend(dir.and_then(|dir| binding::driver_override(dir, block.driver())));
    findings.extend(block.uio().map(|number| nodes::uio(machine, number)));
    findings
}

fn on_vfio(machine: &Machine, function: &Function) -> Vec<Finding> {
    nodes::group(machine, function).into_iter().chain(hugepages::hugepages(machine)).collect()
}

fn on_generic(machine: &Machine, function: &Function) -> Vec<Finding> {
    vec![
        nodes::resources(machine, function),
        state::pin(function),
        lockdown::lockdown(machine, Some(function)),
        lockdown::devmem(machine, function),
        state::master(machine, function),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::{BDF, Fake};

    fn faults(fake: &Fake, target: Option<&str>) -> Vec<&'static str> {
        let machine = fake.machine();
        let target = Target::find(target, &machine).unwrap();
        let all = all(&machine, &target);
        all.iter().filter(|found| found.is_fault()).map(|found| found.check).collect()
    }

    #[test]
    fn nothing_is_wrong_with_what_is_ready() {
        let fake = Fake::ready();
        for target in [None, Some(BDF), Some("pci:00:03.0"), Some("sim:edu")] {
            assert_eq!(faults(&fake, target), [""; 0], "{target:?}");
        }
        assert_eq!(faults(&Fake::generic(), Some(BDF)), [""; 0]);
    }

    #[test]
    fn a_device_is_not_blamed_for_what_it_does_not_need() {
        let fake = Fake::generic();
        fake.without("dev/vfio");
        fake.without("sys/module/vfio_pci");
        fake.write("proc/self/limits", "Max locked memory  65536  65536  bytes");
        assert_eq!(faults(&fake, Some(BDF)), [""; 0]);
        assert!(faults(&fake, None).contains(&"iommu"));
        assert_eq!(faults(&fake, Some("sim:edu")), [""; 0]);
    }

    #[test]
    fn all_that_stands_in_the_way_is_said_at_once() {
        let fake = Fake::ready();
        fake.without("sys/module/vfio_pci");
        fake.bind(BDF, Some("e1000e"));
        fake.add("0000:00:03.1", Some("e1000e"));
        fake.write("proc/self/limits", "Max locked memory  65536  65536  bytes");
        assert_eq!(faults(&fake, Some(BDF)), ["module-vfio-pci", "memlock", "group", "driver"]);
    }

    #[test]
    fn a_machine_without_pci_needs_no_vfio() {
        let fake = Fake::ready();
        fake.without("sys/bus");
        fake.without("sys/kernel/iommu_groups");
        assert_eq!(faults(&fake, None), [""; 0]);
    }

    #[test]
    fn of_a_bridge_no_more_is_said_than_that_it_is_one() {
        let fake = Fake::ready();
        fake.attribute("class", "0x060400\n");
        fake.bind(BDF, Some("pcieport"));
        assert_eq!(faults(&fake, Some(BDF)), ["candidate"]);
    }
}
