//! A driver for a block in the device tree, as small as one can be: `cat /dev/ticker0` has a line each second.
//!
//! The block is ARM's PL031 clock, of which four registers are enough here; `ticker.dtso`, beside this, describes it. The
//! README's chapter on device trees walks through both. The whole driver of that clock is in `drivers/pl031`.
//!
//! ```text
//!  the clock reaches Match ─▶ interrupt ─▶ TopHalf::handle: clear it, set the next Match, count, schedule the tasklet
//!                                              └▶ tasklet: wake the readers ─▶ Node::read ─▶ "tick 1\n"
//! ```
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uio_core::chardev::{self, CharDevice, File, PollEvents};
use uio_core::driver::{Driver, Probe, RingFill};
use uio_core::error::{Errno, Error, Result};
use uio_core::io::{Io, IoRegion, RegisterInfo, RegisterMap};
use uio_core::irq::{self, Flags, Handler, IrqReturn};
use uio_core::of;
use uio_core::register;
use uio_core::softirq::Tasklet;
use uio_core::sync::WaitQueue;

register! {
    /// The time, in seconds.
    pub Data(u32) @ 0x000, ro {}
    /// When the time is this, the interrupt is raised.
    pub Match(u32) @ 0x004, rw {}
    /// Lets the interrupt through.
    pub Mask(u32) @ 0x010, rw {
        /// It is let through.
        0:0 ON: bool;
    }
    /// The interrupt is raised and let through.
    pub Status(u32) @ 0x018, ro {
        /// It is.
        0:0 RAISED: bool;
    }
    /// Clears it.
    pub Clear(u32) @ 0x01C, wo {
        /// To be cleared.
        0:0 RAISED: bool;
    }
}

/// Bytes of the registers.
pub const SIZE: usize = 0x20;

/// What the halves share.
struct Clock {
    regs: IoRegion,
    /// Seconds from one tick to the next: the node's own property.
    period: u32,
    /// Ticks so far, and how many of them were read. The top half counts up the first, readers the second, never beyond.
    ticks: AtomicU64,
    read: AtomicU64,
    readers: WaitQueue,
    /// Nobody ever waits to write.
    writers: WaitQueue,
}

impl Clock {
    /// Sets the next tick. The interrupt comes when the time is `Match`, not when it is past it: so it is looked at again.
    fn set_next(&self) -> Result<(), Errno> {
        loop {
            let now = self.regs.try_read::<Data>()?.raw();
            self.regs.try_write(Match::new(now.wrapping_add(self.period)))?;
            if self.regs.try_read::<Data>()?.raw() == now {
                return Ok(());
            }
        }
    }

    /// Lets the first tick come.
    fn start(&self) -> Result<(), Errno> {
        self.regs.try_write(Clear::default().with(Clear::RAISED, true))?;
        self.set_next()?;
        Ok(self.regs.try_write(Mask::default().with(Mask::ON, true))?)
    }
}

/// TOP HALF: clears the interrupt and hands over.
struct TopHalf {
    clock: Arc<Clock>,
    tasklet: Tasklet,
}

impl TopHalf {
    /// Whether the clock has ticked. An access that fails says that the device is gone.
    fn tick(&self) -> Result<bool, Errno> {
        let regs = &self.clock.regs;
        if !regs.try_read::<Status>()?.get(Status::RAISED) {
            return Ok(false);
        }
        regs.try_write(Clear::default().with(Clear::RAISED, true))?;
        self.clock.set_next()?;
        Ok(true)
    }
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        if !self.tick().unwrap_or(false) {
            return IrqReturn::None;
        }
        // Pairs with the load of a reader.
        self.clock.ticks.fetch_add(1, Ordering::Release);
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}

/// CHAR NODE.
struct Node(Arc<Clock>);

impl CharDevice for Node {
    fn read(&self, _file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let ticks = self.0.ticks.load(Ordering::Acquire);
        let next = |read| (read < ticks).then_some(read + 1);
        // EAGAIN: the session waits on `read_wait`, and asks again.
        let read = self.0.read.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let text = format!("tick {}\n", read.map_err(|_| Errno::EAGAIN)? + 1);
        let count = text.len().min(buf.len());
        buf[..count].copy_from_slice(&text.as_bytes()[..count]);
        Ok(count)
    }

    fn write(&self, _file: &File, _data: &[u8]) -> Result<usize, Errno> {
        Err(Errno::EBADF)
    }

    fn poll(&self, _file: &File) -> PollEvents {
        if self.0.read.load(Ordering::Acquire) < self.0.ticks.load(Ordering::Acquire) {
            PollEvents::READABLE
        } else {
            PollEvents::empty()
        }
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.0.readers
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.0.writers
    }
}

/// Lets no interrupt through any more when it is dropped.
struct Quiet(Arc<Clock>);

impl Drop for Quiet {
    fn drop(&mut self) {
        // A device that is gone interrupts no more.
        let _ = self.0.regs.try_write(Mask::default());
    }
}

/// A bound device. The fields are in the order of their release: the clients go first, then the device is quieted.
pub struct Ticker {
    node: chardev::Registration,
    _quiet: Quiet,
    _irq: irq::Registration,
}

impl Driver for Ticker {
    const NAME: &'static str = "ticker";
    const ID_TABLE: &'static [&'static str] = &["ticker"];
    const OF_ID_TABLE: &'static [of::DeviceId] = &[of::DeviceId::new("acme,ticker")];

    fn probe(probe: &Probe<'_>) -> Result<Self> {
        let regs = probe.device.region(0, SIZE)?;
        let property = probe.device.of_node().map(|node| node.property_read("acme,period-seconds"));
        let period: u32 = property.map_or(1, |period| period.or(1)).max(1);
        let clock = Arc::new(Clock {
            regs,
            period,
            ticks: AtomicU64::new(0),
            read: AtomicU64::new(0),
            readers: WaitQueue::new(),
            writers: WaitQueue::new(),
        });
        let woken = Arc::clone(&clock);
        let tasklet = Tasklet::new(probe.softirqs, "ticker", move || woken.readers.wake_all())?;
        let top_half = Arc::new(TopHalf { clock: Arc::clone(&clock), tasklet });
        let line = probe.device.line(0)?;
        let irq = irq::Registration::request(&line, Flags::empty(), "ticker", top_half)?;
        let quiet = Quiet(Arc::clone(&clock));
        let started = clock.start();
        started.map_err(|errno| Error::new(errno, "cannot start", probe.device.name()))?;
        let options = probe.node_options("ticker");
        let node = chardev::Registration::register(&options, Arc::new(Node(clock)))?;
        Ok(Self { node, _quiet: quiet, _irq: irq })
    }

    fn suggestions(&self) -> Vec<String> {
        vec!["head -n 3 NODE".to_owned()]
    }

    fn node(&self) -> &chardev::Registration {
        &self.node
    }

    fn rings(&self) -> Vec<RingFill> {
        Vec::new()
    }

    fn registers(&self) -> Vec<RegisterMap> {
        let registers = vec![
            RegisterInfo::of::<Data>(),
            RegisterInfo::of::<Match>(),
            RegisterInfo::of::<Mask>(),
            RegisterInfo::of::<Status>(),
        ];
        vec![RegisterMap { region: 0, registers }]
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").field("node", &self.node).finish_non_exhaustive()
    }
}
