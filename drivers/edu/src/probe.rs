//! Probe: claim the device, see that it lives, start it, and release it in reverse order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uio_core::chardev;
use uio_core::device::{Device, IrqVectors};
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::{Errno, Error, Result};
use uio_core::io::{Io, IoRegion, RegisterMap};
use uio_core::irq::{self, Flags};
use uio_core::pci::{DeviceId, IrqType};
use uio_core::softirq::Tasklet;
use uio_core::sync::SpinLock;
use uio_core::time;

use crate::bottom_half::BottomHalf;
use crate::dma::DmaUnit;
use crate::engines::{Engines, Whole};
use crate::node::{Files, Node};
use crate::regs::{self, DmaCmd, ID_KIND, Id, IrqAck, IrqStatus, Liveness, REGS_BYTES, Status};
use crate::stats::Stats;
use crate::top_half::{Causes, TopHalf};

/// Name of the node, before its number.
const NODE: &str = "edu";

/// What LIVENESS is asked: nothing that a bus without a device answers by chance.
const PATTERNS: [u32; 2] = [0x5A5A_1234, 0xA5A5_EDCB];

/// How often the device is asked whether it has ended what an earlier owner began, and how long in between.
const SETTLE_TRIALS: u32 = 200;
const SETTLE_PAUSE: Duration = Duration::from_millis(10);

/// A bound `edu`.
///
/// The fields are in the order of their release: first the clients, then the device.
pub struct Edu {
    node: chardev::Registration,
    running: Running,
}

/// The device at work. The fields are in the order of their release: first the interrupt and the bottom half; then
/// the watch ends and the device is left quiet, and the memory for its DMA goes last, with the engines.
pub(crate) struct Running {
    _irq: irq::Registration,
    _vectors: IrqVectors,
    _tasklet: Tasklet,
    engines: QuietOnDrop,
}

/// Ends the watch and stops the device when it is dropped, before the memory for its DMA goes.
struct QuietOnDrop(Arc<Engines>);

impl Drop for QuietOnDrop {
    fn drop(&mut self) {
        self.0.end_watch();
        self.0.whole.disable();
    }
}

impl Driver for Edu {
    const NAME: &'static str = "edu";
    const ID_TABLE: &'static [&'static str] = &[];
    const PCI_ID_TABLE: &'static [DeviceId] = &[DeviceId::from_id(0x1234, 0x11E8)];

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
        regs::map()
    }

    fn quiesce(&self) {
        self.running.quiesce();
    }

    fn error_detected(&self) {
        self.node.hang_up(Errno::EIO);
    }
}

impl Running {
    /// Claims the device and starts it, and makes the operations of its node.
    pub(crate) fn start(probe: &Probe<'_>) -> Result<(Self, Node)> {
        let device = probe.device;
        let regs = device.region(0, REGS_BYTES)?;
        check(device, &regs)?;
        let resets = reset(device)?;
        settle(device, &regs)?;
        let vectors = device.alloc_irq_vectors(1, 1, probe.irq_types)?;
        let stats = Arc::new(Stats::default());
        let dma = DmaUnit::new(device, &regs, &stats)?;
        let masters = dma.is_some() || vectors.kind() != IrqType::Intx;
        let whole = Whole { device: Arc::clone(device), regs: regs.clone(), resets, masters };
        let engines = QuietOnDrop(Engines::new(whole, dma, Arc::clone(&stats)));
        let causes = Arc::new(Causes::default());
        let half = BottomHalf { causes: Arc::clone(&causes), engines: Arc::clone(&engines.0) };
        let tasklet = Tasklet::new(probe.softirqs, device.name(), move || half.run())?;
        let presence = device.presence();
        let top_half = TopHalf { regs, presence, causes, tasklet: tasklet.clone(), stats };
        let irq = irq::Registration::request(
            &vectors.line(0)?,
            flags(vectors.kind()),
            Edu::NAME,
            Arc::new(top_half),
        )?;
        // Only now: who hears of what the device does, is there.
        engines.0.whole.enable()?;
        let node = Node {
            engines: Arc::clone(&engines.0),
            files: SpinLock::new(Files::default()),
            liveness: SpinLock::new(()),
            irq_kind: kind_number(vectors.kind()),
        };
        Ok((Self { _irq: irq, _vectors: vectors, _tasklet: tasklet, engines }, node))
    }

    /// Has the device stop, when what runs has ended. Sleeps.
    pub(crate) fn quiesce(&self) {
        self.engines.0.close(Errno::ENODEV);
        self.engines.0.whole.disable();
    }
}

/// A pin may have other devices on it.
fn flags(kind: IrqType) -> Flags {
    if kind == IrqType::Intx { Flags::SHARED } else { Flags::empty() }
}

fn kind_number(kind: IrqType) -> u64 {
    match kind {
        IrqType::Intx => 0,
        IrqType::Msi => 1,
        IrqType::MsiX => 2,
    }
}

/// Makes sure that this is the device, and that it answers.
fn check(device: &Device, regs: &IoRegion) -> Result<()> {
    let id = regs.read::<Id>();
    let refuse = |cause: String, hint| {
        Err(Error::new(Errno::ENODEV, "cannot drive", device.name())
            .with_cause(cause)
            .with_hint(hint))
    };
    if id.get(Id::KIND) != ID_KIND {
        return refuse(
            format!("ID reads {:#010x}, and an edu ends in {ID_KIND:04x}", id.raw()),
            "this is not the device that the driver was written for, or its memory is switched off",
        );
    }
    for asked in PATTERNS {
        regs.write(Liveness::new(asked));
        let answer = regs.read::<Liveness>().raw();
        if answer != !asked {
            return refuse(
                format!("LIVENESS was written {asked:#010x} and reads {answer:#010x}"),
                "the device answers and does not work; reset it or the machine",
            );
        }
    }
    let (name, major, minor) = (device.name(), id.get(Id::MAJOR), id.get(Id::MINOR));
    tracing::debug!("{name} is an edu of version {major}.{minor}");
    Ok(())
}

/// Resets the device, if it has a reset. Whether it has.
fn reset(device: &Device) -> Result<bool> {
    match device.reset() {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Errno::EOPNOTSUPP => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits for what an earlier owner has left running, and forgets what it raised.
fn settle(device: &Device, regs: &IoRegion) -> Result<()> {
    regs.write(Status::default());
    let busy = || {
        let running = regs.read::<DmaCmd>().get(DmaCmd::RUN);
        running || regs.read::<Status>().get(Status::COMPUTING)
    };
    let mut trials = 0;
    while busy() {
        if trials == SETTLE_TRIALS {
            return Err(Error::new(Errno::EBUSY, "cannot drive", device.name())
                .with_cause("what an earlier owner had it do does not come to an end")
                .with_hint("reset it or the machine"));
        }
        trials += 1;
        time::sleep(SETTLE_PAUSE);
    }
    regs.write(IrqAck::new(regs.read::<IrqStatus>().raw()));
    Ok(())
}

impl fmt::Debug for Edu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edu").field("node", &self.node).finish_non_exhaustive()
    }
}
