//! [`Port`]: one UART with its rings, its interrupt and its bottom half. What the node is about.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use uio_core::device::Presence;
use uio_core::driver::RingFill;
use uio_core::error::{Errno, Error, Result};
use uio_core::io::IoRegion;
use uio_core::irq::{self, Flags, IrqLine};
use uio_core::ring::spsc::{self, Consumer, Gauge, Producer};
use uio_core::softirq::{Softirqs, Tasklet};
use uio_core::sync::{SpinLock, WaitQueue};

use crate::alarm::Alarm;
use crate::baud;
use crate::bottom_half::{self, Shared};
use crate::detect;
use crate::hardware::{Hardware, Parts};
use crate::regs::{Ier, Layout, Mcr, Regs};
use crate::room::RoomWanted;
use crate::termios::Termios;
use crate::timeouts::Timeouts;
use crate::top_half::{LineHold, TopHalf};

/// Bytes of the ring to the readers.
const RX_BYTES: usize = 64 * 1024;
/// Bytes of the ring from the writers: as the kernel's, a page.
const TX_BYTES: usize = 4096;

/// How a port is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where in the region its registers begin, in bytes.
    pub base: usize,
    /// How they lie there.
    pub layout: Layout,
    /// Clock of the UART in Hz.
    pub clock: u32,
    /// Its interrupt is a message (MSI), and not a level.
    pub message_signalled: bool,
    /// Whom to ask whether the device is still there, when it answers nothing but ones.
    pub presence: Option<Presence>,
}

impl Default for Settings {
    /// At the beginning of the region, byte after byte, with the clock of a PC and a line.
    fn default() -> Self {
        Self {
            base: 0,
            layout: Layout::BYTES,
            clock: baud::PC_CLOCK,
            message_signalled: false,
            presence: None,
        }
    }
}

/// What the clients have set that concerns no register.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) opens: usize,
    /// TIOCEXCL: nobody else may open.
    pub(crate) exclusive: bool,
    /// What TIOCSWINSZ was told.
    pub(crate) window: [u8; 8],
}

/// One UART. It is the [`CharDevice`](uio_core::chardev::CharDevice) of its node.
///
/// The fields are in the order of their release: first the interrupt, then the alarm and the bottom half, and the
/// UART last, which is left quiet.
pub struct Port {
    _irq: irq::Registration,
    _alarm: Alarm,
    pub(crate) tasklet: Tasklet,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rx: Mutex<Consumer<u8>>,
    pub(crate) tx: Mutex<Producer<u8>>,
    pub(crate) room: Arc<RoomWanted>,
    /// A copy of what is in force, for reads and writes.
    pub(crate) modes: Mutex<Termios>,
    pub(crate) clients: Mutex<Clients>,
    pub(crate) fills: [Gauge<u8>; 2],
    _quiet: QuietOnDrop,
}

/// Takes the UART's interrupts and outputs away when it is dropped.
struct QuietOnDrop(Regs);

impl Drop for QuietOnDrop {
    fn drop(&mut self) {
        // A device that is gone is quiet.
        let _ = self.0.write(Ier::default()).and_then(|()| self.0.write(Mcr::default()));
    }
}

