//! PCI functions: who they are and who drives them, and in a second table their BARs and capabilities.

use std::io::{self, Write};

use uio_core::Result;
use uio_core::sys::sysfs::{MsiKind, PciBar, PciInfo};

use super::{driver, push_grouped};
use crate::doctor::readiness::{self, Readiness};
use crate::doctor::{Function, Machine};
use crate::out::Out;
use crate::pci_caps::Abilities;
use crate::pci_ids::PciIds;
use crate::size::{human_size, ranges};
use crate::table::{Align, Cell, Paint, Table};

/// A function with all that is shown of it.
#[derive(Debug)]
pub(super) struct PciDevice {
    pub(super) function: Function,
    pub(super) vendor_name: Option<String>,
    pub(super) device_name: Option<String>,
    /// `None` where the configuration space cannot be read.
    pub(super) abilities: Option<Abilities>,
    pub(super) readiness: Readiness,
}

impl PciDevice {
    pub(super) fn all(machine: &Machine) -> Result<Vec<Self>> {
        let all = machine.sysfs().pci_devices()?;
        let wanted = all.iter().map(|info| (info.vendor, info.device));
        let names = PciIds::find(&machine.at_root(""), wanted);
        Ok(all.into_iter().map(|info| Self::new(info, machine, &names)).collect())
    }

    fn new(info: PciInfo, machine: &Machine, names: &PciIds) -> Self {
        let function = Function::new(info, machine);
        let (vendor, device) = (function.info.vendor, function.info.device);
        Self {
            vendor_name: names.vendor(vendor).map(str::to_owned),
            device_name: names.device(vendor, device).map(str::to_owned),
            abilities: function.config.as_ref().map(Abilities::read),
            readiness: readiness::of(machine, &function),
            function,
        }
    }

    /// Vendor and device in one, as far as they are known.
    fn name(&self) -> String {
        let known = [self.vendor_name.as_deref(), self.device_name.as_deref()];
        known.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn is_shut(&self) -> bool {
        self.readiness.way().is_none() && !self.function.is_bridge()
    }
}

pub(super) fn show(devices: &[PciDevice], out: &mut Out) -> io::Result<()> {
    out.table_cut(&functions(devices))?;
    let parts = parts(devices);
    if !parts.is_empty() {
        writeln!(out)?;
        out.table(&parts)?;
    }
    // Rather one that nobody uses than the machine's disk.
    let is_idle = |device: &&PciDevice| device.function.info.driver.is_none();
    let shut = || devices.iter().filter(|device| device.is_shut());
    if let Some(one) = shut().find(is_idle).or_else(|| shut().next()) {
        let bdf = one.function.bdf();
        writeln!(out, "\nWhat is missing, and what mends it: uioctl doctor {bdf}")?;
    }
    Ok(())
}

/// The name is last, since it may be long.
fn functions(devices: &[PciDevice]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("PCI", Left),
        ("ID", Left),
        ("CLASS", Left),
        ("DRIVER", Left),
        ("GROUP", Right),
        ("INTERRUPT", Left),
        ("READY FOR", Left),
        ("NAME", Left),
    ]);
    for device in devices {
        let info = &device.function.info;
        let group = info.iommu_group.map_or("-".into(), |group| group.to_string());
        table.row(vec![
            Cell::painted(&info.bdf, Paint::Bold),
            Cell::from(format!("{:04x}:{:04x}", info.vendor, info.device)),
            Cell::from(class_name(info.class)),
            driver(info.driver.as_deref()),
            Cell::from(group),
            Cell::from(interrupt(info)),
            ready_for(device.readiness),
            Cell::from(device.name()),
        ]);
    }
    table
}

fn ready_for(readiness: Readiness) -> Cell {
    match readiness.way() {
        Some(way) => Cell::painted(way, Paint::Good),
        None => Cell::from(format!("- ({})", readiness.missing().unwrap_or("nothing"))),
    }
}

/// BARs and capabilities of the functions that have any.
fn parts(devices: &[PciDevice]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("PCI", Left),
        ("BAR", Left),
        ("ADDRESS", Right),
        ("SIZE", Right),
        ("KIND", Left),
        ("CAPABILITIES", Left),
    ]);
    for device in devices {
        let info = &device.function.info;
        let mut abilities = device.abilities.as_ref().map(Abilities::in_short);
        let mut rows: Vec<_> = info.bars.iter().map(bar_cells).collect();
        if rows.is_empty() {
            if abilities.as_deref().unwrap_or_default().is_empty() {
                continue;
            }
            rows.push(vec!["-".into(), "".into(), "".into(), "".into()]);
        }
        push_grouped(&mut table, vec![Cell::painted(&info.bdf, Paint::Bold)], rows, |cells| {
            cells.extend(abilities.take().map(Cell::from));
        });
    }
    table
}

fn bar_cells(bar: &PciBar) -> Vec<Cell> {
    let name = if bar.is_rom() { "rom".into() } else { format!("bar{}", bar.index) };
    let mut kind = vec![if bar.is_io() { "ports" } else { "memory" }];
    kind.extend(bar.is_64bit().then_some("64-bit"));
    kind.extend(bar.is_prefetchable().then_some("prefetchable"));
    kind.extend((bar.start == 0).then_some("unassigned"));
    vec![
        name.into(),
        format!("{:#x}", bar.start).into(),
        human_size(bar.size.into()).into(),
        kind.join(", ").into(),
    ]
}

fn interrupt(function: &PciInfo) -> String {
    let vectors = ranges(&function.msi_irqs);
    match (function.msi_kind, function.irq) {
        (Some(MsiKind::Msi), _) => format!("MSI {vectors}"),
        (Some(MsiKind::MsiX), _) => format!("MSI-X {vectors}"),
        (None, Some(irq)) => format!("INTx {irq}"),
        (None, None) => "-".into(),
    }
}

/// The base class, of the PCI Code and ID Assignment Specification.
fn class_name(class: u32) -> &'static str {
    match class >> 16 {
        0x00 => "unclassified",
        0x01 => "storage",
        0x02 => "network",
        0x03 => "display",
        0x04 => "multimedia",
        0x05 => "memory",
        0x06 => "bridge",
        0x07 => "communication",
        0x08 => "system",
        0x09 => "input",
        0x0a => "docking",
        0x0b => "processor",
        0x0c => "serial bus",
        0x0d => "wireless",
        0x0e => "intelligent I/O",
        0x0f => "satellite",
        0x10 => "encryption",
        0x11 => "signal processing",
        0x12 => "accelerator",
        0x13 => "instrumentation",
        0x40 => "coprocessor",
        _ => "other",
    }
}
