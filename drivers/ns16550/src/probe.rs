//! Probe: find the ports of the device, and serve a node for each.

use std::fmt;
use std::sync::Arc;

use uio_core::chardev::{self, CharDevice};
use uio_core::device::IrqVectors;
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::{Errno, Result};
use uio_core::io::RegisterMap;
use uio_core::pci::{DeviceId, Id, IrqType, IrqTypes};

use crate::port::{Port, Settings};
use crate::regs::{self, Layout};

/// Name of a node, before its number.
const NODE: &str = "ttyUIO";

/// QEMU's serial cards, by the number of their ports.
const QEMU: u16 = 0x1B36;
const QEMU_SERIAL: [u16; 3] = [0x0002, 0x0003, 0x0004];
const QEMU_PORTS: [usize; 3] = [1, 2, 4];

/// A serial controller, whatever its programming interface says: the driver looks for itself.
const CLASS_SERIAL: u32 = 0x07_00_00;
const CLASS_MASK: u32 = 0xFF_FF_00;

/// The layouts of memory-mapped ports, by the name of the device.
const LAYOUTS: [(&str, Layout); 2] =
    [("ns16550-mmio16", Layout::HALF_WORDS), ("ns16550-mmio32", Layout::WORDS)];

/// A bound serial card or port.
///
/// The fields are in the order of their release: first the clients, then the ports, then the vectors.
pub struct Ns16550 {
    nodes: Vec<chardev::Registration>,
    ports: Vec<Arc<Port>>,
    layout: Layout,
    _vectors: IrqVectors,
}

impl Driver for Ns16550 {
    const NAME: &'static str = "ns16550";
    const ID_TABLE: &'static [&'static str] =
        &["ns16550", "ns16550a", "16550", "16550a", "ns16550-mmio16", "ns16550-mmio32"];
    const PCI_ID_TABLE: &'static [DeviceId] = &[
        DeviceId::from_id(QEMU, QEMU_SERIAL[0]),
        DeviceId::from_id(QEMU, QEMU_SERIAL[1]),
        DeviceId::from_id(QEMU, QEMU_SERIAL[2]),
        DeviceId::from_class(CLASS_SERIAL, CLASS_MASK),
    ];

    fn probe(probe: &Probe<'_>) -> Result<Self> {
        let device = probe.device;
        let layout = layout(device.label());
        let count = port_count(device.pci_id());
        let region = device.region(0, count * layout.bytes())?;
        let vectors = device.alloc_irq_vectors(1, 1, IrqTypes::all())?;
        let line = vectors.line(0)?;
        let message_signalled = vectors.kind() != IrqType::Intx;
        let mut ports = Vec::new();
        for index in 0..count {
            let base = index * layout.bytes();
            let presence = Some(device.presence());
            let settings =
                Settings { base, layout, message_signalled, presence, ..Settings::default() };
            let port = Port::new(device.name(), region.clone(), settings, &line, probe.softirqs)?;
            ports.push(Arc::new(port));
        }
        let nodes = serve(probe, &ports)?;
        Ok(Self { nodes, ports, layout, _vectors: vectors })
    }

    fn node(&self) -> &chardev::Registration {
        // PANIC: not reached; there is a node for each port, and `port_count` is at least 1.
        self.nodes.first().expect("a card has a port")
    }

    fn rings(&self) -> Vec<RingFill> {
        self.ports.iter().flat_map(|port| port.rings()).collect()
    }

    fn registers(&self) -> Vec<RegisterMap> {
        regs::map(self.layout)
    }

    fn quiesce(&self) {
        self.ports.iter().for_each(|port| port.stop());
    }

    fn gone(&self, errno: Errno) {
        self.nodes.iter().for_each(|node| node.hang_up(errno));
    }
}

/// A node for each port: the first has the name of the device, the others say which port they are.
fn serve(probe: &Probe<'_>, ports: &[Arc<Port>]) -> Result<Vec<chardev::Registration>> {
    let mut nodes = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let mut options = probe.node_options(NODE);
        if index > 0 {
            options.name = format!("{}p{index}", options.name);
        }
        // TCGETS and its like have no size in their number.
        options.unrestricted_ioctl = true;
        let device: Arc<dyn CharDevice> = port.clone();
        nodes.push(chardev::Registration::register(&options, device)?);
    }
    Ok(nodes)
}

fn layout(label: &str) -> Layout {
    let named = LAYOUTS.iter().find(|(name, _)| *name == label);
    named.map_or(Layout::BYTES, |(_, layout)| *layout)
}

fn port_count(id: Option<&Id>) -> usize {
    let Some(id) = id.filter(|id| id.vendor == QEMU) else { return 1 };
    let at = QEMU_SERIAL.iter().position(|device| *device == id.device);
    at.map_or(1, |at| QEMU_PORTS[at])
}

impl fmt::Debug for Ns16550 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ns16550").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
