//! Hardware interrupts are moved between processors, where the kernel lets us.

use std::fs;

use scenarios::world;
use uio_core::irq::{HardwareIrq, ProcIrq};

/// The interrupts of the guest, by number.
fn interrupts() -> Vec<HardwareIrq> {
    let dirs = fs::read_dir("/proc/irq").unwrap().flatten();
    let numbers = dirs.filter_map(|dir| dir.file_name().to_str()?.parse::<u32>().ok());
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| ProcIrq::default().hardware_irq(number)).collect()
}

/// The processors of the guest.
fn processors() -> Vec<usize> {
    let own = uio_core::irq::CpuSet::allowed();
    own.iter().collect()
}

#[test]
fn an_interrupt_goes_to_the_processors_that_it_is_given() {
    world::require_bench();
    let (all, mut moved) = (processors(), 0);
    for irq in interrupts() {
        if let Err(error) = irq.set_affinity(&all) {
            // It belongs to one processor, or the kernel places it.
            assert!(error.to_string().contains("does not let it be moved"), "{error}");
            continue;
        }
        for &cpu in &all {
            irq.set_affinity(&[cpu]).unwrap();
            assert_eq!(irq.affinity().unwrap(), [cpu], "{irq:?}");
        }
        irq.set_affinity(&all).unwrap();
        moved += 1;
    }
    println!("{moved} interrupts moved over {} processors", all.len());
    assert!(moved > 0, "none could be moved");
}

#[test]
fn a_processor_that_is_not_there_is_explained() {
    world::require_bench();
    let irq = interrupts().into_iter().find(|irq| irq.set_affinity(&processors()).is_ok()).unwrap();
    let before = irq.affinity().unwrap();
    let error = irq.set_affinity(&[1000]).unwrap_err();
    assert!(error.to_string().contains("none of them is online"), "{error}");
    assert_eq!(irq.affinity().unwrap(), before);
}
