//! What a device is in use for: what would be lost if its driver were taken away now.
//!
//! [`Machine::uses_of`] looks at the devices that the kernel made below it (disks, interfaces, terminals, and whatever
//! has a node), at who uses these, and at the devices that work only while it does. All of it is text of sysfs, of procfs and of udev's database; nothing
//! is opened. Attributes that wait for the lock of the device are not read.
//!
//! What it cannot see: mounts in other mount namespaces, interfaces that were moved into another network namespace,
//! and, unless it runs as root, what the processes of others have open.

mod disks;
mod holders;
mod links;
mod network;
mod nodes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

pub use holders::Holder;

use super::{Bus, BusDevice, Sysfs, entry_names, text_or_empty};
use nodes::Node;

/// Where to look. For tests each may be a copy.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The devices.
    pub sysfs: Sysfs,
    /// procfs: `/proc`.
    pub proc: PathBuf,
    /// The database of udev, `/run/udev/data`, which knows what is on a disk that nobody uses.
    pub udev: PathBuf,
    /// Network interfaces and the addresses that they have.
    pub addresses: Vec<(String, String)>,
}

/// One thing that a device is in use for. Displayed as a clause: `/dev/sda1 is mounted at /home`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// A file system is mounted.
    Mounted {
        /// The disk or partition, and through what: `/dev/sda2 (through vg-root, LVM)`.
        disk: String,
        /// The mount point.
        at: String,
    },
    /// Memory is swapped to it.
    Swap {
        /// As above.
        disk: String,
    },
    /// Something is built on a disk: LVM, RAID, encryption.
    Stacked {
        /// The disk or partition.
        disk: String,
        /// What: `vg-root (LVM)`.
        by: String,
    },
    /// A disk is a part of something that is not active.
    Member {
        /// The disk or partition.
        disk: String,
        /// Of what: `an LVM volume group`.
        of: &'static str,
    },
    /// A network interface is in use.
    Interface {
        /// Its name.
        name: String,
        /// In what way: `is up, carries the default route`.
        how: String,
    },
    /// The kernel writes its messages there.
    Console {
        /// The terminal.
        name: String,
    },
    /// It is the display on which the machine started.
    BootDisplay,
    /// It has virtual functions, which would go with it.
    VirtualFunctions {
        /// How many.
        count: usize,
    },
    /// Another device works only while it does, and would lose its driver with it.
    Supplies {
        /// That device.
        consumer: String,
    },
    /// A process has a node of it open.
    Open(Holder),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted { disk, at } if at == "/" => {
                write!(f, "{disk} is the root disk (mounted at /)")
            }
            Self::Mounted { disk, at } => write!(f, "{disk} is mounted at {at}"),
            Self::Swap { disk } => write!(f, "{disk} is swap space in use"),
            Self::Stacked { disk, by } => write!(f, "{disk} is a part of {by}"),
            Self::Member { disk, of } => write!(f, "{disk} is a part of {of}"),
            Self::Interface { name, how } => write!(f, "the network interface {name} {how}"),
            Self::Console { name } => write!(f, "{name} is a console of the kernel"),
            Self::BootDisplay => f.write_str("it is the display on which the machine started"),
            Self::VirtualFunctions { count } => {
                write!(f, "it has {count} virtual functions, which would go with it")
            }
            Self::Supplies { consumer } => {
                write!(f, "the device {consumer} needs it, and would lose its driver with it")
            }
            Self::Open(holder) => write!(f, "{holder}"),
        }
    }
}

impl Machine {
    /// The machine that this process runs on, with the addresses of its interfaces.
    pub fn here(addresses: Vec<(String, String)>) -> Self {
        Self { sysfs: Sysfs::new(), proc: "/proc".into(), udev: "/run/udev/data".into(), addresses }
    }

    /// What `device` is in use for, the worst first. A device that is not there is in no use.
    pub fn uses_of(&self, device: &BusDevice) -> Vec<Use> {
        let dir = self.sysfs.device_dir(device);
        let nodes = nodes::below(&dir, device.bus);
        let mut uses = disks::uses(self, &nodes);
        uses.extend(network::uses(self, &nodes));
        uses.extend(self.consoles(&nodes));
        if text_or_empty(&dir.join("boot_vga")) == "1" {
            uses.push(Use::BootDisplay);
        }
        let count = virtual_functions(&dir);
        if count > 0 {
            uses.push(Use::VirtualFunctions { count });
        }
        uses.extend(links::consumers(&dir));
        uses.extend(self.holders_of(device).into_iter().map(Use::Open));
        uses
    }

    /// The processes that have a node of the device open: `/dev/vfio/GROUP`, `/dev/uioN`, or any other.
    pub fn holders_of(&self, device: &BusDevice) -> Vec<Holder> {
        let dir = self.sysfs.device_dir(device);
        let mut paths: Vec<String> =
            nodes::below(&dir, device.bus).iter().filter_map(|node| node.path.clone()).collect();
        if let Some(group) = self.group_in_question(device) {
            paths.extend([format!("/dev/vfio/{group}"), format!("/dev/vfio/noiommu-{group}")]);
        }
        paths.sort();
        holders::of(&self.proc, &paths)
    }

    /// The IOMMU group whose node, if it is open, is open for the sake of this function: it is with VFIO, or the only
    /// one that can have been. (While the kernel waits for its user, a function has no driver any more.)
    fn group_in_question(&self, device: &BusDevice) -> Option<u32> {
        if device.bus != Bus::Pci {
            return None;
        }
        let group = super::link_name(&self.sysfs.device_dir(device).join("iommu_group"))?;
        let group = group.parse().ok()?;
        let members = self.sysfs.group_members(group);
        let with_vfio = |member: &&super::GroupMember| member.is_vfio();
        let driverless = self.sysfs.driver_of(device).is_none();
        let ours = members.iter().filter(with_vfio).any(|member| member.bdf == device.name);
        let nobodys = !members.iter().any(|member| member.is_vfio());
        (ours || (driverless && nobodys)).then_some(group)
    }

    /// Terminals that the kernel writes to, and the frame buffer behind the virtual terminals.
    fn consoles(&self, nodes: &[Node]) -> Vec<Use> {
        let active = text_or_empty(&self.sysfs.root().join("class/tty/console/active"));
        let active: Vec<&str> = active.split_whitespace().collect();
        let is_console = |node: &&Node| match &*node.subsystem {
            "tty" => active.contains(&&*node.name),
            "graphics" => node.name.starts_with("fb") && active.contains(&"tty0"),
            _ => false,
        };
        nodes
            .iter()
            .filter(is_console)
            .map(|node| Use::Console { name: node.name.clone() })
            .collect()
    }
}

fn virtual_functions(function: &Path) -> usize {
    let names = entry_names(function).unwrap_or_default();
    names.iter().filter(|name| name.starts_with("virtfn")).count()
}
