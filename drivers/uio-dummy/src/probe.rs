//! Probe: claim the device, start it, and release it in reverse order.

use std::fmt;
use std::sync::{Arc, Mutex};

use uio_core::chardev;
use uio_core::device::{Device, IrqVectors};
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::{Error, Result};
use uio_core::io::{Io, IoRegion, RegisterMap};
use uio_core::irq::{self, Flags};
use uio_core::ring::spsc::{self, Gauge};
use uio_core::softirq::Tasklet;
use uio_core::sync::WaitQueue;

use crate::bottom_half::{BottomHalf, Ends, LineHold, Stall};
use crate::node::Node;
use crate::regs::{
    self, Ctrl, FifoBytes, ID_VALUE, Id, PeriodUs, REGS_BYTES, RxHead, RxTail, TxHead, TxTail,
    VERSION, Version,
};
use crate::top_half::TopHalf;

/// Bytes of each ring between the device and the clients.
const RING_BYTES: usize = 64 * 1024;

/// Period of the device's timer, in microseconds.
const PERIOD_US: u32 = 1000;

/// Name of the node, before its number.
const NODE: &str = "uio_dummy";

/// A bound `uio_dummy`.
///
/// The fields are in the order of their release: first the clients, then the interrupt, then the bottom half,
/// and the device last, which is left quiet.
pub struct UioDummy {
    node: chardev::Registration,
    _irq: irq::Registration,
    _vectors: IrqVectors,
    _tasklet: Tasklet,
    rx: Gauge<u8>,
    tx: Gauge<u8>,
    _quiet: QuietOnDrop,
}

/// Stops the device's timer when it is dropped.
struct QuietOnDrop(IoRegion);

impl Drop for QuietOnDrop {
    fn drop(&mut self) {
        // A device that is gone is quiet.
        let _ = self.0.try_write(Ctrl::default());
    }
}

impl Driver for UioDummy {
    const NAME: &'static str = "uio-dummy";
    const ID_TABLE: &'static [&'static str] = &["uio_dummy"];

    fn probe(probe: &Probe<'_>) -> Result<Self> {
        let device = probe.device;
        let (regs, fifo, fifo_bytes) = map(device)?;
        let vectors = device.alloc_irq_vectors(1, 1, probe.irq_types)?;
        let line = vectors.line(0)?;
        let (rx, rx_out) = spsc::channel(RING_BYTES);
        let (tx_in, tx) = spsc::channel(RING_BYTES);
        let (rx_gauge, tx_gauge) = (rx.gauge(), tx.gauge());

        let quiet = QuietOnDrop(regs.clone());
        let (rx_tail, tx_head) = reset(&regs);
        let hold = Arc::new(LineHold::new(line.clone()));
        let stall = Arc::new(Stall::default());
        let (read_wait, write_wait) = (Arc::new(WaitQueue::new()), Arc::new(WaitQueue::new()));
        let bottom_half = BottomHalf {
            regs: regs.clone(),
            fifo,
            fifo_bytes,
            hold: Arc::clone(&hold),
            stall: Arc::clone(&stall),
            read_wait: Arc::clone(&read_wait),
            write_wait: Arc::clone(&write_wait),
            ends: Mutex::new(Ends { rx, tx, rx_tail, tx_head }),
        };
        let tasklet = Tasklet::new(probe.softirqs, device.name(), move || bottom_half.run())?;
        let top_half = TopHalf { hold, tasklet: tasklet.clone() };
        let irq =
            irq::Registration::request(&line, Flags::empty(), Self::NAME, Arc::new(top_half))?;
        let (rx, tx) = (Mutex::new(rx_out), Mutex::new(tx_in));
        let node = Node { rx, tx, tasklet: tasklet.clone(), stall, read_wait, write_wait };
        let mut options = probe.node_options(NODE);
        // FIONREAD has no size in its number, so the kernel does not copy its answer by itself.
        options.unrestricted_ioctl = true;
        let node = chardev::Registration::register(&options, Arc::new(node))?;
        start(&regs);
        let (rx, tx) = (rx_gauge, tx_gauge);
        Ok(Self { node, _irq: irq, _vectors: vectors, _tasklet: tasklet, rx, tx, _quiet: quiet })
    }

    fn node(&self) -> &chardev::Registration {
        &self.node
    }

    fn rings(&self) -> Vec<RingFill> {
        let fill = |name, gauge: &Gauge<u8>| RingFill {
            name,
            bytes: gauge.len(),
            capacity: gauge.capacity(),
        };
        vec![fill("rx", &self.rx), fill("tx", &self.tx)]
    }

    fn registers(&self) -> Vec<RegisterMap> {
        regs::map()
    }
}

/// Maps both regions, and makes sure that this is the device.
fn map(device: &Device) -> Result<(IoRegion, IoRegion, u32)> {
    let regs = device.region(0, REGS_BYTES)?;
    let (id, version) = (regs.read::<Id>().raw(), regs.read::<Version>().raw());
    let refuse = |cause: String| {
        Error::invalid("cannot drive", device.name(), cause)
            .with_hint("this is not the device that the driver was written for")
    };
    if id != ID_VALUE {
        return Err(refuse(format!("ID reads {id:#010x}, not {ID_VALUE:#010x}")));
    }
    if version != VERSION {
        return Err(refuse(format!("it is version {version}, the driver knows version {VERSION}")));
    }
    let fifo_bytes = regs.read::<FifoBytes>().raw();
    if !fifo_bytes.is_power_of_two() || fifo_bytes > 1 << 30 {
        return Err(refuse(format!("FIFO_BYTES reads {fifo_bytes}, which is no power of two")));
    }
    let fifo = device.region(1, 2 * fifo_bytes as usize)?;
    Ok((regs, fifo, fifo_bytes))
}

/// Stops the device, and forgets what is in its FIFOs. Returns where RX and TX begin.
fn reset(regs: &IoRegion) -> (u32, u32) {
    regs.write(Ctrl::default());
    let (rx, tx) = (regs.read::<RxHead>().raw(), regs.read::<TxTail>().raw());
    regs.write(RxTail::new(rx));
    regs.write(TxHead::new(tx));
    (rx, tx)
}

fn start(regs: &IoRegion) {
    regs.write(PeriodUs::new(PERIOD_US));
    regs.write(Ctrl::default().with(Ctrl::ENABLE, true).with(Ctrl::LOOPBACK, true));
}

impl fmt::Debug for UioDummy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UioDummy").field("node", &self.node).finish_non_exhaustive()
    }
}
