//! Probe: claim the clock, and serve its node.

use std::fmt;
use std::sync::Arc;

use uio_core::chardev::{self, CharDevice};
use uio_core::device::IrqVectors;
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::Result;
use uio_core::io::RegisterMap;
use uio_core::of::DeviceId;

use crate::regs::{self, REGS_BYTES};
use crate::rtc::{Rtc, Settings};

/// Name of the node, before its number. The kernel has its own clocks at `/dev/rtc0` and so on.
const NODE: &str = "rtcuio";

/// A bound clock.
///
/// The fields are in the order of their release: first the clients, then the clock, then its line.
pub struct Pl031 {
    node: chardev::Registration,
    rtc: Arc<Rtc>,
    _vectors: IrqVectors,
}

impl Driver for Pl031 {
    const NAME: &'static str = "pl031";
    const ID_TABLE: &'static [&'static str] = &["pl031"];
    const OF_ID_TABLE: &'static [DeviceId] = &[DeviceId::new("arm,pl031")];

    fn probe(probe: &Probe<'_>) -> Result<Self> {
        let device = probe.device;
        let regs = device.region(0, REGS_BYTES)?;
        let vectors = device.alloc_irq_vectors(1, 1, probe.irq_types)?;
        let owner = nix::unistd::geteuid().as_raw();
        let settings = Settings { presence: device.presence(), owner };
        let line = vectors.line(0)?;
        let rtc = Arc::new(Rtc::new(device.name(), regs, settings, &line, probe.softirqs)?);
        let served: Arc<dyn CharDevice> = rtc.clone();
        let node = chardev::Registration::register(&probe.node_options(NODE), served)?;
        Ok(Self { node, rtc, _vectors: vectors })
    }

    /// An alarm in five seconds.
    fn suggestions(&self) -> Vec<String> {
        vec!["cat NODE".to_owned(), "echo +5 > NODE".to_owned()]
    }

    fn node(&self) -> &chardev::Registration {
        &self.node
    }

    fn rings(&self) -> Vec<RingFill> {
        Vec::new()
    }

    fn registers(&self) -> Vec<RegisterMap> {
        regs::map()
    }

    fn quiesce(&self) {
        self.rtc.stop();
    }
}

impl fmt::Debug for Pl031 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pl031").field("node", &self.node).finish_non_exhaustive()
    }
}
