//! What the control socket answers: devices, regions, lines, nodes, softirqs. The form is documented in `docs/control.md`.

use std::time::Instant;

use serde::Serialize;
use uio_core::chardev::NodeKind;
use uio_core::irq::IrqLine;
use uio_core::softirq::{SoftirqStats, Vector};

use crate::daemon::{Daemon, Unit};

/// Version of the form; raised when a field changes its meaning or goes away.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: u32,
    pid: u32,
    uptime_ms: u64,
    devices: Vec<DeviceStatus>,
    softirqs: Vec<SoftirqStatus>,
}

/// The softirqs of one dispatcher.
#[derive(Debug, Serialize)]
struct SoftirqStatus {
    dispatcher: usize,
    vectors: Vec<VectorStatus>,
    ksoftirqd: KsoftirqdStatus,
    squeezed: u64,
}

#[derive(Debug, Serialize)]
struct VectorStatus {
    name: &'static str,
    runs: u64,
    time_ns: u64,
    pending: bool,
    broken: bool,
}

#[derive(Debug, Serialize)]
struct KsoftirqdStatus {
    active: bool,
    taken_over: u64,
    turns: u64,
}

#[derive(Debug, Serialize)]
struct DeviceStatus {
    name: String,
    backend: &'static str,
    driver: &'static str,
    state: &'static str,
    regions: Vec<RegionStatus>,
    lines: Vec<LineStatus>,
    nodes: Vec<NodeStatus>,
}

#[derive(Debug, Serialize)]
struct RegionStatus {
    index: usize,
    name: String,
    address: Option<u64>,
    size: u64,
    offset: u64,
}

#[derive(Debug, Serialize)]
struct LineStatus {
    name: String,
    backend: &'static str,
    masked: bool,
    raised: u64,
    handled: u64,
    none: u64,
    missed: u64,
    handler_ns: u64,
    handlers: Vec<String>,
}

#[derive(Debug, Serialize)]
struct NodeStatus {
    path: String,
    kind: &'static str,
    rings: Vec<RingStatus>,
    openers: usize,
    waiting_readers: usize,
    waiting_writers: usize,
    pollers: usize,
}

#[derive(Debug, Serialize)]
struct RingStatus {
    name: &'static str,
    bytes: usize,
    capacity: usize,
}

impl Status {
    pub(crate) fn of(daemon: &Daemon, started: Instant) -> Self {
        Self {
            version: VERSION,
            pid: std::process::id(),
            // CAST: 2^64 ms are 584 million years.
            uptime_ms: started.elapsed().as_millis() as u64,
            devices: daemon.running().map(|unit| DeviceStatus::of(unit)).collect(),
            softirqs: vec![SoftirqStatus::of(&daemon.softirqs.stats())],
        }
    }
}

impl SoftirqStatus {
    fn of(stats: &SoftirqStats) -> Self {
        Self {
            dispatcher: stats.dispatcher,
            vectors: Vector::ALL.map(|vector| VectorStatus::of(vector, stats)).into(),
            ksoftirqd: KsoftirqdStatus {
                active: stats.is_handed_over,
                taken_over: stats.handed_over,
                turns: stats.daemon_turns,
            },
            squeezed: stats.squeezed,
        }
    }
}

impl VectorStatus {
    fn of(vector: Vector, stats: &SoftirqStats) -> Self {
        let stats = stats.vector(vector);
        Self {
            name: vector.name(),
            runs: stats.runs,
            // CAST: 2^64 ns are 584 years.
            time_ns: stats.time.as_nanos() as u64,
            pending: stats.is_pending,
            broken: stats.is_broken,
        }
    }
}

impl DeviceStatus {
    fn of(unit: &Unit) -> Self {
        let device = &unit.device;
        let region = |region: &uio_core::device::RegionInfo| RegionStatus {
            index: region.index,
            name: region.name.clone(),
            address: region.address,
            size: region.size,
            offset: region.offset,
        };
        Self {
            name: device.name().to_owned(),
            backend: device.backend(),
            driver: unit.driver.name(),
            state: if device.is_gone() { "gone" } else { "running" },
            regions: device.regions().iter().map(region).collect(),
            lines: device
                .all_lines()
                .iter()
                .map(|line| LineStatus::of(line, device.backend()))
                .collect(),
            nodes: vec![NodeStatus::of(unit)],
        }
    }
}

impl LineStatus {
    fn of(line: &IrqLine, backend: &'static str) -> Self {
        let stats = line.stats();
        Self {
            name: line.name().to_owned(),
            backend,
            masked: line.is_masked(),
            raised: stats.raised,
            handled: stats.handled,
            none: stats.none,
            missed: stats.missed,
            // CAST: 2^64 ns are 584 years.
            handler_ns: stats.handler_time.as_nanos() as u64,
            handlers: line.handlers(),
        }
    }
}

impl NodeStatus {
    fn of(unit: &Unit) -> Self {
        let node = unit.driver.node();
        let stats = node.stats();
        let ring = |ring: uio_core::driver::RingFill| RingStatus {
            name: ring.name,
            bytes: ring.bytes,
            capacity: ring.capacity,
        };
        Self {
            path: node.path().display().to_string(),
            kind: if node.kind() == NodeKind::Cuse { "cuse" } else { "fuse" },
            rings: unit.driver.rings().into_iter().map(ring).collect(),
            openers: stats.openers,
            waiting_readers: stats.waiting_readers,
            waiting_writers: stats.waiting_writers,
            pollers: stats.pollers,
        }
    }
}
