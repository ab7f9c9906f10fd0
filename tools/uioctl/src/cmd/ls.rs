//! `uioctl ls`: the devices that can be driven from userspace, and by whom they are driven now.
//!
//! It reads sysfs alone (`uio_core::sys::sysfs`) and opens no device.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use uio_core::sys::sysfs::{MsiKind, PciBar, PciInfo, Sysfs, UioInfo};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::out::Out;
use crate::size::{human_size, ranges};
use crate::table::{Align, Cell, Paint, Table};

pub(crate) fn run(cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let sysfs = Sysfs::at(&cli.sysfs);
    let uio = sysfs.uio_devices()?;
    let pci = sysfs.pci_devices()?;
    if cli.json {
        let uio = uio.iter().map(UioJson::new).collect();
        let pci = pci.iter().map(PciJson::new).collect();
        return Ok(out.json(&DevicesJson { uio, pci })?);
    }
    if uio.is_empty() {
        writeln!(
            out,
            "No UIO devices: load the kernel module of yours, or bind it to uio_pdrv_genirq (device tree) or \
             uio_pci_generic (PCI)"
        )?;
    } else {
        out.table(&uio_table(&uio))?;
    }
    writeln!(out)?;
    if pci.is_empty() {
        writeln!(out, "No PCI devices: this machine has no PCI bus, or /sys is not mounted")?;
    } else {
        out.table(&pci_table(&pci))?;
    }
    Ok(())
}

fn uio_table(devices: &[UioInfo]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("UIO", Left),
        ("NAME", Left),
        ("VERSION", Left),
        ("DRIVER", Left),
        ("EVENTS", Right),
        ("MAP", Left),
        ("ADDRESS", Right),
        ("SIZE", Right),
        ("OFFSET", Right),
        ("NAMED", Left),
        ("PARENT", Left),
    ]);
    for device in devices {
        let events = device.events.to_string();
        let first: [Cell; 5] = [
            Cell::painted(format!("uio{}", device.number), Paint::Bold),
            Cell::from(&device.name),
            Cell::from(&device.version),
            driver(device.driver.as_deref()),
            Cell::from(events),
        ];
        let parent = device.device.as_deref().map(Path::to_string_lossy).unwrap_or_default();
        let mut parent = Some(Cell::painted(parent, Paint::Dim));
        let mut parts = region_cells(device);
        if parts.is_empty() {
            parts.push(vec![Cell::from("-"); 5]);
        }
        push_grouped(&mut table, first.to_vec(), parts, |cells| {
            cells.extend(parent.take());
        });
    }
    table
}

/// Index, address, size, offset and name of each map and port range.
fn region_cells(device: &UioInfo) -> Vec<Vec<Cell>> {
    let maps = device.maps.iter().map(|map| {
        vec![
            Cell::from(format!("map{}", map.index)),
            format!("{:#x}", map.addr).into(),
            human_size(map.size.into()).into(),
            format!("{:#x}", map.offset).into(),
            Cell::from(&map.name),
        ]
    });
    let ports = device.ports.iter().map(|port| {
        vec![
            Cell::from(format!("port{}", port.index)),
            format!("{:#x}", port.start).into(),
            format!("{} ports", port.size).into(),
            "".into(),
            Cell::from(format!("{} ({})", port.name, port.porttype)),
        ]
    });
    maps.chain(ports).collect()
}

