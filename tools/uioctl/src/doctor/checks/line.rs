//! The interrupt of a device that nobody drives: whether somebody has it all the same.
//!
//! `uio_pdrv_genirq` requests the interrupt when it is bound, alone, and fails if another has it. The rows of
//! `/proc/interrupts` have the number of a line in its controller; what the device tree says is turned into it for
//! Arm's GIC (`gic_irq_domain_translate` in `drivers/irqchip/irq-gic-v3.c`), and for controllers with plain numbers.

use uio_core::of::Interrupt;

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};
use crate::doctor::target::Block;
use crate::proc::interrupts::{Interrupts, Irq};

/// Who has the first interrupt of a device without a driver. None if nobody, or if that cannot be told.
pub(super) fn taken(machine: &Machine, block: &Block) -> Option<Finding> {
    const CHECK: &str = "interrupt-line";
    if block.driver().is_some() {
        return None;
    }
    let interrupt = block.node.as_ref()?.interrupts().first()?;
    let line = gic_line(machine, interrupt)?;
    let table = Interrupts::parse(&text(&machine.proc("interrupts"))?);
    let is_line = |row: &&Irq| {
        row.chip.starts_with("GIC") && row.hwirq == Some(line) && !row.handlers.is_empty()
    };
    let row = table.rows.iter().find(is_line)?;
    let who = row.handlers.join(", ");
    let looked_at = format!("{}, line {line}", machine.proc("interrupts").display());
    Some(
        Finding::ok(CHECK, looked_at, &who)
            .fault(format_args!("its interrupt is taken by {who}, and UIO does not share it"))
            .advice("unbind the driver that has it: uioctl irq shows it; or correct the interrupts in the overlay"),
    )
}

/// The number of a line of the GIC: shared ones begin at 32, those of a CPU at 16.
fn gic_line(machine: &Machine, interrupt: &Interrupt) -> Option<u64> {
    let controller = machine.tree().node(&interrupt.controller).ok()?;
    let is_gic = controller.compatible().iter().any(|what| what.contains("gic"));
    match interrupt.specifier[..] {
        [0, number, ..] if is_gic => Some(u64::from(number) + 32),
        [1, number, ..] if is_gic => Some(u64::from(number) + 16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;

    #[test]
    fn a_line_that_another_has_is_taken() {
        let fake = Fake::board();
        fake.unbound();
        let rows = |handler: &str, line: u32| {
            format!("  CPU0\n 16: 3 GICv3 {line} Level {handler}\n 17: 0 other 34 Level fan\n")
        };
        fake.write("proc/interrupts", rows("uart", 35));
        assert_eq!(taken(&fake.machine(), &fake.block()), None);
        fake.write("proc/interrupts", rows("uart", 34));
        let found = taken(&fake.machine(), &fake.block()).unwrap();
        assert!(found.is_fault() && found.problem.unwrap().contains("taken by uart"));
        fake.bind_block(Some("rtc-pl031"));
        assert_eq!(taken(&fake.machine(), &fake.block()), None, "that is its own driver's");
    }
}
