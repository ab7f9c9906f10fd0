//! BOTTOM HALF: drain the device into the rx ring, fill it from the tx ring, unmask the line.
//!
//! Runs as a tasklet: after each interrupt, when a writer put bytes into the tx ring, and when a reader made
//! room in an rx ring that had been full ([`Stall`]).

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use uio_core::io::{AccessError, Io, IoRegion};
use uio_core::irq::IrqLine;
use uio_core::ring::spsc::{Consumer, Producer};
use uio_core::sync::WaitQueue;

use crate::regs::{RxHead, RxTail, TxHead, TxTail};

/// The mask that the top half puts on the line and the bottom half takes off.
pub(crate) struct LineHold {
    line: IrqLine,
    held: AtomicBool,
}

impl LineHold {
    pub(crate) fn new(line: IrqLine) -> Self {
        Self { line, held: AtomicBool::new(false) }
    }

    /// Masks, once for any number of calls.
    pub(crate) fn mask(&self) {
        // The line first: a bottom half that sees the flag, in ksoftirqd beside this, must find the mask that
        // it takes off. AcqRel, both: the mask goes with the flag.
        self.line.mask();
        if self.held.swap(true, Ordering::AcqRel) {
            self.line.unmask();
        }
    }

    /// Takes the mask off, if it is on.
    fn unmask(&self) {
        if self.held.swap(false, Ordering::AcqRel) {
            self.line.unmask();
        }
    }
}

/// Says that bytes wait in the device for room in the rx ring.
///
/// # Why no byte is left behind
///
/// ```text
///   bottom half                          reader
///   B1  the ring is full: stalled = true R1  take bytes out of the ring
///   B2  fence(SeqCst)                    R2  fence(SeqCst)
///   B3  look at the ring again           R3  if stalled: schedule the bottom half
/// ```
///
/// If B2 is first, R3 sees the flag. If R2 is first, B3 sees the room, and drains on.
#[derive(Default)]
pub(crate) struct Stall(AtomicBool);

impl Stall {
    /// B1 and B2.
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// R2 and R3: whether the reader owes the bottom half a run.
    pub(crate) fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// The device's side of both rings, and where it stands in the FIFOs.
pub(crate) struct Ends {
    pub(crate) rx: Producer<u8>,
    pub(crate) tx: Consumer<u8>,
    pub(crate) rx_tail: u32,
    pub(crate) tx_head: u32,
}

pub(crate) struct BottomHalf {
    pub(crate) regs: IoRegion,
    pub(crate) fifo: IoRegion,
    pub(crate) fifo_bytes: u32,
    pub(crate) hold: Arc<LineHold>,
    pub(crate) stall: Arc<Stall>,
    pub(crate) read_wait: Arc<WaitQueue>,
    pub(crate) write_wait: Arc<WaitQueue>,
    pub(crate) ends: Mutex<Ends>,
}

impl BottomHalf {
    /// The tasklet's function.
    pub(crate) fn run(&self) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = self.drain(&mut ends).and_then(|drained| Ok((drained, self.fill(&mut ends)?)));
        drop(ends);
        // The device is gone: its node has been hung up, and its line takes no more.
        let Ok((drained, filled)) = moved else { return };
        if drained {
            self.read_wait.wake_all();
        }
        if filled {
            self.write_wait.wake_all();
        }
        self.hold.unmask();
    }

    /// RX FIFO to rx ring, as far as the ring has room. `true` if any byte moved.
    fn drain(&self, ends: &mut Ends) -> Result<bool, AccessError> {
        let mut drained = false;
        self.stall.clear();
        loop {
            let head = self.regs.try_read::<RxHead>()?.raw();
            let waiting = self.sane(head.wrapping_sub(ends.rx_tail));
            if waiting == 0 {
                return Ok(drained);
            }
            let moved = self.drain_run(ends, waiting)?;
            if moved != 0 {
                drained = true;
                continue;
            }
            self.stall.set();
            // B3.
            if ends.rx.is_full() {
                return Ok(drained);
            }
            self.stall.clear();
        }
    }

    /// Moves at most `waiting` bytes that do not wrap in the FIFO.
    fn drain_run(&self, ends: &mut Ends, waiting: u32) -> Result<usize, AccessError> {
        let (at, run) = self.run_at(ends.rx_tail, waiting);
        let from = self.fifo_bytes as usize + at;
        let mut result = Ok(());
        let moved = ends.rx.fill_with(run, |first, second| {
            let count = first.len() + second.len();
            result = self
                .fifo
                .memcpy_fromio(from, first)
                .and_then(|()| self.fifo.memcpy_fromio(from + first.len(), second));
            if result.is_ok() { count } else { 0 }
        });
        result?;
        // CAST: at most the size of the FIFO.
        ends.rx_tail = ends.rx_tail.wrapping_add(moved as u32);
        self.regs.try_write(RxTail::new(ends.rx_tail))?;
        Ok(moved)
    }

    /// tx ring to TX FIFO, as far as the FIFO has room. `true` if any byte moved.
    fn fill(&self, ends: &mut Ends) -> Result<bool, AccessError> {
        let mut filled = false;
        loop {
            let tail = self.regs.try_read::<TxTail>()?.raw();
            let room = self.fifo_bytes - self.sane(ends.tx_head.wrapping_sub(tail));
            let (at, run) = self.run_at(ends.tx_head, room);
            let mut result = Ok(());
            let moved = ends.tx.drain_with(run, |first, second| {
                let count = first.len() + second.len();
                result = self
                    .fifo
                    .memcpy_toio(at, first)
                    .and_then(|()| self.fifo.memcpy_toio(at + first.len(), second));
                if result.is_ok() { count } else { 0 }
            });
            result?;
            if moved == 0 {
                return Ok(filled);
            }
            filled = true;
            // CAST: at most the size of the FIFO.
            ends.tx_head = ends.tx_head.wrapping_add(moved as u32);
            self.regs.try_write(TxHead::new(ends.tx_head))?;
        }
    }

    /// Where position `index` lies in a FIFO, and how many of `count` bytes follow before it wraps.
    fn run_at(&self, index: u32, count: u32) -> (usize, usize) {
        let at = index & (self.fifo_bytes - 1);
        (at as usize, count.min(self.fifo_bytes - at) as usize)
    }

    /// A fill that the device reports, kept to what is possible: a device that dies may say anything.
    fn sane(&self, bytes: u32) -> u32 {
        bytes.min(self.fifo_bytes)
    }
}
