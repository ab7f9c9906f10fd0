//! ARM's PrimeCell PL031 real-time clock as a simulated model.
//!
//! | region 0 `regs` | name | | meaning |
//! | --- | --- | --- | --- |
//! | 0x000 | RTCDR | ro | the time in seconds |
//! | 0x004 | RTCMR | rw | when the time is this, the interrupt is raised |
//! | 0x008 | RTCLR | rw | sets the time; reads what was written last |
//! | 0x00C | RTCCR | rw | bit 0 starts the clock, and nothing stops it |
//! | 0x010 | RTCIMSC | rw | bit 0 lets the interrupt through |
//! | 0x014 | RTCRIS | ro | bit 0: it is raised |
//! | 0x018 | RTCMIS | ro | bit 0: it is raised and let through |
//! | 0x01C | RTCICR | wo | bit 0 clears it |
//! | 0xFE0 | | ro | who it is: a byte in each of eight words |
//!
//! Registers take accesses of 32 bits. The interrupt is a level: it stays asserted until RTCICR or RTCIMSC takes it
//! away. The time passes as its owner says ([`Controls::advance`]), also between two accesses of the driver
//! ([`Controls::tick_before`]); or, with [`Time::Real`], as it does for everybody.
//!
//! Neighbours: `chip` has the registers, `hardware` the time that passes and the line.
#![forbid(unsafe_code)]

mod chip;
mod hardware;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use uio_core::Result;
use uio_core::device::sim::{Model, SimLine};
use uio_core::error::Error;
use uio_core::io::RegionModel;
use uio_core::of::Node;

pub use chip::{Comparator, PL031_IDS};
use hardware::Hardware;

/// How its time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Time {
    /// When it is told to.
    #[default]
    ByHand,
    /// With the time of the machine.
    Real,
}

/// How a clock is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What it shows at first, in seconds.
    pub start: u32,
    /// Whether it runs already; else it waits for RTCCR.
    pub started: bool,
    /// When its interrupt is raised.
    pub comparator: Comparator,
    /// What its identification registers read.
    pub ids: [u8; 8],
    /// How its time passes.
    pub time: Time,
}

impl Default for Options {
    /// A PL031 that runs, at the beginning of 1970, and whose time passes by hand.
    fn default() -> Self {
        Self {
            start: 0,
            started: true,
            comparator: Comparator::default(),
            ids: PL031_IDS,
            time: Time::default(),
        }
    }
}

/// The model of a clock. With [`Time::Real`] it has a thread, which ends with it.
#[derive(Debug)]
pub struct Pl031 {
    controls: Controls,
    ticker: Option<JoinHandle<()>>,
}

impl Pl031 {
    /// A clock that shows the time of this machine, in UTC, and goes with it.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn new() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // CAST: the chip's counter has 32 bits, and begins anew in 2106.
        let start = now.as_secs() as u32;
        Self::with(Options { start, time: Time::Real, ..Options::default() })
    }

    /// A clock as `options` say.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn with(options: Options) -> Result<Self> {
        let hardware = Arc::new(Hardware::new(options, SimLine::new()?));
        let ticker = match options.time {
            Time::ByHand => None,
            Time::Real => Some(start(&hardware)?),
        };
        Ok(Self { controls: Controls(hardware), ticker })
    }

    /// Handles to this clock, which may go anywhere.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }
}

fn start(hardware: &Arc<Hardware>) -> Result<JoinHandle<()>> {
    let running = Arc::clone(hardware);
    std::thread::Builder::new()
        .name("sim/pl031".to_owned())
        .spawn(move || running.run())
        .map_err(|error| Error::from_io(&error, "cannot start", "simulated pl031"))
}

impl Model for Pl031 {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        let hardware: Arc<dyn RegionModel> = self.controls.0.clone();
        vec![("regs".to_owned(), hardware)]
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(self.controls.0.line()))
    }

    /// As on QEMU's board `virt`, with an overlay that makes it a UIO device.
    fn of_node(&self) -> Option<Node> {
        let node = Node::new("/pl031@9010000").with_compatible(&["arm,pl031", "generic-uio"]);
        Some(node.with_reg(None, 0x901_0000, 0x1000))
    }
}

impl Drop for Pl031 {
    fn drop(&mut self) {
        self.controls.0.stop();
        if let Some(ticker) = self.ticker.take() {
            // A ticker that panicked has said so already.
            let _ = ticker.join();
        }
    }
}

/// Handles to one simulated clock, for whoever plays the world around it.
#[derive(Clone)]
pub struct Controls(Arc<Hardware>);

impl Controls {
    /// So many seconds pass at once.
    pub fn advance(&self, seconds: u32) {
        self.0.with(|state| state.chip.advance(seconds));
    }

    /// A second ends just before an access of the driver: before the next one with 0, the one after it with 1.
    /// One tick is kept in mind; a later call takes the place of an earlier one.
    pub fn tick_before(&self, access: usize) {
        self.0.with(|state| state.tick_before = Some(access));
    }

    /// Whether that tick is still to come.
    pub fn tick_is_pending(&self) -> bool {
        self.0.with(|state| state.tick_before.is_some())
    }

    /// The interrupt is raised for no reason.
    pub fn raise(&self) {
        self.0.with(|state| state.chip.raise());
    }

    /// What RTCDR shows.
    pub fn time(&self) -> u32 {
        self.0.with(|state| state.chip.time())
    }

    /// What is in RTCMR.
    pub fn match_value(&self) -> u32 {
        self.0.with(|state| state.chip.matches())
    }

    /// Whether RTCIMSC lets the interrupt through.
    pub fn is_unmasked(&self) -> bool {
        self.0.with(|state| state.chip.is_unmasked())
    }

    /// Whether RTCRIS says that the interrupt is raised.
    pub fn is_raised(&self) -> bool {
        self.0.with(|state| state.chip.is_raised())
    }

    /// Interrupts that the line has fired.
    pub fn interrupts(&self) -> u64 {
        self.0.line().raised()
    }

    /// Accesses that no driver should make: of another width than 32 bits, to nothing, the wrong way.
    pub fn mistakes(&self) -> usize {
        self.0.with(|state| state.mistakes)
    }

    /// Takes the device away.
    pub fn unplug(&self) {
        self.0.line().unplug();
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.with(|state| state.chip.fmt(f))
    }
}
