//! QEMU's edu device by its registers alone, for stories of the library that go without a driver.
//!
//! See `docs/specs/edu.rst` of QEMU. Registers below 0x80 take accesses of 4 bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec, OpenOptions};
use uio_core::io::{Io, IoRegion};
use uio_core::irq::{Dispatcher, Flags, Handler, IrqLine, IrqReturn, Registration};

use crate::pci::Function;
use crate::wait;

const ID: usize = 0x00;
const LIVENESS: usize = 0x04;
const FACTORIAL: usize = 0x08;
const STATUS: usize = 0x20;
const IRQ_STATUS: usize = 0x24;
const IRQ_RAISE: usize = 0x60;
const IRQ_ACK: usize = 0x64;
const DMA_FROM: usize = 0x80;
const DMA_TO: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

const COMPUTING: u32 = 0x01;
const IRQ_WHEN_DONE: u32 = 0x80;
const DMA_START: u64 = 1;
const DMA_TO_MEMORY: u64 = 2;

/// Where the device has its own 4096 bytes.
const BUFFER: u64 = 0x4_0000;

/// An interrupt status that nobody uses otherwise.
pub const RAISED: u32 = 0x10;

/// An open edu.
#[derive(Debug)]
pub struct Edu {
    /// The device.
    pub device: Arc<Device>,
    /// Its registers.
    pub regs: IoRegion,
}

/// Opens a function as `uiod` would.
///
/// # Panics
///
/// If it does not open.
pub fn open_device(function: Function, dispatcher: &Dispatcher) -> Arc<Device> {
    try_open_device(function, &OpenOptions::default(), dispatcher)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The same with options, where it may fail.
///
/// # Errors
///
/// Why it does not open.
pub fn try_open_device(
    function: Function,
    options: &OpenOptions,
    dispatcher: &Dispatcher,
) -> uio_core::Result<Arc<Device>> {
    let spec = DeviceSpec::Pci(function.address());
    Device::open_with(&spec, options, dispatcher, &Models::new())
}

impl Edu {
    /// Opens an edu.
    ///
    /// # Panics
    ///
    /// If it does not open.
    pub fn open(function: Function, dispatcher: &Dispatcher) -> Self {
        Self::of(open_device(function, dispatcher))
    }

    /// The edu that has been opened.
    ///
    /// # Panics
    ///
    /// If its registers cannot be mapped.
    pub fn of(device: Arc<Device>) -> Self {
        let regs = device.region(0, 0x100).expect("its registers");
        Self { device, regs }
    }

    /// Its identification register.
    pub fn id(&self) -> u32 {
        self.regs.read32(ID)
    }

    /// Writes a number and reads what the device makes of it: its inverse.
    pub fn inverted(&self, number: u32) -> u32 {
        self.regs.write32(LIVENESS, number);
        self.regs.read32(LIVENESS)
    }

    /// Has it compute, and raise an interrupt at the end.
    ///
    /// # Panics
    ///
    /// If it does not come to an end.
    pub fn factorial(&self, number: u32) -> u32 {
        self.regs.write32(STATUS, IRQ_WHEN_DONE);
        self.regs.write32(FACTORIAL, number);
        wait::until("the factorial", || self.regs.read32(STATUS) & COMPUTING == 0);
        self.regs.read32(FACTORIAL)
    }

    /// Has it raise an interrupt.
    pub fn raise(&self) {
        self.regs.write32(IRQ_RAISE, RAISED);
    }

    /// Has it copy memory into its buffer, from an address as the device sees it.
    ///
    /// # Panics
    ///
    /// If it does not come to an end.
    pub fn read_memory(&self, iova: u64, count: u64) {
        self.copy(iova, BUFFER, count, DMA_START);
    }

    /// Has it copy its buffer into memory.
    ///
    /// # Panics
    ///
    /// If it does not come to an end.
    pub fn write_memory(&self, iova: u64, count: u64) {
        self.copy(BUFFER, iova, count, DMA_START | DMA_TO_MEMORY);
    }

    fn copy(&self, from: u64, to: u64, count: u64, command: u64) {
        assert!(count <= 2048, "the emulator crashes at the end of the buffer");
        self.regs.write64(DMA_FROM, from);
        self.regs.write64(DMA_TO, to);
        self.regs.write64(DMA_COUNT, count);
        self.regs.write64(DMA_COMMAND, command);
        wait::until("the transfer", || self.regs.read64(DMA_COMMAND) & DMA_START == 0);
    }

    /// Counts its interrupts on `line`, and acknowledges them.
    ///
    /// # Panics
    ///
    /// If the line cannot be had.
    pub fn count_on(&self, line: &IrqLine) -> (Registration, Arc<Counter>) {
        let counter = Arc::new(Counter { regs: self.regs.clone(), count: AtomicU64::new(0) });
        let handler = Arc::clone(&counter) as Arc<dyn Handler>;
        let held = Registration::request(line, Flags::empty(), "edu", handler);
        (held.unwrap_or_else(|error| panic!("{error}")), counter)
    }
}

/// A handler that acknowledges and counts.
#[derive(Debug)]
pub struct Counter {
    regs: IoRegion,
    count: AtomicU64,
}

impl Counter {
    /// Interrupts so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until there were so many.
    ///
    /// # Panics
    ///
    /// If they do not come.
    pub fn wait_for(&self, number: u64) {
        wait::until("interrupts of the edu", || self.count() >= number);
    }
}

impl Handler for Counter {
    fn handle(&self) -> IrqReturn {
        let status = self.regs.read32(IRQ_STATUS);
        if status == 0 {
            return IrqReturn::None;
        }
        self.regs.write32(IRQ_ACK, status);
        self.count.fetch_add(1, Ordering::SeqCst);
        IrqReturn::Handled
    }
}
