//! Devices that the device tree describes: who they are, who drives them, and where their registers are.

use std::io::{self, Write};

use uio_core::Result;
use uio_core::of::Tree;
use uio_core::sys::sysfs::{PlatformInfo, Sysfs};

use super::{driver, push_grouped};
use crate::doctor::readiness::{self, Readiness};
use crate::of_node::NodeParts;
use crate::out::Out;
use crate::size::human_size;
use crate::table::{Align, Cell, Paint, Table};

/// A device with all that is shown of it.
#[derive(Debug)]
pub(super) struct PlatformDevice {
    pub(super) info: PlatformInfo,
    pub(super) parts: NodeParts,
    pub(super) readiness: Readiness,
}

impl PlatformDevice {
    /// Those that have a node. On a machine without a device tree there are none.
    pub(super) fn all(sysfs: &Sysfs) -> Result<Vec<Self>> {
        let tree = Tree::at(sysfs.device_tree());
        if !tree.exists() {
            return Ok(Vec::new());
        }
        let new = |info: PlatformInfo| {
            let node = tree.node(info.node.as_deref()?).ok()?;
            let readiness = readiness::of_platform(&info);
            Some(Self { parts: NodeParts::of(&node), readiness, info })
        };
        Ok(sysfs.platform_devices()?.into_iter().filter_map(new).collect())
    }
}

pub(super) fn show(devices: &[PlatformDevice], out: &mut Out) -> io::Result<()> {
    out.table_cut(&table(devices))?;
    let mut missing = devices.iter().filter(|device| device.readiness.way().is_none());
    if let Some(node) = missing.find_map(|device| device.info.node.as_ref()) {
        writeln!(out, "\nWhat is missing, and what mends it: uioctl doctor of:{node}")?;
    }
    Ok(())
}

/// What it is compatible with is last, since it may be long.
fn table(devices: &[PlatformDevice]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("PLATFORM", Left),
        ("NODE", Left),
        ("DRIVER", Left),
        ("READY FOR", Left),
        ("ADDRESS", Right),
        ("SIZE", Right),
        ("NAMED", Left),
        ("COMPATIBLE", Left),
    ]);
    for PlatformDevice { info, parts, readiness } in devices {
        let first = vec![
            Cell::painted(&info.name, Paint::Bold),
            Cell::from(info.node.as_deref().unwrap_or("-")),
            driver(info.driver.as_deref()),
            ready_for(info, *readiness),
        ];
        let mut rows: Vec<Vec<Cell>> = parts
            .regions
            .iter()
            .map(|region| {
                vec![
                    format!("{:#x}", region.address).into(),
                    human_size(region.size.into()).into(),
                    Cell::from(region.name.as_deref().unwrap_or("")),
                ]
            })
            .collect();
        if rows.is_empty() {
            rows.push(vec!["-".into(), "".into(), "".into()]);
        }
        let mut compatible = Some(Cell::from(info.compatible.join(", ")));
        push_grouped(&mut table, first, rows, |cells| cells.extend(compatible.take()));
    }
    table
}

fn ready_for(info: &PlatformInfo, readiness: Readiness) -> Cell {
    match (info.uio, readiness.missing()) {
        (Some(number), _) => Cell::painted(format!("uio{number}"), Paint::Good),
        (None, missing) => Cell::from(format!("- ({})", missing.unwrap_or("nothing"))),
    }
}
