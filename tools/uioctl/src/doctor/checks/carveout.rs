//! Memory that a device is given beside its registers: it must not be the kernel's as well.
//!
//! UIO maps any address. What is memory of the machine (`System RAM` in `/proc/iomem`) and was not taken out of the
//! kernel's hands by `/reserved-memory` belongs to somebody else.

use uio_core::of::{Node, Reg};

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};
use crate::proc::iomem::ResourceTree;

/// A finding for each region that is memory of the machine.
pub(super) fn carveouts(machine: &Machine, node: &Node) -> Vec<Finding> {
    let Some(text) = text(&machine.proc("iomem")) else { return Vec::new() };
    let memory = ResourceTree::parse(&text);
    if memory.is_hidden() {
        return hidden(machine, node).into_iter().collect();
    }
    node.reg().iter().filter_map(|reg| carveout(machine, node, reg, &memory)).collect()
}

/// An ordinary user sees no addresses. Without a second region there is nothing to see.
fn hidden(machine: &Machine, node: &Node) -> Option<Finding> {
    let found = Finding::ok("reserved-memory", machine.proc("iomem").display(), "hidden");
    (node.reg().len() > 1)
        .then(|| found.note("only root sees whether its memory is reserved: run it as root"))
}

fn carveout(machine: &Machine, node: &Node, reg: &Reg, memory: &ResourceTree) -> Option<Finding> {
    const CHECK: &str = "reserved-memory";
    let owner = &memory.resources[memory.innermost(reg.address)?];
    let name = reg.name.as_deref().unwrap_or("without a name");
    let looked_at = format!("{}, {:#x}", machine.proc("iomem").display(), reg.address);
    let found = Finding::ok(CHECK, looked_at, &owner.name);
    if owner.name == "reserved" {
        return Some(found);
    }
    let of_kernel = owner.name == "System RAM" || owner.name.starts_with("Kernel ");
    of_kernel.then(|| {
        found
            .fault(format_args!(
                "the region {name} is memory that the kernel uses for itself: the two would overwrite each other"
            ))
            .advice(format_args!(
                "boot with an overlay that reserves it: &{{/}} {{ reserved-memory {{ #address-cells = <2>; #size-cells = \
                 <2>; ranges; buffer@{address:x} {{ reg = <{high:#x} {low:#x} {size_high:#x} {size_low:#x}>; no-map; }}; \
                 }}; }}; for {path}",
                address = reg.address,
                high = reg.address >> 32,
                low = reg.address & 0xffff_ffff,
                size_high = reg.size >> 32,
                size_low = reg.size & 0xffff_ffff,
                path = node.path(),
            ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;
    use crate::doctor::finding::Severity;

    fn found(fake: &Fake) -> Vec<Finding> {
        carveouts(&fake.machine(), &fake.node())
    }

    #[test]
    fn memory_of_the_kernel_is_none_for_a_device() {
        let fake = Fake::board();
        assert_eq!(found(&fake), [], "registers are no memory");
        fake.cells("reg", &[0, 0x0901_0000, 0, 0x1000, 0, 0x4800_0000, 0, 0x10_0000]);
        fake.property("reg-names", b"regs\0buf\0");
        assert_eq!(found(&fake)[0].severity, Severity::Ok, "it is reserved");
        fake.cells("reg", &[0, 0x0901_0000, 0, 0x1000, 0, 0x5000_0000, 0, 0x10_0000]);
        let fault = found(&fake).remove(0);
        assert!(fault.is_fault());
        assert!(
            fault.problem.unwrap().starts_with("the region buf is memory that the kernel uses")
        );
        let advice = fault.advice.unwrap();
        assert!(
            advice.contains("buffer@50000000 { reg = <0x0 0x50000000 0x0 0x100000>; no-map; };")
        );
        fake.write("proc/iomem", "00000000-00000000 : System RAM");
        assert_eq!(found(&fake)[0].severity, Severity::Note);
    }
}