impl Port {
    /// Finds out what UART is in `region`, and takes its interrupt. It stays quiet until a client opens it.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is no UART of the family; what the claims say.
    pub fn new(
        name: &str,
        region: IoRegion,
        settings: Settings,
        line: &IrqLine,
        softirqs: &Arc<Softirqs>,
    ) -> Result<Self> {
        let regs = Regs::new(region, settings.base, settings.layout);
        let chip = find(name, &regs)?;
        let quiet = QuietOnDrop(regs.clone());
        let (rx, rx_out) = spsc::channel(RX_BYTES);
        let (tx_in, tx) = spsc::channel(TX_BYTES);
        let fills = [rx.gauge(), tx.gauge()];
        let room = Arc::new(RoomWanted::new());
        let parts = Parts {
            regs: regs.clone(),
            chip,
            clock: settings.clock,
            rx,
            tx,
            room: Arc::clone(&room),
            message_signalled: settings.message_signalled,
            presence: settings.presence,
        };
        let hold = Arc::new(LineHold::new(line.clone()));
        let alarm = Alarm::new(name);
        let shared = Arc::new(Shared {
            hardware: SpinLock::new(Hardware::new(parts)),
            hold: Arc::clone(&hold),
            clock: alarm.clock(),
            timeouts: Mutex::new(Timeouts::default()),
            read_wait: WaitQueue::new(),
            write_wait: WaitQueue::new(),
        });
        let served = Arc::clone(&shared);
        let tasklet = Tasklet::new(softirqs, name, move || bottom_half::run(&served))?;
        alarm.aim(tasklet.clone());
        let top_half = TopHalf { regs, hold, tasklet: tasklet.clone() };
        let irq = irq::Registration::request(line, Flags::SHARED, "ns16550", Arc::new(top_half))?;
        Ok(Self {
            _irq: irq,
            _alarm: alarm,
            tasklet,
            shared,
            rx: Mutex::new(rx_out),
            tx: Mutex::new(tx_in),
            room,
            modes: Mutex::new(Termios::default()),
            clients: Mutex::default(),
            fills,
            _quiet: quiet,
        })
    }

    /// The fill of its rings.
    pub fn rings(&self) -> Vec<RingFill> {
        let fill = |name, gauge: &Gauge<u8>| RingFill {
            name,
            bytes: gauge.len(),
            capacity: gauge.capacity(),
        };
        vec![fill("rx", &self.fills[0]), fill("tx", &self.fills[1])]
    }

    /// Does something to the UART, then has the bottom half see what comes of it.
    pub(crate) fn with<R>(
        &self,
        act: impl FnOnce(&mut Hardware) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let result = act(&mut self.shared.hardware.lock_bh());
        self.tasklet.schedule();
        result
    }

    /// Looks at what is known of the UART.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Hardware) -> R) -> R {
        look(&self.shared.hardware.lock_bh())
    }

    pub(crate) fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn modes(&self) -> Termios {
        *self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn timeouts(&self) -> MutexGuard<'_, Timeouts> {
        self.shared.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what nobody has read.
    pub(crate) fn flush_input(&self) {
        let mut rx = self.rx.lock().unwrap_or_else(PoisonError::into_inner);
        rx.drain_with(usize::MAX, |first, second| first.len() + second.len());
        drop(rx);
        // There is room, if it was wanted.
        self.tasklet.schedule();
    }

    /// Forgets what is not in the UART yet.
    pub(crate) fn flush_output(&self) -> Result<(), Errno> {
        self.with(|hardware| {
            hardware.parts.tx.drain_with(usize::MAX, |first, second| first.len() + second.len());
            Ok(())
        })?;
        self.shared.write_wait.wake_all();
        Ok(())
    }

    /// The UART interrupts no more.
    pub(crate) fn stop(&self) {
        // A device that is gone is quiet.
        let _ = self.with(|hardware| hardware.quiesce().map_err(Errno::from));
    }

    /// The last client is gone; what was written goes on.
    pub(crate) fn close(&self) {
        // A device that is gone is closed.
        let _ = self.with(|hardware| hardware.close(Instant::now()).map_err(Errno::from));
    }
}

fn find(name: &str, regs: &Regs) -> Result<detect::Chip> {
    let refuse = |cause: String| {
        Error::new(Errno::ENODEV, "cannot drive", name)
            .with_cause(cause)
            .with_hint("this is not a 16550 serial port, or its registers lie elsewhere")
    };
    match detect::detect(regs) {
        Ok(Ok(chip)) => Ok(chip),
        Ok(Err(cause)) => Err(refuse(cause)),
        Err(error) => Err(refuse(error.to_string())),
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("rings", &self.rings()).finish_non_exhaustive()
    }
}
