//! A channel of the DMA engine of Xilinx ZynqMP and Versal as a simulated model: the registers of simple mode, a
//! carve-out at a bus address, and the faults that a driver must live with.
//!
//! | region 0 `regs` | name | reset | | meaning |
//! | --- | --- | --- | --- | --- |
//! | 0x100 | ISR | 0 | rw1c | why: 10 done, 9 write refused, 8 read refused, 7 and 6 descriptor, 3 byte count overflow, 0 bad register |
//! | 0x104 | IMR | 0xfff | ro | which of them raise nothing |
//! | 0x108 | IEN | | wo | clears bits of IMR |
//! | 0x10c | IDS | | wo | sets bits of IMR |
//! | 0x110 | CTRL0 | 0x80 | rw | modes; bit 6, linked mode, is not modelled: AXI_RD_SRC_DSCR |
//! | 0x114, 0x118 | CTRL1, FCI | 0x3ff, 0 | rw | nothing here |
//! | 0x11c | STATUS | 0 | ro | 0 idle, 2 at work, 3 idle after an error |
//! | 0x120, 0x124 | DATA_ATTR, DSCR_ATTR | 0x483d20f, 0 | rw | nothing here |
//! | 0x128 to 0x134 | SRC_DSCR_WORD0 to 3 | 0 | rw | address low, high (17 bits), size (30 bits), control |
//! | 0x138 to 0x144 | DST_DSCR_WORD0 to 3 | 0 | rw | the same; the size is that of the source |
//! | 0x188 | TOTAL_BYTE | 0 | rw1c | bytes moved |
//! | 0x190, 0x194 | IRQ_SRC_ACCT, IRQ_DST_ACCT | 0 | ro | cleared by a read |
//! | 0x200 | CTRL2 | 0 | rw | bit 0: start; cleared at the end; a 0 that is written stops |
//!
//! Registers take accesses of 4 bytes. Any other address, or width, is INV_APB and reads as 0.
//!
//! Region 1 `buf` is memory at [`MEMORY`]. A copy that leaves it meets nothing on the bus, and is refused.
//!
//! From UG1087 (module `ZDMA`), and the same as the emulator's, but for one thing: here a copy takes its time, and STATUS
//! says so.
#![forbid(unsafe_code)]

mod hardware;
mod memory;
mod state;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use uio_core::Result;
use uio_core::device::sim::{Model, SimLine};
use uio_core::error::Error;
use uio_core::io::RegionModel;
use uio_core::of::Node;

use hardware::Hardware;
pub use state::Transfer;

/// The bus address of the carve-out.
pub const MEMORY: u64 = 0x3000_0000;
/// Where the registers are, for the device tree.
const REGS: u64 = 0xFFA8_0000;

/// What the device is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of the carve-out; with 0, the device tree has none.
    pub memory: usize,
    /// How long a copy takes.
    pub delay: Duration,
    /// What the device tree says of the width of the bus, in bits.
    pub bus_width: u32,
    /// Whether it says that the engine sees the CPU's caches.
    pub is_coherent: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory: 1 << 20,
            delay: Duration::from_micros(100),
            bus_width: 64,
            is_coherent: false,
        }
    }
}

/// The model. Its engine runs on a thread of its own, which ends with it.
#[derive(Debug)]
pub struct ZynqmpDma {
    hardware: Arc<Hardware>,
    engine: Option<JoinHandle<()>>,
    options: Options,
}

impl ZynqmpDma {
    /// A channel with 1 MiB.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn new() -> Result<Self> {
        Self::with(Options::default())
    }

    /// A channel as `options` say.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors or threads left.
    pub fn with(options: Options) -> Result<Self> {
        let hardware = Arc::new(Hardware::new(SimLine::new()?, &options));
        let running = Arc::clone(&hardware);
        let engine = std::thread::Builder::new()
            .name("sim/zynqmp-dma".to_owned())
            .spawn(move || running.run())
            .map_err(|error| Error::from_io(&error, "cannot start", "simulated zynqmp-dma"))?;
        Ok(Self { hardware, engine: Some(engine), options })
    }

    /// Handles to this device that may go anywhere.
    pub fn controls(&self) -> Controls {
        Controls(Arc::clone(&self.hardware))
    }
}

impl Model for ZynqmpDma {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        let mut regions: Vec<(String, Arc<dyn RegionModel>)> =
            vec![("regs".to_owned(), Arc::clone(&self.hardware) as _)];
        if self.options.memory != 0 {
            regions.push(("buf".to_owned(), Arc::clone(&self.hardware.memory) as _));
        }
        regions
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.hardware.line))
    }

    fn of_node(&self) -> Option<Node> {
        let node = Node::new("/dma@ffa80000")
            .with_compatible(&["xlnx,zynqmp-dma-1.0", "generic-uio"])
            .with_u32s("xlnx,bus-width", &[self.options.bus_width])
            .with_reg(Some("regs"), REGS, 0x1000);
        let node = match self.options.is_coherent {
            true => node.with_property("dma-coherent", Vec::new()),
            false => node,
        };
        // CAST: a usize has at most 64 bits on Linux.
        Some(match self.options.memory {
            0 => node,
            bytes => node.with_reg(Some("buf"), MEMORY, bytes as u64),
        })
    }
}

impl Drop for ZynqmpDma {
    fn drop(&mut self) {
        self.hardware.stop();
        if let Some(engine) = self.engine.take() {
            // An engine that panicked has said so already.
            let _ = engine.join();
        }
    }
}

/// Handles to one simulated channel, for whoever plays the world around it.
#[derive(Debug, Clone)]
pub struct Controls(Arc<Hardware>);

impl Controls {
    /// Every copy so far, in order of its end.
    pub fn transfers(&self) -> Vec<Transfer> {
        self.0.state().transfers.clone()
    }

    /// How many writes the registers have seen.
    pub fn register_writes(&self) -> u64 {
        self.0.state().writes
    }

    /// The value of a register, without its side effects.
    pub fn register(&self, offset: usize) -> u32 {
        self.0.state().peek(offset)
    }

    /// Has the next copy fail with these bits of ISR, half done.
    pub fn fail_next(&self, bits: u32) {
        self.0.state().fail = bits;
    }

    /// Has the next copy say that it is done, and count only so many bytes.
    pub fn fall_short_next(&self, moved: u32) {
        self.0.state().short = Some(moved);
    }

    /// Has copies not come to an end, until this is taken back.
    pub fn stall(&self, stalled: bool) {
        self.0.change(|state| state.stalled = stalled);
    }

    /// Has the channel not stop when it is told to, until this is taken back.
    pub fn ignore_stop(&self, ignores: bool) {
        self.0.change(|state| state.ignores_stop = ignores);
    }

    /// Has the next `count` interrupts get lost: ISR has them, and nothing is signalled.
    pub fn lose_interrupts(&self, count: u32) {
        self.0.change(|state| state.to_lose = count);
    }

    /// Sets bits of ISR, for no reason.
    pub fn raise(&self, bits: u32) {
        self.0.raise(bits);
    }

    /// Lets TOTAL_BYTE be so many.
    pub fn set_total(&self, bytes: u32) {
        self.0.state().set_total(bytes);
    }

    /// Bytes of the carve-out.
    pub fn memory(&self, offset: usize, len: usize) -> Vec<u8> {
        self.0.memory.bytes()[offset..offset + len].to_vec()
    }

    /// Pulls the device out.
    pub fn unplug(&self) {
        self.0.line.unplug();
    }
}

#[cfg(test)]
mod tests;
