//! What is special about a device of the platform bus: its node, and what the node says.

use serde::Serialize;
use uio_core::of::Tree;
use uio_core::sys::sysfs::bind::is_for_userspace;
use uio_core::sys::sysfs::usage::Machine;
use uio_core::sys::sysfs::{PlatformInfo, Sysfs};

use super::held_by;
use crate::failure::Failure;
use crate::of_node::NodeParts;
use crate::out::Out;
use crate::size::human_size;
use crate::table::{Align, Cell, Paint, Table};

#[derive(Debug, Serialize)]
pub(super) struct Block {
    /// `platform` or `amba`.
    bus: &'static str,
    node: Option<String>,
    compatible: Vec<String>,
    /// The UIO device that its driver made of it.
    uio: Option<Uio>,
    #[serde(flatten)]
    parts: NodeParts,
}

#[derive(Debug, Serialize)]
struct Uio {
    number: u32,
    name: String,
}

impl Block {
    pub(super) fn of(info: &PlatformInfo, sysfs: &Sysfs) -> Self {
        let tree = Tree::at(sysfs.device_tree());
        let node = info.node.as_deref().and_then(|path| tree.node(path).ok());
        let uio = |number| {
            let name = sysfs.uio_device(number).ok()?.name;
            Some(Uio { number, name })
        };
        Self {
            bus: info.bus.name(),
            node: info.node.clone(),
            compatible: info.compatible.clone(),
            uio: info.uio.and_then(uio),
            parts: node.as_ref().map(NodeParts::of).unwrap_or_default(),
        }
    }

    /// What stands behind the name.
    pub(super) fn title(&self) -> String {
        match &self.node {
            Some(node) => format!("{node} of the device tree"),
            None => "in no device tree".to_owned(),
        }
    }

    pub(super) fn lines(&self) -> Vec<(&'static str, Cell)> {
        let uio = self.uio.as_ref().map_or("none".into(), |uio| {
            let Uio { number, name } = uio;
            Cell::painted(format!("uio{number} ({name})"), Paint::Good)
        });
        let mut lines = vec![
            ("bus", Cell::from(self.bus)),
            ("compatible", Cell::from(self.compatible.join(", "))),
            ("UIO device", uio),
        ];
        lines.extend(self.parts.regions.iter().map(|region| {
            let name = region.name.as_ref().map_or(String::new(), |name| format!("{name}: "));
            let size = human_size(region.size.into());
            ("region", Cell::from(format!("{name}{:#x}, {size}", region.address)))
        }));
        lines.extend(self.parts.interrupts.iter().map(|line| ("interrupt", line.says().into())));
        lines.extend(self.parts.properties.iter().map(|entry| {
            let equals = if entry.value.is_empty() { "" } else { " = " };
            ("property", Cell::from(format!("{}{equals}{}", entry.name, entry.value)))
        }));
        lines
    }
}

/// The devices that are bound for userspace, if there are any.
pub(super) fn all(machine: &Machine, out: &mut Out) -> Result<(), Failure> {
    let mut devices = machine.sysfs.platform_devices()?;
    devices.retain(|info| info.driver.as_deref().is_some_and(is_for_userspace));
    let mut table = Table::new(
        ["PLATFORM", "NODE", "DRIVER", "UIO", "HELD BY"].map(|title| (title, Align::Left)),
    );
    for info in &devices {
        table.row(vec![
            Cell::painted(&info.name, Paint::Bold),
            Cell::from(info.node.as_deref().unwrap_or("-")),
            Cell::from(info.driver.as_deref().unwrap_or("-")),
            info.uio.map_or("-".into(), |number| format!("uio{number}")).into(),
            held_by(machine, &info.device()),
        ]);
    }
    super::show_table(&table, devices.is_empty(), out)
}
