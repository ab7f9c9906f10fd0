//! A driver for a made-up device that throws dice: each read of `/dev/dice0` is a throw.
//!
//! | offset | register | what it does |
//! | --- | --- | --- |
//! | 0x0 | `Id` | reads 0x44494345, "DICE" |
//! | 0x4 | `Throw` | a write throws |
//! | 0x8 | `Eyes` | what was thrown last, 1 to 6 |
//!
//! The device interrupts when a throw has come to rest.
//!
//! ```text
//!  read(2) ─▶ Node::read: nothing there: throw, and wait
//!  dice ─▶ interrupt ─▶ TopHalf::handle: keep the eyes, schedule the tasklet
//!                          └▶ tasklet: wake the readers ─▶ Node::read again ─▶ "4\n"
//! ```
#![forbid(unsafe_code)]

pub mod model;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use uio_core::chardev::{self, CharDevice, File, PollEvents};
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::{Errno, Error, Result};
use uio_core::io::{Io, IoRegion, RegisterInfo, RegisterMap};
use uio_core::irq::{self, Flags, Handler, IrqReturn};
use uio_core::pci::IrqTypes;
use uio_core::register;
use uio_core::softirq::Tasklet;
use uio_core::sync::WaitQueue;

register! {
    /// Tells the device from others.
    pub Id(u32) @ 0x0, ro {}
    /// Throws.
    pub Throw(u32) @ 0x4, wo {}
    /// What was thrown last.
    pub Eyes(u32) @ 0x8, ro {}
}

/// What `Id` reads.
pub const ID: u32 = 0x4449_4345;
/// Bytes of the region.
pub const SIZE: usize = 12;

/// There is no throw.
const NONE: u32 = 0;
/// There is one that has not come to rest.
const ROLLING: u32 = u32::MAX;

/// What the halves share.
struct Table {
    regs: IoRegion,
    /// The eyes of a throw that nobody has read yet, [`NONE`], or [`ROLLING`]. A reader throws and takes, the top half
    /// stores; so that a reader which asks again does not throw again.
    eyes: AtomicU32,
    readers: WaitQueue,
    /// Nobody ever waits to write.
    writers: WaitQueue,
}

/// TOP HALF: keeps the eyes and hands over.
struct TopHalf {
    table: Arc<Table>,
    tasklet: Tasklet,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        let Ok(eyes) = self.table.regs.try_read::<Eyes>() else { return IrqReturn::None };
        self.table.eyes.store(eyes.raw(), Ordering::Release);
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}

/// CHAR NODE.
struct Node(Arc<Table>);

impl CharDevice for Node {
    fn read(&self, _file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let eyes = &self.0.eyes;
        if eyes.compare_exchange(NONE, ROLLING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.0.regs.try_write(Throw::new(1))?;
        }
        // Pairs with the store of the top half. EAGAIN: the session waits on `read_wait`, and asks again.
        let rest = |eyes| (eyes != ROLLING).then_some(NONE);
        let thrown = eyes.fetch_update(Ordering::AcqRel, Ordering::Acquire, rest);
        let text = format!("{}\n", thrown.map_err(|_| Errno::EAGAIN)?);
        let count = text.len().min(buf.len());
        buf[..count].copy_from_slice(&text.as_bytes()[..count]);
        Ok(count)
    }

    fn write(&self, _file: &File, _data: &[u8]) -> Result<usize, Errno> {
        Err(Errno::EBADF)
    }

    fn poll(&self, _file: &File) -> PollEvents {
        if self.0.eyes.load(Ordering::Acquire) == 0 {
            PollEvents::empty()
        } else {
            PollEvents::READABLE
        }
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.0.readers
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.0.writers
    }
}

/// A bound device. The fields are in the order of their release: the clients go first.
pub struct Dice {
    node: chardev::Registration,
    _irq: irq::Registration,
    _vectors: uio_core::device::IrqVectors,
}

impl Driver for Dice {
    const NAME: &'static str = "dice";
    const ID_TABLE: &'static [&'static str] = &["dice"];

    fn probe(probe: &Probe<'_>) -> Result<Self> {
        let regs = probe.device.region(0, SIZE)?;
        let id = regs.read::<Id>().raw();
        if id != ID {
            let cause = format!("Id reads {id:#x}, not {ID:#x}");
            return Err(Error::invalid("cannot drive", probe.device.name(), cause));
        }
        let (readers, writers) = (WaitQueue::new(), WaitQueue::new());
        let table = Arc::new(Table { regs, eyes: AtomicU32::new(NONE), readers, writers });
        let woken = Arc::clone(&table);
        let tasklet = Tasklet::new(probe.softirqs, "dice", move || woken.readers.wake_all())?;
        let vectors = probe.device.alloc_irq_vectors(1, 1, IrqTypes::ALL)?;
        let top_half = Arc::new(TopHalf { table: Arc::clone(&table), tasklet });
        let irq = irq::Registration::request(&vectors.line(0)?, Flags::empty(), "dice", top_half)?;
        let options = probe.node_options("dice");
        let node = chardev::Registration::register(&options, Arc::new(Node(table)))?;
        Ok(Self { node, _irq: irq, _vectors: vectors })
    }

    fn node(&self) -> &chardev::Registration {
        &self.node
    }

    fn rings(&self) -> Vec<RingFill> {
        Vec::new()
    }

    fn registers(&self) -> Vec<RegisterMap> {
        let registers =
            vec![RegisterInfo::of::<Id>(), RegisterInfo::of::<Throw>(), RegisterInfo::of::<Eyes>()];
        vec![RegisterMap { region: 0, registers }]
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dice").field("node", &self.node).finish_non_exhaustive()
    }
}
