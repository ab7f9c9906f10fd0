//! Probe: claim the device, see that it is a PL061, silence it, and release it in reverse order.

use std::fmt;
use std::sync::Arc;

use uio_core::chardev;
use uio_core::device::{Device, IrqVectors};
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::{Errno, Error, Result};
use uio_core::io::{AccessError, Io, IoRegion, RegisterMap};
use uio_core::irq::{self, Flags};
use uio_core::of;
use uio_core::softirq::Tasklet;
use uio_core::sync::{SpinLock, WaitQueue};
use uio_core::time::Cycles;

use crate::bottom_half::{self, Shared};
use crate::event::EVENT_BYTES;
use crate::hardware::Hardware;
use crate::journal::{CAPACITY, Journal};
use crate::node::Node;
use crate::regs::{
    self, GpioPCellId0, GpioPCellId1, GpioPCellId2, GpioPCellId3, GpioPeriphId0, GpioPeriphId1,
    GpioPeriphId2, GpioPeriphId3, LINES, REGS_BYTES, low_byte,
};
use crate::top_half::{IrqHold, TopHalf};

/// Name of the node, before its number.
const NODE: &str = "gpiouio";

/// What to try where nobody knows what is connected: nothing changes a line.
const LOOK: &[&str] = &["cat NODE", "sh -c 'echo show >&3; head -n 8 <&3' 3<> NODE"];
/// What to try on a simulated block, whose line 4 is wired to line 0.
const LOOP: &[&str] = &["echo '0 in both; 4 out 0' > NODE", "cat NODE", "echo '4 set 1' > NODE"];

/// What says that it is a PrimeCell, whichever.
const PRIMECELL: [u8; 4] = [0x0D, 0xF0, 0x05, 0xB1];
/// Which it is: part 061, designed by ARM (0x41). The third byte's upper half is the revision.
const PL061: [u8; 3] = [0x61, 0x10, 0x04];

/// A bound PL061.
///
/// The fields are in the order of their release: first the clients, then the block.
pub struct Pl061 {
    node: chardev::Registration,
    running: Running,
    simulated: bool,
}

/// The block at work. The fields are in the order of their release: first the interrupt, then the bottom half, and the
/// block last, which is left quiet.
pub(crate) struct Running {
    _irq: irq::Registration,
    _vectors: IrqVectors,
    _tasklet: Tasklet,
    quiet: QuietOnDrop,
}

/// Has no line interrupt any more when it is dropped. Outputs stay as they are.
struct QuietOnDrop(Arc<Shared>);

impl Drop for QuietOnDrop {
    fn drop(&mut self) {
        self.0.hardware.lock_irqsave().stop();
    }
}

impl Driver for Pl061 {
    const NAME: &'static str = "pl061";
    const ID_TABLE: &'static [&'static str] = &["pl061"];
    const OF_ID_TABLE: &'static [of::DeviceId] = &[of::DeviceId::new("arm,pl061")];

    fn probe(probe: &Probe<'_>) -> Result<Self> {
        let options = probe.node_options(NODE);
        let (running, node) = Running::start(probe, &options.name)?;
        let node = chardev::Registration::register(&options, Arc::new(node))?;
        let simulated = probe.device.backend() == "sim";
        Ok(Self { node, running, simulated })
    }

    fn node(&self) -> &chardev::Registration {
        &self.node
    }

    fn rings(&self) -> Vec<RingFill> {
        let unread = self.running.quiet.0.journal.lock_bh().fill();
        let (bytes, capacity) = (unread * EVENT_BYTES, CAPACITY * EVENT_BYTES);
        vec![RingFill { name: "events", bytes, capacity }]
    }

    fn registers(&self) -> Vec<RegisterMap> {
        regs::map()
    }

    fn suggestions(&self) -> Vec<String> {
        let commands = if self.simulated { LOOP } else { LOOK };
        commands.iter().map(|command| (*command).to_owned()).collect()
    }

    fn quiesce(&self) {
        self.running.quiesce();
    }
}

