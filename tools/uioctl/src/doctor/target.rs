//! [`Target`]: what the doctor is asked about; [`Function`], a PCI function, and [`Block`], a device of the device tree,
//! with all that the checks look at.

use std::fs;
use std::path::PathBuf;

use uio_core::of::{Node, Selector};
use uio_core::pci::{Address, ConfigSpace};
use uio_core::sys::sysfs::{GroupMember, PciInfo, PlatformInfo, UioInfo};
use uio_core::{Errno, Error};

use super::machine::Machine;
use crate::failure::Failure;
use crate::pci_config;

/// The driver that gives any PCI function to userspace without an IOMMU.
pub(crate) const UIO_PCI_GENERIC: &str = "uio_pci_generic";

/// What is looked at.
#[derive(Debug)]
pub(crate) enum Target {
    /// All that stands in the way of any device.
    Machine,
    /// A simulated device: it needs a way to its node and no more.
    Sim(String),
    /// A UIO device that is no PCI function.
    Uio(UioInfo),
    /// A PCI function.
    Pci(Box<Function>),
    /// A device of the platform bus, or a node of the device tree.
    Block(Box<Block>),
    /// What no node of the device tree answers to.
    NoNode(Selector),
}

/// The way that a PCI function goes to userspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// By VFIO: it is bound there, or that is where it should be.
    Vfio,
    /// By `uio_pci_generic`.
    Generic,
    /// By another UIO driver.
    Uio,
}

/// A PCI function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) info: PciInfo,
    /// Its directory in sysfs.
    pub(crate) dir: PathBuf,
    /// Its configuration space, if that can be read.
    pub(crate) config: Option<ConfigSpace>,
    /// The N of its `/dev/uioN`.
    pub(crate) uio: Option<u32>,
}

/// A device of the platform bus.
#[derive(Debug)]
pub(crate) struct Block {
    /// As commands take it: `of:/pl031@9010000`, or a name on the bus.
    pub(crate) title: String,
    /// What describes it, if the device tree does.
    pub(crate) node: Option<Node>,
    /// The device that the kernel made of the node, if it did.
    pub(crate) info: Option<PlatformInfo>,
}

impl Target {
    /// Finds what `text` names: `pci:BDF` or `BDF`, `uio:WHICH`, `of:NODE`, `of:COMPATIBLE`, `sim:MODEL`, the name of a
    /// platform device or of a UIO device; the machine if it is none.
    pub(crate) fn find(text: Option<&str>, machine: &Machine) -> Result<Self, Failure> {
        let Some(text) = text else { return Ok(Self::Machine) };
        match text.split_once(':') {
            Some(("sim", model)) if !model.is_empty() => Ok(Self::Sim(model.to_owned())),
            Some(("uio", which)) if !which.is_empty() => Ok(of_uio(which, machine)?),
            Some(("pci", bdf)) => of_bdf(bdf, machine),
            Some(("of", selector)) => of_node(selector, machine),
            _ => of_name(text, machine),
        }
    }
}

/// A name without its kind: that of a platform device, of a UIO device, or the address of a PCI function.
fn of_name(text: &str, machine: &Machine) -> Result<Target, Failure> {
    if let Ok(info) = machine.sysfs().find_platform(text) {
        return Ok(of_platform(info, machine)?);
    }
    match machine.sysfs().find_uio(text) {
        Ok(_) => Ok(of_uio(text, machine)?),
        Err(_) => of_bdf(text, machine),
    }
}

fn of_node(text: &str, machine: &Machine) -> Result<Target, Failure> {
    let selector: Selector = text.parse().map_err(Failure::Usage)?;
    match machine.tree().find(&selector) {
        Ok(node) => {
            let info = machine.sysfs().find_platform(node.path()).ok();
            Ok(Target::Block(Box::new(Block::new(Some(node), info))))
        }
        // Which of the several is meant, no check can find out.
        Err(error) if error.errno() == Errno::EEXIST => Err(error.into()),
        Err(_) => Ok(Target::NoNode(selector)),
    }
}

