//! Probe: claim the device, see that a channel answers, start it, and release it in reverse order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uio_core::chardev;
use uio_core::device::{Device, IrqVectors};
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::{Errno, Error, Result};
use uio_core::io::{AccessError, Io, IoRegion, RegisterMap};
use uio_core::irq::{self, Flags};
use uio_core::of::DeviceId;
use uio_core::softirq::Tasklet;
use uio_core::time;

use crate::bottom_half::BottomHalf;
use crate::channel::Channel;
use crate::engine::Engine;
use crate::memory;
use crate::node::Node;
use crate::regs::{self, Ids, Imr, REGS_BYTES, cause};
use crate::stats::Stats;
use crate::top_half::{Causes, TopHalf};
use crate::watch::Watch;

/// Name of the node, before its number.
const NODE: &str = "zdma";

/// How often a channel is asked whether it has ended what an earlier owner began, and how long in between.
const SETTLE_TRIALS: u32 = 200;
const SETTLE_PAUSE: Duration = Duration::from_millis(10);

/// A bound channel.
///
/// The fields are in the order of their release: first the clients, then the device.
pub struct ZynqmpDma {
    node: chardev::Registration,
    running: Running,
}

/// The channel at work. The fields are in the order of their release: first the interrupt and the bottom half; then
/// the watch ends and the channel is stopped, and the memory goes last, with the engine.
pub(crate) struct Running {
    _irq: irq::Registration,
    _vectors: IrqVectors,
    _tasklet: Tasklet,
    _watch: Arc<Watch>,
    engine: QuietOnDrop,
    region: usize,
}

/// Stops the channel when it is dropped, before the memory that it writes to goes.
struct QuietOnDrop(Arc<Engine>);

impl Drop for QuietOnDrop {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

impl Driver for ZynqmpDma {
    const NAME: &'static str = "zynqmp-dma";
    const ID_TABLE: &'static [&'static str] = &["zynqmp-dma"];
    const OF_ID_TABLE: &'static [DeviceId] = &[DeviceId::new("xlnx,zynqmp-dma-1.0")];

    fn probe(probe: &Probe<'_>) -> Result<Self> {
        let (running, node) = Running::start(probe)?;
        let node = chardev::Registration::register(&probe.node_options(NODE), Arc::new(node))?;
        Ok(Self { node, running })
    }

    fn node(&self) -> &chardev::Registration {
        &self.node
    }

    fn rings(&self) -> Vec<RingFill> {
        Vec::new()
    }

    fn registers(&self) -> Vec<RegisterMap> {
        regs::map(self.running.region)
    }

    fn suggestions(&self) -> Vec<String> {
        vec!["echo Hello > NODE".to_owned(), "cat NODE".to_owned()]
    }

    fn quiesce(&self) {
        self.running.quiesce();
    }

    fn gone(&self, errno: Errno) {
        self.running.gone();
        self.node.hang_up(errno);
    }
}

impl Running {
    /// Claims the device and starts it, and makes the operations of its node.
    pub(crate) fn start(probe: &Probe<'_>) -> Result<(Self, Node)> {
        let device = probe.device;
        let region = device.region_index("regs").unwrap_or(0);
        let regs = device.region(region, REGS_BYTES)?;
        check(device, &regs)?;
        let channel = Channel::new(regs.clone(), device.is_dma_coherent());
        settle(device, &channel)?;
        let keep = memory::find(device)?;
        let limits = memory::limits(device, &keep)?;
        let vectors = device.alloc_irq_vectors(1, 1, probe.irq_types)?;
        let (stats, causes) = (Arc::new(Stats::default()), Arc::new(Causes::default()));
        let engine = Engine::new(channel, Arc::clone(&causes), keep, Arc::clone(&stats));
        let engine = QuietOnDrop(Arc::new(engine));
        let watch = Arc::new(Watch::new(&engine.0, device.name()));
        let half = BottomHalf { engine: Arc::clone(&engine.0) };
        let tasklet = Tasklet::new(probe.softirqs, device.name(), move || half.run())?;
        let presence = device.presence();
        let top_half = TopHalf { regs, presence, causes, tasklet: tasklet.clone(), stats };
        let line = vectors.line(0)?;
        let irq =
            irq::Registration::request(&line, Flags::empty(), ZynqmpDma::NAME, Arc::new(top_half))?;
        // Only now: who hears of what the channel does, is there.
        engine.0.begin().map_err(|gone| lost(device, gone))?;
        let node = Node { engine: Arc::clone(&engine.0), watch: Arc::clone(&watch), limits };
        let (_irq, _vectors, _tasklet, _watch) = (irq, vectors, tasklet, watch);
        Ok((Self { _irq, _vectors, _tasklet, _watch, engine, region }, node))
    }

    /// Has the channel stop, when what runs has ended. Sleeps.
    pub(crate) fn quiesce(&self) {
        self.engine.0.shut_down();
    }

    /// The device went away. May not wait.
    pub(crate) fn gone(&self) {
        self.engine.0.gone();
    }
}

/// Makes sure that a channel answers: all causes can be masked, and say so.
fn check(device: &Device, regs: &IoRegion) -> Result<()> {
    regs.write(Ids::new(cause::ALL));
    let mask = regs.read::<Imr>().raw();
    if mask == cause::ALL {
        return Ok(());
    }
    Err(Error::new(Errno::ENODEV, "cannot drive", device.name())
        .with_cause(format!("IMR was set to {:#x} and reads {mask:#x}", cause::ALL))
        .with_hint("this is no ZynqMP DMA channel, or its clock is off: look at reg and clocks of its node"))
}

/// Stops what an earlier owner has left running, and waits for it.
fn settle(device: &Device, channel: &Channel) -> Result<()> {
    let lost = |gone| lost(device, gone);
    channel.stop().map_err(lost)?;
    for _ in 0..SETTLE_TRIALS {
        if !channel.is_at_work().map_err(lost)? {
            return Ok(());
        }
        time::sleep(SETTLE_PAUSE);
    }
    Err(Error::new(Errno::EBUSY, "cannot drive", device.name())
        .with_cause("what an earlier owner had it copy does not come to an end")
        .with_hint("reset the board"))
}

fn lost(device: &Device, gone: AccessError) -> Error {
    Error::new(gone.into(), "cannot drive", device.name()).with_cause(gone)
}

impl fmt::Debug for ZynqmpDma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZynqmpDma").field("node", &self.node).finish_non_exhaustive()
    }
}