fn pci_table(functions: &[PciInfo]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("PCI", Left),
        ("ID", Left),
        ("CLASS", Left),
        ("DRIVER", Left),
        ("GROUP", Right),
        ("INTERRUPT", Left),
        ("BAR", Left),
        ("ADDRESS", Right),
        ("SIZE", Right),
        ("KIND", Left),
    ]);
    for function in functions {
        let group = function.iommu_group.map_or("-".into(), |group| group.to_string());
        let first: [Cell; 6] = [
            Cell::painted(&function.bdf, Paint::Bold),
            Cell::from(format!("{:04x}:{:04x}", function.vendor, function.device)),
            Cell::from(class_name(function.class)),
            driver(function.driver.as_deref()),
            Cell::from(group),
            Cell::from(interrupt(function)),
        ];
        let mut parts: Vec<_> = function.bars.iter().map(bar_cells).collect();
        if parts.is_empty() {
            parts.push(vec![Cell::from("-")]);
        }
        push_grouped(&mut table, first.to_vec(), parts, |_| ());
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

/// One row for each part; what they have in common stands in the first alone, which `finish` may add to.
fn push_grouped(
    table: &mut Table,
    first: Vec<Cell>,
    parts: Vec<Vec<Cell>>,
    mut finish: impl FnMut(&mut Vec<Cell>),
) {
    let blank = vec![Cell::from(""); first.len()];
    let mut common = Some(first);
    for part in parts {
        let mut cells = common.take().unwrap_or_else(|| blank.clone());
        cells.extend(part);
        finish(&mut cells);
        table.row(cells);
    }
}

fn driver(name: Option<&str>) -> Cell {
    match name {
        Some(name) => Cell::painted(name, Paint::Good),
        None => Cell::from("-"),
    }
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

#[derive(Debug, Serialize)]
struct DevicesJson<'a> {
    uio: Vec<UioJson<'a>>,
    pci: Vec<PciJson<'a>>,
}

#[derive(Debug, Serialize)]
struct UioJson<'a> {
    number: u32,
    node: String,
    name: &'a str,
    version: &'a str,
    events: u64,
    driver: Option<&'a str>,
    device: Option<String>,
    maps: Vec<MapJson<'a>>,
    ports: Vec<PortJson<'a>>,
}

#[derive(Debug, Serialize)]
struct MapJson<'a> {
    index: usize,
    name: &'a str,
    address: u64,
    size: u64,
    offset: u64,
}

#[derive(Debug, Serialize)]
struct PortJson<'a> {
    index: usize,
    name: &'a str,
    start: u64,
    size: u64,
    porttype: &'a str,
}

impl<'a> UioJson<'a> {
    fn new(info: &'a UioInfo) -> Self {
        let map = |map: &'a uio_core::sys::sysfs::UioMap| MapJson {
            index: map.index,
            name: &map.name,
            address: map.addr,
            size: map.size,
            offset: map.offset,
        };
        let port = |port: &'a uio_core::sys::sysfs::UioPort| PortJson {
            index: port.index,
            name: &port.name,
            start: port.start,
            size: port.size,
            porttype: &port.porttype,
        };
        Self {
            number: info.number,
            node: info.node().to_string_lossy().into_owned(),
            name: &info.name,
            version: &info.version,
            events: info.events,
            driver: info.driver.as_deref(),
            device: info.device.as_deref().map(|path| path.to_string_lossy().into_owned()),
            maps: info.maps.iter().map(map).collect(),
            ports: info.ports.iter().map(port).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PciJson<'a> {
    bdf: &'a str,
    vendor: u16,
    device: u16,
    class: u32,
    revision: u8,
    driver: Option<&'a str>,
    iommu_group: Option<u32>,
    irq: Option<u32>,
    msi_kind: Option<&'static str>,
    msi_irqs: &'a [u32],
    bars: Vec<BarJson>,
}

#[derive(Debug, Serialize)]
struct BarJson {
    /// 6 is the expansion ROM.
    index: usize,
    start: u64,
    size: u64,
    flags: u64,
    kind: &'static str,
    is_64bit: bool,
    prefetchable: bool,
}

impl<'a> PciJson<'a> {
    fn new(info: &'a PciInfo) -> Self {
        let bar = |bar: &PciBar| BarJson {
            index: bar.index,
            start: bar.start,
            size: bar.size,
            flags: bar.flags,
            kind: if bar.is_io() { "io" } else { "mem" },
            is_64bit: bar.is_64bit(),
            prefetchable: bar.is_prefetchable(),
        };
        Self {
            bdf: &info.bdf,
            vendor: info.vendor,
            device: info.device,
            class: info.class,
            revision: info.revision,
            driver: info.driver.as_deref(),
            iommu_group: info.iommu_group,
            irq: info.irq,
            msi_kind: info.msi_kind.map(|kind| match kind {
                MsiKind::Msi => "msi",
                MsiKind::MsiX => "msix",
            }),
            msi_irqs: &info.msi_irqs,
            bars: info.bars.iter().map(bar).collect(),
        }
    }
}
