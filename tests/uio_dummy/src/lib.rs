//! `uio_dummy`, the reference device, as a simulated model. Its twin is `uio_dummy.c` beside this crate; one
//! conformance test (`tests/conformance.rs`) holds the two together.
//!
//! | region 0 `regs` | name | writer | meaning |
//! | --- | --- | --- | --- |
//! | 0x00 | ID | device | 0x5544_4D59 |
//! | 0x04 | VERSION | device | 1 |
//! | 0x08 | FIFO_BYTES | device | size of each FIFO, a power of two |
//! | 0x0C | TICKS | device | timer expiries since ENABLE |
//! | 0x10 | TX_TAIL | device | bytes taken from TX, free-running |
//! | 0x14 | RX_HEAD | device | bytes put into RX, free-running |
//! | 0x18 | RAISED | device | interrupts raised since load |
//! | 0x40 | CTRL | driver | bit 0 ENABLE, bit 1 LOOPBACK, bit 2 TICK_IRQ |
//! | 0x44 | PERIOD_US | driver | 50 to 1,000,000, clamped; 0 means 1000 |
//! | 0x48 | TX_HEAD | driver | bytes put into TX, free-running |
//! | 0x4C | RX_TAIL | driver | bytes taken from RX, free-running |
//!
//! Region 1 `fifo`: TX bytes, then RX bytes.
//!
//! The registers are memory, as in the module: a write has no effect of its own, and the timer finds it at its
//! next expiry. The one thing that the model does better is to sleep while ENABLE is clear.
#![forbid(unsafe_code)]

mod memory;
mod timer;

use std::sync::Arc;
use std::thread::JoinHandle;

use uio_core::Result;
use uio_core::device::sim::{Model, SimLine};
use uio_core::error::Error;
use uio_core::io::RegionModel;

use timer::Hardware;

/// Bytes of each FIFO, as the module has by default.
pub const FIFO_BYTES: u32 = 64 * 1024;

/// Handles to one simulated `uio_dummy`, for whoever plays the world around it.
#[derive(Debug, Clone)]
pub struct Controls(Arc<Hardware>);

impl Controls {
    /// Raises `events` interrupts back to back: the module's `storm` attribute.
    pub fn storm(&self, events: u32) {
        (0..events).for_each(|_| self.0.raise());
    }

    /// Interrupts raised so far: the module's `raised` attribute.
    pub fn raised(&self) -> u32 {
        self.0.raised()
    }

    /// Pulls the device out: what unbinding does to the module's.
    pub fn unplug(&self) {
        self.0.line.unplug();
    }
}

/// The model. Its timer runs on a thread of its own, which ends with it.
#[derive(Debug)]
pub struct UioDummy {
    hardware: Arc<Hardware>,
    timer: Option<JoinHandle<()>>,
}

impl UioDummy {
    /// A device with FIFOs of [`FIFO_BYTES`].
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn new() -> Result<Self> {
        Self::with_fifo_bytes(FIFO_BYTES)
    }

    /// A device with FIFOs of `bytes`, rounded up to a power of two.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn with_fifo_bytes(bytes: u32) -> Result<Self> {
        let hardware = Arc::new(Hardware::new(bytes.next_power_of_two(), SimLine::new()?));
        let running = Arc::clone(&hardware);
        let timer = std::thread::Builder::new()
            .name("sim/uio_dummy".to_owned())
            .spawn(move || running.run())
            .map_err(|error| Error::from_io(&error, "cannot start", "simulated uio_dummy"))?;
        Ok(Self { hardware, timer: Some(timer) })
    }

    /// Handles to this device that may go anywhere.
    pub fn controls(&self) -> Controls {
        Controls(Arc::clone(&self.hardware))
    }
}

impl Model for UioDummy {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        vec![
            ("regs".to_owned(), self.hardware.registers()),
            ("fifo".to_owned(), self.hardware.fifo()),
        ]
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.hardware.line))
    }
}

impl Drop for UioDummy {
    fn drop(&mut self) {
        self.hardware.stop();
        if let Some(timer) = self.timer.take() {
            // A timer that panicked has said so already.
            let _ = timer.join();
        }
    }
}
