//! Which devices are meant, and whether they may be taken at all.

use uio_core::of::Tree;
use uio_core::pci::Address;
use uio_core::sys::hints;
use uio_core::sys::sysfs::bind::is_for_userspace;
use uio_core::sys::sysfs::{GroupMember, PciInfo, Sysfs};
use uio_core::{Errno, Error, Result};

use super::found::Found;

/// The base class of bridges, of the PCI Code and ID Assignment Specification.
const BRIDGE: u32 = 0x06;

/// Of these, those from PCI to PCI.
const PCI_BRIDGE: u32 = 0x0604;

/// How many addresses a message names.
const NAMED: usize = 6;

/// The device that a user means: a PCI function by its address, with `pci:` or without; a platform device by its node
/// (`of:/NODE`, `of:COMPATIBLE`), by its name on the bus, or as a UIO device (`uio:WHICH`).
pub(crate) fn find(sysfs: &Sysfs, text: &str) -> Result<Found> {
    match text.split_once(':') {
        Some(("pci", address)) => return find_pci(sysfs, address).map(Found::Pci),
        Some(("uio", which)) => return of_uio(sysfs, which),
        Some(("of", selector)) => {
            let node = Tree::at(sysfs.device_tree()).find(&selector.parse()?)?;
            return sysfs.find_platform(node.path()).map(Found::Platform);
        }
        _ => (),
    }
    let named = sysfs.find_platform(text);
    // No name of the platform bus is made of these alone, mostly.
    let is_address = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    match named.is_err() && text.bytes().all(is_address) {
        true => find_pci(sysfs, text).map(Found::Pci),
        false => named.map(Found::Platform),
    }
}

/// The device that a driver made a UIO device of.
fn of_uio(sysfs: &Sysfs, which: &str) -> Result<Found> {
    let uio = sysfs.find_uio(which)?;
    let error = || {
        Error::new(Errno::ENODEV, "cannot find the device of", format_args!("uio{}", uio.number))
            .with_cause("its parent is on no bus whose drivers can be chosen")
    };
    let parent = uio.device.as_deref().and_then(|dir| dir.to_str()).ok_or_else(error)?;
    let name = parent.rsplit('/').next().unwrap_or(parent);
    match name.parse::<Address>() {
        Ok(_) => find_pci(sysfs, name).map(Found::Pci),
        Err(_) => sysfs.find_platform(parent).map(Found::Platform).map_err(|_| error()),
    }
}

/// Groups are a matter of PCI functions.
pub(super) fn no_group(device: &str) -> Error {
    Error::invalid("cannot use", "--group", format_args!("{device} is no PCI function"))
        .with_hint("leave --group out")
}

/// The function at `address`, as the user wrote it.
fn find_pci(sysfs: &Sysfs, address: &str) -> Result<PciInfo> {
    let wanted: Address = address.parse()?;
    let all = sysfs.pci_devices()?;
    let bdf = wanted.to_string();
    match all.iter().find(|function| function.bdf == bdf) {
        Some(function) => Ok(function.clone()),
        None => Err(no_such(wanted, &all)),
    }
}

fn no_such(wanted: Address, all: &[PciInfo]) -> Error {
    let error = Error::new(Errno::ENODEV, "no PCI function is at", wanted);
    let mut near: Vec<Address> =
        all.iter().filter_map(|function| function.bdf.parse().ok()).collect();
    if near.is_empty() {
        return error
            .with_cause("this machine has no PCI bus, or /sys is not mounted")
            .with_hint("uioctl ls lists what there is");
    }
    near.sort_by_key(|other| distance(wanted, *other));
    near.truncate(NAMED);
    near.sort_unstable();
    let named: Vec<String> = near.iter().map(Address::to_string).collect();
    error
        .with_cause(format_args!("near it there are {}", named.join(", ")))
        .with_hint("uioctl ls lists them all")
}

/// How far two addresses are apart: in domains first, functions last.
fn distance(one: Address, other: Address) -> (u32, u8, u8, u8) {
    (
        one.domain.abs_diff(other.domain),
        one.bus.abs_diff(other.bus),
        one.device.abs_diff(other.device),
        one.function.abs_diff(other.function),
    )
}

/// Bridges are never taken: what is behind them would go with them.
pub(super) fn refuse_bridge(function: &PciInfo, act: &'static str) -> Result<()> {
    if is_bridge(function) {
        return Err(Error::invalid(act, &function.bdf, "it is a bridge, not a device")
            .with_hint("name the function behind it; uioctl ls lists them all"));
    }
    Ok(())
}

