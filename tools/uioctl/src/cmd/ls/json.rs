//! The devices as JSON: all that the tables have, and more.

use serde::Serialize;
use uio_core::sys::sysfs::{MsiKind, PciBar, UioInfo, UioMap, UioPort};

use super::node_of;
use super::pci::PciDevice;
use super::platform::PlatformDevice;
use crate::of_node::NodeParts;
use crate::pci_caps::Abilities;

pub(super) fn devices<'a>(
    uio: &'a [UioInfo],
    platform: &'a [PlatformDevice],
    pci: &'a [PciDevice],
) -> impl Serialize + 'a {
    let uio = uio.iter().map(|info| UioJson::new(info, node_of(info, platform))).collect();
    let platform = platform.iter().map(PlatformJson::new).collect();
    let pci = pci.iter().map(PciJson::new).collect();
    DevicesJson { uio, platform, pci }
}

#[derive(Debug, Serialize)]
struct DevicesJson<'a> {
    uio: Vec<UioJson<'a>>,
    /// Only where there is a device tree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platform: Vec<PlatformJson<'a>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    of_node: Option<&'a str>,
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
    fn new(info: &'a UioInfo, of_node: Option<&'a str>) -> Self {
        let map = |map: &'a UioMap| MapJson {
            index: map.index,
            name: &map.name,
            address: map.addr,
            size: map.size,
            offset: map.offset,
        };
        let port = |port: &'a UioPort| PortJson {
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
            of_node,
            maps: info.maps.iter().map(map).collect(),
            ports: info.ports.iter().map(port).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PlatformJson<'a> {
    name: &'a str,
    /// `platform` or `amba`.
    bus: &'static str,
    of_node: Option<&'a str>,
    compatible: &'a [String],
    driver: Option<&'a str>,
    /// The number of its UIO device.
    uio: Option<u32>,
    #[serde(flatten)]
    parts: &'a NodeParts,
    /// `uio`, or `null` for want of what `missing` says.
    ready: Option<&'static str>,
    missing: Option<&'static str>,
}

impl<'a> PlatformJson<'a> {
    fn new(PlatformDevice { info, parts, readiness }: &'a PlatformDevice) -> Self {
        Self {
            name: &info.name,
            bus: info.bus.name(),
            of_node: info.node.as_deref(),
            compatible: &info.compatible,
            driver: info.driver.as_deref(),
            uio: info.uio,
            parts,
            ready: readiness.way(),
            missing: readiness.missing(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PciJson<'a> {
    bdf: &'a str,
    vendor: u16,
    vendor_name: Option<&'a str>,
    device: u16,
    device_name: Option<&'a str>,
    class: u32,
    revision: u8,
    driver: Option<&'a str>,
    iommu_group: Option<u32>,
    irq: Option<u32>,
    msi_kind: Option<&'static str>,
    msi_irqs: &'a [u32],
    bars: Vec<BarJson>,
    /// `null` where the configuration space cannot be read.
    abilities: Option<&'a Abilities>,
    /// `vfio` or `uio`, or `null` for want of what `missing` says.
    ready: Option<&'static str>,
    missing: Option<&'static str>,
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
    fn new(device: &'a PciDevice) -> Self {
        let info = &device.function.info;
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
            vendor_name: device.vendor_name.as_deref(),
            device: info.device,
            device_name: device.device_name.as_deref(),
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
            abilities: device.abilities.as_ref(),
            ready: device.readiness.way(),
            missing: device.readiness.missing(),
        }
    }
}
