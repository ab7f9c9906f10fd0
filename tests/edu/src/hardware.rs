//! The hardware: registers that take effect when they are written, an engine that takes its time, interrupts.
//!
//! # Lock order
//!
//! The state's lock, then those of the line, the vector and the bus, which are leaves. An interrupt is signalled
//! under it, so that the level of the line and IRQ_STATUS agree.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uio_core::device::sim::{DmaBus, SimConfig, SimLine, SimVector};
use uio_core::io::{RegionModel, Width};
use uio_core::pci::Command;

use crate::ID;
use crate::state::{COMPUTING, RAISE_WHEN_DONE, RUN, State};

const REGION_BYTES: usize = 1 << 20;
const ID_VALUE: u32 = 0x0100_00ED;

const FACTORIAL_IRQ: u32 = 0x001;
const DMA_IRQ: u32 = 0x100;

/// What a register that is not there, or not with this width, reads as.
const ONES: u64 = u64::MAX;

pub(crate) struct Hardware {
    state: Mutex<State>,
    /// The engine waits here for something to do.
    changed: Condvar,
    delay: Duration,
    pub(crate) config: Arc<SimConfig>,
    pub(crate) line: Arc<SimLine>,
    pub(crate) vector: Arc<SimVector>,
    pub(crate) bus: Arc<DmaBus>,
}

impl Hardware {
    pub(crate) fn new(line: Arc<SimLine>, delay: Duration) -> Self {
        Self {
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            delay,
            config: SimConfig::new(&ID, true),
            line,
            vector: SimVector::new(),
            bus: DmaBus::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_master(&self) -> bool {
        self.config.command().contains(Command::MASTER)
    }

    pub(crate) fn stall(&self, stalled: bool) {
        self.state().stalled = stalled;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.state().ends = true;
        self.changed.notify_all();
    }

    pub(crate) fn reset(&self) {
        let mut state = self.state();
        state.reset();
        self.line.set_level(false);
    }

    pub(crate) fn raise(&self, bits: u32) {
        self.raise_irq(&mut self.state(), bits);
    }

    /// The engine's thread.
    pub(crate) fn run(&self) {
        let mut state = self.state();
        loop {
            let idle = |state: &mut State| !state.ends && !state.has_work();
            let woken = self.changed.wait_while(state, idle);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            // What takes its time is not over at once; whoever ends the device ends that too.
            let busy = |state: &mut State| !state.ends;
            let waited = self.changed.wait_timeout_while(state, self.delay, busy);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ends {
                return;
            }
            if state.has_work() {
                self.work(&mut state);
            }
        }
    }

    fn work(&self, state: &mut State) {
        if state.compute() {
            self.raise_irq(state, FACTORIAL_IRQ);
        }
        if state.transfer(&self.bus, self.is_master()) {
            self.raise_irq(state, DMA_IRQ);
        }
    }

    fn raise_irq(&self, state: &mut State, bits: u32) {
        state.irq_status |= bits;
        if state.irq_status == 0 {
            return;
        }
        state.raised += 1;
        if state.to_lose > 0 {
            state.to_lose -= 1;
            return;
        }
        if !self.vector.is_enabled() {
            self.line.set_level(true);
        } else if self.is_master() {
            // A message is a write to memory.
            self.vector.fire();
        }
    }

    fn acknowledge(&self, state: &mut State, bits: u32) {
        state.irq_status &= !bits;
        if state.irq_status == 0 {
            self.line.set_level(false);
        }
    }

    /// A write to one of the registers of 4 bytes.
    fn write_word(&self, state: &mut State, offset: usize, value: u32) {
        match offset {
            0x04 => state.liveness = !value,
            0x08 if state.status & COMPUTING == 0 => {
                state.factorial = value;
                state.status |= COMPUTING;
            }
            0x20 => {
                state.status = state.status & COMPUTING | value & RAISE_WHEN_DONE;
            }
            0x60 => self.raise_irq(state, value),
            0x64 => self.acknowledge(state, value),
            _ => {}
        }
    }
}

/// A write to one of the registers of DMA: while a transfer runs they take none.
fn write_dma(state: &mut State, offset: usize, value: u64) {
    if state.dma_cmd & RUN != 0 {
        return;
    }
    match offset {
        0x80 => state.dma_src = value,
        0x88 => state.dma_dst = value,
        0x90 => state.dma_count = value,
        0x98 if value & RUN != 0 => state.dma_cmd = value,
        _ => {}
    }
}

/// Whether a register takes accesses of this width.
fn takes(offset: usize, width: Width) -> bool {
    width == Width::U32 || width == Width::U64 && offset >= 0x80
}

impl RegionModel for Hardware {
    fn size(&self) -> usize {
        REGION_BYTES
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        let state = self.state();
        if state.crash.is_some() || !takes(offset, width) {
            return ONES;
        }
        match offset {
            0x00 => u64::from(ID_VALUE),
            0x04 => u64::from(state.liveness),
            0x08 => u64::from(state.factorial),
            0x20 => u64::from(state.status),
            0x24 => u64::from(state.irq_status),
            0x80 => state.dma_src,
            0x88 => state.dma_dst,
            0x90 => state.dma_count,
            0x98 => state.dma_cmd,
            _ => ONES,
        }
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        let mut state = self.state();
        if state.crash.is_some() || !takes(offset, width) {
            return;
        }
        if offset < 0x80 {
            // CAST: an access of 4 bytes.
            self.write_word(&mut state, offset, value as u32);
        } else {
            write_dma(&mut state, offset, value);
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl fmt::Debug for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Hardware")
            .field("irq_status", &state.irq_status)
            .field("raised", &state.raised)
            .field("crash", &state.crash)
            .finish_non_exhaustive()
    }
}