/// A device that no device tree describes, and that is with UIO, is a UIO device like any other.
fn of_platform(info: PlatformInfo, machine: &Machine) -> Result<Target, Error> {
    let node = info.node.as_deref().and_then(|path| machine.tree().node(path).ok());
    match info.uio.filter(|_| node.is_none()) {
        Some(number) => Ok(Target::Uio(machine.sysfs().uio_device(number)?)),
        None => Ok(Target::Block(Box::new(Block::new(node, Some(info))))),
    }
}

fn of_bdf(text: &str, machine: &Machine) -> Result<Target, Failure> {
    let address: Address = text.parse().map_err(|_| {
        let cause = "it is no PCI address and no device of another kind";
        let error = Error::invalid("cannot look at", format_args!("`{text}`"), cause);
        Failure::Usage(error.with_hint(
            "write it as pci:0000:00:03.0, uio:uio0, of:/pl031@9010000 or sim:uio_dummy",
        ))
    })?;
    Ok(Target::Pci(Box::new(function(&address.to_string(), machine)?)))
}

fn of_uio(which: &str, machine: &Machine) -> Result<Target, Error> {
    let uio = machine.sysfs().find_uio(which)?;
    let parent = uio.device.as_deref().and_then(|dir| dir.file_name()?.to_str());
    if let Some(bdf) = parent.filter(|name| name.parse::<Address>().is_ok()) {
        return Ok(Target::Pci(Box::new(function(bdf, machine)?)));
    }
    let dir = uio.device.as_deref().and_then(|dir| dir.to_str());
    match dir.map(|dir| machine.sysfs().find_platform(dir)) {
        Some(Ok(info)) if info.node.is_some() => of_platform(info, machine),
        _ => Ok(Target::Uio(uio)),
    }
}

fn function(bdf: &str, machine: &Machine) -> Result<Function, Error> {
    let all = machine.sysfs().pci_devices()?;
    let found = all.into_iter().find(|info| info.bdf == bdf);
    found.map(|info| Function::new(info, machine)).ok_or_else(|| {
        Error::new(Errno::ENODEV, "cannot look at", bdf)
            .with_cause("there is no such PCI function")
            .with_hint("`uioctl ls` shows those there are")
    })
}

impl Function {
    pub(crate) fn new(info: PciInfo, machine: &Machine) -> Self {
        let dir = machine.pci_dir(&info.bdf);
        let entries = fs::read_dir(dir.join("uio")).into_iter().flatten().flatten();
        let mut numbers = entries
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("uio")?.parse().ok());
        Self { uio: numbers.next(), config: pci_config::open(&dir).ok(), dir, info }
    }

    pub(crate) fn bdf(&self) -> &str {
        &self.info.bdf
    }

    /// The way it goes to userspace, or should.
    pub(crate) fn route(&self) -> Route {
        match self.info.driver.as_deref() {
            Some(UIO_PCI_GENERIC) => Route::Generic,
            Some(_) if self.uio.is_some() => Route::Uio,
            _ => Route::Vfio,
        }
    }

    /// Whether it leads to other devices and is nothing to drive: a bridge of any kind.
    pub(crate) fn is_bridge(&self) -> bool {
        self.info.class >> 16 == 0x06
    }

    /// Whether a driver of VFIO has it.
    pub(crate) fn is_on_vfio(&self) -> bool {
        self.as_member().is_vfio()
    }

    /// Those who share its group, without itself.
    pub(crate) fn siblings(&self, machine: &Machine) -> Vec<GroupMember> {
        let mut all = self
            .info
            .iommu_group
            .map_or_else(Vec::new, |group| machine.sysfs().group_members(group));
        all.retain(|member| member.bdf != self.info.bdf);
        all
    }

    fn as_member(&self) -> GroupMember {
        GroupMember { bdf: self.info.bdf.clone(), driver: self.info.driver.clone() }
    }
}

impl Block {
    fn new(node: Option<Node>, info: Option<PlatformInfo>) -> Self {
        let title = match (&node, &info) {
            (Some(node), _) => format!("of:{}", node.path()),
            (None, info) => info.as_ref().map(|info| info.name.clone()).unwrap_or_default(),
        };
        Self { title, node, info }
    }

    pub(crate) fn driver(&self) -> Option<&str> {
        self.info.as_ref()?.driver.as_deref()
    }

    /// The N of its `/dev/uioN`.
    pub(crate) fn uio(&self) -> Option<u32> {
        self.info.as_ref()?.uio
    }
}
