//! What is special about a PCI function: its IDs, and its IOMMU group with all who are in it.

use serde::Serialize;
use uio_core::sys::sysfs::bind::is_for_userspace;
use uio_core::sys::sysfs::usage::Machine;
use uio_core::sys::sysfs::{BusDevice, GroupMember, PciInfo, Sysfs};

use super::super::bind::target;
use super::held_by;
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Align, Cell, Paint, Table};

#[derive(Debug, Serialize)]
pub(super) struct Function {
    vendor: u16,
    device_id: u16,
    iommu_group: Option<u32>,
    /// Whether VFIO could open the group; none without one.
    viable: Option<bool>,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Serialize)]
struct Sibling {
    device: String,
    driver: Option<String>,
    blocks_vfio: bool,
}

impl Function {
    pub(super) fn of(function: &PciInfo, sysfs: &Sysfs) -> Self {
        let sibling = |member: &GroupMember| Sibling {
            device: member.bdf.clone(),
            driver: member.driver.clone(),
            blocks_vfio: member.blocks_vfio(),
        };
        Self {
            vendor: function.vendor,
            device_id: function.device,
            iommu_group: function.iommu_group,
            viable: function.iommu_group.map(|_| is_viable(sysfs, function)),
            siblings: target::siblings(sysfs, function).iter().map(sibling).collect(),
        }
    }

    /// What stands behind the name.
    pub(super) fn title(&self) -> String {
        format!("{:04x}:{:04x}", self.vendor, self.device_id)
    }

    pub(super) fn lines(&self) -> Vec<(&'static str, Cell)> {
        let mut lines = vec![("IOMMU group", self.group_cell())];
        lines.extend(self.siblings.iter().map(|sibling| {
            let driver = sibling.driver.as_deref().unwrap_or("no driver");
            let way = if sibling.blocks_vfio { ", in the way of VFIO" } else { "" };
            let paint = if sibling.blocks_vfio { Paint::Warn } else { Paint::Plain };
            ("  with", Cell::painted(format!("{}, {driver}{way}", sibling.device), paint))
        }));
        lines
    }

    fn group_cell(&self) -> Cell {
        match (self.iommu_group, self.viable) {
            (Some(group), Some(true)) => format!("{group}, viable").into(),
            (Some(group), _) => Cell::painted(format!("{group}, not viable"), Paint::Warn),
            (None, _) => "none".into(),
        }
    }
}

/// Whether nobody of its group is with a driver that is in VFIO's way.
fn is_viable(sysfs: &Sysfs, function: &PciInfo) -> bool {
    let own = GroupMember { bdf: function.bdf.clone(), driver: function.driver.clone() };
    let siblings = target::siblings(sysfs, function);
    !own.blocks_vfio() && !siblings.iter().any(GroupMember::blocks_vfio)
}

/// The functions that are bound for userspace, if there are any.
pub(super) fn all(machine: &Machine, out: &mut Out) -> Result<(), Failure> {
    let mut functions = machine.sysfs.pci_devices()?;
    functions.retain(|function| function.driver.as_deref().is_some_and(is_for_userspace));
    let mut table =
        Table::new(["PCI", "ID", "DRIVER", "GROUP", "HELD BY"].map(|title| (title, Align::Left)));
    for function in &functions {
        let group = function.iommu_group.map_or("-".into(), |group| {
            let viable = is_viable(&machine.sysfs, function);
            format!("{group}, {}", if viable { "viable" } else { "not viable" })
        });
        table.row(vec![
            Cell::painted(&function.bdf, Paint::Bold),
            format!("{:04x}:{:04x}", function.vendor, function.device).into(),
            Cell::from(function.driver.as_deref().unwrap_or("-")),
            Cell::from(group),
            held_by(machine, &BusDevice::pci(&function.bdf)),
        ]);
    }
    super::show_table(&table, functions.is_empty(), out)
}