impl Running {
    /// Claims the block and silences it, and makes the operations of its node, which is to be called `name`.
    pub(crate) fn start(probe: &Probe<'_>, name: &str) -> Result<(Self, Node)> {
        let device = probe.device;
        let regs = device.region(0, REGS_BYTES)?;
        identify(device, &regs)?;
        // What converts the counter takes a millisecond the first time.
        Cycles::calibrate();
        let vectors = device.alloc_irq_vectors(1, 1, probe.irq_types)?;
        let line = vectors.line(0)?;
        let hardware = Hardware::new(regs, device.presence());
        let hardware = hardware.map_err(|error| unreachable(device, error))?;
        let shared = Arc::new(Shared {
            hardware: SpinLock::new(hardware),
            journal: SpinLock::new(Journal::default()),
            hold: IrqHold::new(line.clone()),
            read_wait: WaitQueue::new(),
            write_wait: WaitQueue::new(),
        });
        let quiet = QuietOnDrop(Arc::clone(&shared));
        let served = Arc::clone(&shared);
        let run = move || bottom_half::run(&served);
        let tasklet = Tasklet::new(probe.softirqs, device.name(), run)?;
        let top_half = TopHalf { shared: Arc::clone(&shared), tasklet: tasklet.clone() };
        let irq =
            irq::Registration::request(&line, Flags::SHARED, Pl061::NAME, Arc::new(top_half))?;
        let node = Node { shared, name: name.to_owned(), lines: line_names(device) };
        Ok((Self { _irq: irq, _vectors: vectors, _tasklet: tasklet, quiet }, node))
    }

    /// No line interrupts any more, and none can be set up.
    pub(crate) fn quiesce(&self) {
        self.quiet.0.hardware.lock_irqsave().stop();
    }
}

/// What the device tree calls the lines.
fn line_names(device: &Device) -> [String; LINES] {
    let names = device.of_node().map(|node| node.property_read("gpio-line-names").or(Vec::new()));
    let mut names: Vec<String> = names.unwrap_or_default();
    names.resize(LINES, String::new());
    std::array::from_fn(|line| std::mem::take(&mut names[line]))
}

/// Makes sure that this is the block.
fn identify(device: &Device, regs: &IoRegion) -> Result<()> {
    let cell = [
        regs.read::<GpioPCellId0>().raw(),
        regs.read::<GpioPCellId1>().raw(),
        regs.read::<GpioPCellId2>().raw(),
        regs.read::<GpioPCellId3>().raw(),
    ];
    let id = [
        regs.read::<GpioPeriphId0>().raw(),
        regs.read::<GpioPeriphId1>().raw(),
        regs.read::<GpioPeriphId2>().raw(),
        regs.read::<GpioPeriphId3>().raw(),
    ];
    judge(device.name(), cell.map(low_byte), id.map(low_byte))
}

fn judge(name: &str, cell: [u8; 4], id: [u8; 4]) -> Result<()> {
    let refuse = |cause: String, hint: String| {
        Err(Error::new(Errno::ENODEV, "cannot drive", name).with_cause(cause).with_hint(hint))
    };
    if cell != PRIMECELL {
        let cause = format!(
            "its registers 0xff0 to 0xffc read {}, and those of a PrimeCell {}",
            hex(&cell),
            hex(&PRIMECELL)
        );
        let hint =
            "see that `reg` in the device tree is the block's own 4 KiB, and that its clock runs";
        return refuse(cause, hint.to_owned());
    }
    let part = u16::from_le_bytes([id[0], id[1] & 0x0F]);
    let ours = id[0] == PL061[0] && id[1] == PL061[1] && id[2] & 0x0F == PL061[2];
    if !ours {
        let cause = format!("it is the PrimeCell PL{part:03x} (0xfe0 to 0xfec read {})", hex(&id));
        return refuse(cause, "PL061 is another one: see `compatible` and `reg`".to_owned());
    }
    tracing::debug!("{name} is a PL061 of revision {}", id[2] >> 4);
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn unreachable(device: &Device, error: AccessError) -> Error {
    Error::new(error.into(), "cannot drive", device.name()).with_cause(error)
}

impl fmt::Debug for Pl061 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pl061").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pl061_of_any_revision_is_one() {
        for revision in [0x04, 0x14, 0xF4] {
            judge("test", PRIMECELL, [0x61, 0x10, revision, 0]).unwrap();
        }
    }

    #[test]
    fn another_block_is_named() {
        let error = judge("gpio", PRIMECELL, [0x31, 0x10, 0x04, 0]).unwrap_err().to_string();
        assert!(error.contains("it is the PrimeCell PL031"), "{error}");
        let error = judge("gpio", [0xFF; 4], [0xFF; 4]).unwrap_err().to_string();
        assert!(
            error.contains("read ff ff ff ff, and those of a PrimeCell 0d f0 05 b1"),
            "{error}"
        );
    }
}
