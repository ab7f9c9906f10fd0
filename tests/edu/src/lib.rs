//! `edu`, QEMU's educational PCI device (1234:11e8), as a simulated model: the same registers, the same rules,
//! and the faults that a driver must live with.
//!
//! | region 0 | name | | meaning |
//! | --- | --- | --- | --- |
//! | 0x00 | ID | ro | 0x010000ed: version 1.0 |
//! | 0x04 | LIVENESS | rw | reads as the inversion of what was written |
//! | 0x08 | FACTORIAL | rw | a write starts the computation; what is read is the product, modulo 2^32 |
//! | 0x20 | STATUS | rw | 0x01 computing (ro), 0x80 raise an interrupt when done |
//! | 0x24 | IRQ_STATUS | ro | why an interrupt was raised: 0x001 factorial, 0x100 DMA, others by IRQ_RAISE |
//! | 0x60 | IRQ_RAISE | wo | sets bits of IRQ_STATUS and raises the interrupt |
//! | 0x64 | IRQ_ACK | wo | clears bits of IRQ_STATUS |
//! | 0x80 | DMA_SRC | rw | where a transfer reads |
//! | 0x88 | DMA_DST | rw | where it writes |
//! | 0x90 | DMA_COUNT | rw | bytes |
//! | 0x98 | DMA_CMD | rw | 0x1 start, 0x2 device to memory, 0x4 raise an interrupt when done |
//!
//! Below 0x80 registers take accesses of 4 bytes, from there on of 4 or 8. The device's buffer of 4096 bytes is at
//! 0x40000 for its DMA alone; the addresses of memory have 28 bits, and what is above is cut off.
//!
//! Two things are as in the emulator, and not as anybody would want them: a transfer that touches the last byte of
//! the buffer, or leaves it, or has no bytes, ends the machine ([`Controls::crash`]); and a transfer that the IOMMU
//! refuses raises its interrupt as one that went well.
#![forbid(unsafe_code)]

mod hardware;
mod state;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use uio_core::Result;
use uio_core::device::sim::{DmaBus, Model, SimLine, SimVector};
use uio_core::error::Error;
use uio_core::io::RegionModel;
use uio_core::pci::{ConfigAccess, Id};

use hardware::Hardware;
pub use state::Transfer;

/// Who the device is.
pub const ID: Id = Id {
    vendor: 0x1234,
    device: 0x11E8,
    subvendor: 0x1AF4,
    subdevice: 0x1100,
    class: 0x00_FF_00,
    revision: 0x10,
};

/// What the device is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Between it and the memory is an IOMMU; else it does no DMA.
    pub dma: bool,
    /// It has a reset. The emulator's has none.
    pub reset: bool,
    /// How long a computation and a transfer take.
    pub delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { dma: true, reset: false, delay: Duration::from_millis(1) }
    }
}

/// The model. Its engine runs on a thread of its own, which ends with it.
#[derive(Debug)]
pub struct Edu {
    hardware: Arc<Hardware>,
    engine: Option<JoinHandle<()>>,
    options: Options,
}

impl Edu {
    /// A device as the emulator's, behind an IOMMU.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn new() -> Result<Self> {
        Self::with(Options::default())
    }

    /// A device as `options` say.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn with(options: Options) -> Result<Self> {
        let hardware = Arc::new(Hardware::new(SimLine::new()?, options.delay));
        let running = Arc::clone(&hardware);
        let engine = std::thread::Builder::new()
            .name("sim/edu".to_owned())
            .spawn(move || running.run())
            .map_err(|error| Error::from_io(&error, "cannot start", "simulated edu"))?;
        Ok(Self { hardware, engine: Some(engine), options })
    }

    /// Handles to this device that may go anywhere.
    pub fn controls(&self) -> Controls {
        Controls(Arc::clone(&self.hardware))
    }
}

impl Model for Edu {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        vec![("mmio".to_owned(), Arc::clone(&self.hardware) as Arc<dyn RegionModel>)]
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.hardware.line))
    }

    fn pci_id(&self) -> Option<Id> {
        Some(ID)
    }

    fn config(&self) -> Option<Arc<dyn ConfigAccess>> {
        Some(Arc::clone(&self.hardware.config) as Arc<dyn ConfigAccess>)
    }

    fn vectors(&self) -> Vec<Arc<SimVector>> {
        vec![Arc::clone(&self.hardware.vector)]
    }

    fn dma(&self) -> Option<Arc<DmaBus>> {
        self.options.dma.then(|| Arc::clone(&self.hardware.bus))
    }

    fn reset(&self) -> bool {
        if self.options.reset {
            self.hardware.reset();
        }
        self.options.reset
    }
}

impl Drop for Edu {
    fn drop(&mut self) {
        self.hardware.stop();
        if let Some(engine) = self.engine.take() {
            // An engine that panicked has said so already.
            let _ = engine.join();
        }
    }
}

/// Handles to one simulated `edu`, for whoever plays the world around it.
#[derive(Debug, Clone)]
pub struct Controls(Arc<Hardware>);

impl Controls {
    /// Interrupts raised so far, those that were lost too.
    pub fn raised(&self) -> u64 {
        self.0.state().raised
    }

    /// Raises an interrupt with these bits of IRQ_STATUS, for no reason.
    pub fn raise(&self, bits: u32) {
        self.0.raise(bits);
    }

    /// Has the next `count` interrupts get lost: IRQ_STATUS has them, and nothing is signalled.
    pub fn lose_interrupts(&self, count: u32) {
        self.0.state().to_lose = count;
    }

    /// Has computations and transfers not come to an end, until this is taken back.
    pub fn stall(&self, stalled: bool) {
        self.0.stall(stalled);
    }

    /// Every transfer so far, as the device saw it.
    pub fn transfers(&self) -> Vec<Transfer> {
        self.0.state().transfers.clone()
    }

    /// The transfer that would have ended the emulator and the machine in it. The device is dead since.
    pub fn crash(&self) -> Option<Transfer> {
        self.0.state().crash
    }

    /// What is in the device's buffer, 4096 bytes.
    pub fn buffer(&self) -> Vec<u8> {
        self.0.state().buffer.to_vec()
    }

    /// Whether a driver lets the device master the bus.
    pub fn is_master(&self) -> bool {
        self.0.is_master()
    }

    /// Whether the driver takes messages, and not the line.
    pub fn uses_messages(&self) -> bool {
        self.0.vector.is_enabled()
    }

    /// Pulls the device out.
    pub fn unplug(&self) {
        self.0.line.unplug();
        self.0.vector.unplug();
    }
}