fn is_bridge(function: &PciInfo) -> bool {
    function.class >> 16 == BRIDGE
}

/// The others in the group of `function`.
pub(crate) fn siblings(sysfs: &Sysfs, function: &PciInfo) -> Vec<GroupMember> {
    let mut members =
        function.iommu_group.map(|group| sysfs.group_members(group)).unwrap_or_default();
    members.retain(|member| member.bdf != function.bdf);
    members
}

/// Who goes to VFIO, and who makes way for it.
#[derive(Debug)]
pub(super) struct Taken {
    /// Those that get the driver. The one that was named is the first.
    pub(super) devices: Vec<Found>,
    /// Bridges whose driver is in the way: they lose it, and go on as bridges.
    pub(super) bridges: Vec<Found>,
}

impl Taken {
    /// It alone.
    pub(super) fn alone(function: &PciInfo) -> Self {
        Self { devices: vec![Found::Pci(function.clone())], bridges: Vec::new() }
    }
}

/// Who goes to `driver`, one of VFIO's, when `function` does: those of its group that are not with another driver of
/// VFIO. Without `group`, it alone, and only if the others are in nobody's way.
pub(super) fn for_vfio(
    sysfs: &Sysfs,
    function: &PciInfo,
    driver: &str,
    group: bool,
) -> Result<Taken> {
    let error = || Error::new(Errno::EPERM, "cannot bind", &function.bdf);
    if function.iommu_group.is_none() && !allows_no_iommu(sysfs) {
        return Err(hints::no_iommu(&function.bdf).explain(error()));
    }
    let siblings = siblings(sysfs, function);
    if !group {
        return match siblings.iter().any(GroupMember::blocks_vfio) {
            true => Err(hints::not_viable(&function.bdf, &siblings).explain(error())),
            false => Ok(Taken::alone(function)),
        };
    }
    let all = sysfs.pci_devices()?;
    let goes =
        |sibling: &&GroupMember| !sibling.is_vfio() || sibling.driver.as_deref() == Some(driver);
    let mut taken = Taken::alone(function);
    for sibling in siblings.iter().filter(goes) {
        match all.iter().find(|other| other.bdf == sibling.bdf) {
            Some(other) if !is_bridge(other) => taken.devices.push(Found::Pci(other.clone())),
            Some(other) if is_pci_bridge(other) && sibling.blocks_vfio() => {
                taken.bridges.push(Found::Pci(other.clone()));
            }
            _ if sibling.blocks_vfio() => return Err(in_the_way(error(), sibling)),
            _ => (),
        }
    }
    Ok(taken)
}

/// From PCI to PCI: the bus behind it needs no driver, which only looks after its hot-plug slots.
fn is_pci_bridge(function: &PciInfo) -> bool {
    function.class >> 8 == PCI_BRIDGE
}

/// A bridge to another bus, with a driver that does DMA; or no PCI function at all.
fn in_the_way(error: Error, sibling: &GroupMember) -> Error {
    let driver = sibling.driver.as_deref().unwrap_or("a driver");
    error
        .with_cause(format_args!(
            "its IOMMU group has {}, which is bound to {driver} and is no device that can be taken",
            sibling.bdf
        ))
        .with_hint("put the card into another slot, or switch ACS on in the firmware")
}

/// `enable_unsafe_noiommu_mode`, by which VFIO takes devices without an IOMMU, and taints the kernel.
fn allows_no_iommu(sysfs: &Sysfs) -> bool {
    let parameter = sysfs.root().join("module/vfio/parameters/enable_unsafe_noiommu_mode");
    std::fs::read_to_string(parameter).is_ok_and(|text| text.trim() == "Y")
}

/// The functions that go back to the kernel with `function`: those of its group that are there for userspace, or have no
/// driver, as a bridge that made way.
pub(super) fn of_group(sysfs: &Sysfs, function: &PciInfo) -> Result<Vec<Found>> {
    let siblings = siblings(sysfs, function);
    let mut devices = vec![Found::Pci(function.clone())];
    let taken = |other: &PciInfo| match other.driver.as_deref() {
        Some(driver) => is_for_userspace(driver) && !is_bridge(other),
        None => !is_bridge(other) || is_pci_bridge(other),
    };
    let all = sysfs.pci_devices()?.into_iter();
    let others =
        all.filter(|other| siblings.iter().any(|sibling| sibling.bdf == other.bdf) && taken(other));
    devices.extend(others.map(Found::Pci));
    Ok(devices)
}
