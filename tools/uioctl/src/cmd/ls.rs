//! `uioctl ls`: the devices that can be driven from userspace, by whom they are driven now, and what each is ready for.
//!
//! It reads sysfs, and the configuration space of PCI functions as far as the user may; it opens no device.

mod json;
mod pci;
mod platform;

use std::io::Write;
use std::path::Path;

use uio_core::sys::sysfs::UioInfo;

use crate::cli::Cli;
use crate::doctor::Machine;
use crate::failure::Failure;
use crate::out::Out;
use crate::size::human_size;
use crate::table::{Align, Cell, Paint, Table};

use pci::PciDevice;
use platform::PlatformDevice;

pub(crate) fn run(cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let machine = Machine::of(cli);
    let uio = machine.sysfs().uio_devices()?;
    let platform = PlatformDevice::all(&machine.sysfs())?;
    let pci = PciDevice::all(&machine)?;
    if cli.json {
        return Ok(out.json(&json::devices(&uio, &platform, &pci))?);
    }
    if uio.is_empty() {
        writeln!(
            out,
            "No UIO devices: load the kernel module of yours, or bind it to uio_pdrv_genirq (device tree) or \
             uio_pci_generic (PCI)"
        )?;
    } else {
        out.table(&uio_table(&uio, &platform))?;
    }
    writeln!(out)?;
    if !platform.is_empty() {
        platform::show(&platform, out)?;
        writeln!(out)?;
    }
    if pci.is_empty() {
        writeln!(out, "No PCI devices: this machine has no PCI bus, or /sys is not mounted")?;
    } else {
        pci::show(&pci, out)?;
    }
    Ok(())
}

/// The node of the device tree that a UIO device was made of.
fn node_of<'a>(uio: &UioInfo, platform: &'a [PlatformDevice]) -> Option<&'a str> {
    let parent = platform.iter().find(|device| Some(&device.info.path) == uio.device.as_ref())?;
    parent.info.node.as_deref()
}

/// Where a UIO device stands: its node, if the device tree has it, and its directory in sysfs otherwise.
fn parent(uio: &UioInfo, platform: &[PlatformDevice]) -> String {
    match node_of(uio, platform) {
        Some(node) => format!("of:{node}"),
        None => uio.device.as_deref().map(Path::to_string_lossy).unwrap_or_default().into_owned(),
    }
}

fn uio_table(devices: &[UioInfo], platform: &[PlatformDevice]) -> Table {
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
        let mut parent = Some(Cell::painted(parent(device, platform), Paint::Dim));
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
