//! The hardware: a timer that reads what the driver wrote, moves bytes, and raises interrupts.
//!
//! Step by step the same as `dummy_timer` of `uio_dummy.c`.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uio_core::device::sim::SimLine;
use uio_core::io::RegionModel;

use crate::memory::{Fifo, Registers};

const ID: usize = 0x00;
const VERSION: usize = 0x04;
const FIFO_SIZE: usize = 0x08;
const TICKS: usize = 0x0C;
const TX_TAIL: usize = 0x10;
const RX_HEAD: usize = 0x14;
const RAISED: usize = 0x18;
const CTRL: usize = 0x40;
const PERIOD_US: usize = 0x44;
const TX_HEAD: usize = 0x48;
const RX_TAIL: usize = 0x4C;

const REGISTER_PAGE: usize = 4096;
const ID_VALUE: u32 = 0x5544_4D59;
const ENABLE: u32 = 1;
const LOOPBACK: u32 = 2;
const TICK_IRQ: u32 = 4;

/// What the timer carries from expiry to expiry.
#[derive(Default)]
struct Positions {
    was_enabled: bool,
    ticks: u32,
    tx_tail: u32,
    rx_head: u32,
}

/// Wakes the timer when CTRL is written or the device ends.
#[derive(Default)]
struct Wakeup {
    changed: Mutex<()>,
    condition: Condvar,
}

pub(crate) struct Hardware {
    registers: Arc<Registers>,
    fifo: Arc<Fifo>,
    fifo_bytes: u32,
    pub(crate) line: Arc<SimLine>,
    raised: AtomicU32,
    /// Held while RAISED is moved on and the line is told, so that the two agree.
    raising: Mutex<()>,
    wakeup: Arc<Wakeup>,
    stop: AtomicBool,
}

impl Hardware {
    pub(crate) fn new(fifo_bytes: u32, line: Arc<SimLine>) -> Self {
        let wakeup = Arc::new(Wakeup::default());
        let notified = Arc::clone(&wakeup);
        let registers = Arc::new(Registers::new(REGISTER_PAGE, move |offset| {
            if offset == CTRL {
                notified.wake();
            }
        }));
        registers.set(ID, ID_VALUE);
        registers.set(VERSION, 1);
        registers.set(FIFO_SIZE, fifo_bytes);
        Self {
            registers,
            fifo: Fifo::new(2 * fifo_bytes as usize),
            fifo_bytes,
            line,
            raised: AtomicU32::new(0),
            raising: Mutex::new(()),
            wakeup,
            stop: AtomicBool::new(false),
        }
    }

    pub(crate) fn registers(&self) -> Arc<dyn RegionModel> {
        self.registers.clone()
    }

    pub(crate) fn fifo(&self) -> Arc<dyn RegionModel> {
        self.fifo.clone()
    }

    pub(crate) fn raised(&self) -> u32 {
        self.raised.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self) {
        let _turn = self.raising.lock().unwrap_or_else(PoisonError::into_inner);
        let raised = self.raised.load(Ordering::Relaxed).wrapping_add(1);
        self.raised.store(raised, Ordering::Release);
        self.registers.set(RAISED, raised);
        self.line.raise();
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wakeup.wake();
    }

    /// The timer's thread.
    pub(crate) fn run(&self) {
        let mut positions = Positions::default();
        let mut expires = Instant::now();
        while self.sleep(&mut expires, &mut positions) {
            self.expire(&mut positions);
        }
    }

    /// Waits for ENABLE and for the next expiry. `false` when the device ends.
    fn sleep(&self, expires: &mut Instant, positions: &mut Positions) -> bool {
        let mut guard = self.wakeup.lock();
        loop {
            if self.stop.load(Ordering::Acquire) {
                return false;
            }
            if self.registers.get(CTRL) & ENABLE == 0 {
                positions.was_enabled = false;
                guard = self.wakeup.wait(guard);
                *expires = Instant::now() + self.period();
                continue;
            }
            let now = Instant::now();
            if now >= *expires {
                // What was missed is skipped, as `hrtimer_forward_now` does.
                *expires = (*expires + self.period()).max(now);
                return true;
            }
            guard = self.wakeup.wait_timeout(guard, *expires - now);
        }
    }

    fn expire(&self, positions: &mut Positions) {
        let ctrl = self.registers.get(CTRL);
        if !positions.was_enabled {
            positions.ticks = 0;
        }
        positions.was_enabled = true;
        positions.ticks = positions.ticks.wrapping_add(1);
        self.registers.set(TICKS, positions.ticks);
        let moved = ctrl & LOOPBACK != 0 && self.loop_back(positions);
        if moved || ctrl & TICK_IRQ != 0 {
            self.raise();
        }
    }

    /// Moves what is in TX to RX as far as RX has room. `true` if any byte moved.
    fn loop_back(&self, positions: &mut Positions) -> bool {
        let waiting = self.registers.get(TX_HEAD).wrapping_sub(positions.tx_tail);
        let held = positions.rx_head.wrapping_sub(self.registers.get(RX_TAIL));
        if waiting > self.fifo_bytes || held > self.fifo_bytes {
            // Nonsense from the driver.
            return false;
        }
        let count = waiting.min(self.fifo_bytes - held);
        if count == 0 {
            return false;
        }
        self.copy(positions.tx_tail, positions.rx_head, count);
        positions.tx_tail = positions.tx_tail.wrapping_add(count);
        positions.rx_head = positions.rx_head.wrapping_add(count);
        self.registers.set(RX_HEAD, positions.rx_head);
        self.registers.set(TX_TAIL, positions.tx_tail);
        true
    }

    /// Copies between the two rings, in runs that wrap in neither.
    fn copy(&self, mut from: u32, mut to: u32, mut count: u32) {
        let mask = self.fifo_bytes - 1;
        while count != 0 {
            let (source, target) = (from & mask, to & mask);
            let run = count.min(self.fifo_bytes - source).min(self.fifo_bytes - target);
            let target_at = self.fifo_bytes + target;
            self.fifo.copy(source as usize, target_at as usize, run as usize);
            from = from.wrapping_add(run);
            to = to.wrapping_add(run);
            count -= run;
        }
    }

    fn period(&self) -> Duration {
        let us = match self.registers.get(PERIOD_US) {
            0 => 1000,
            us => us.clamp(50, 1_000_000),
        };
        Duration::from_micros(u64::from(us))
    }
}

impl Wakeup {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Under the lock, so that it does not fall between the timer's look at CTRL and its wait.
        drop(self.lock());
        self.condition.notify_all();
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, ()>) -> MutexGuard<'a, ()> {
        self.condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_timeout<'a>(&self, guard: MutexGuard<'a, ()>, time: Duration) -> MutexGuard<'a, ()> {
        let waited = self.condition.wait_timeout(guard, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl fmt::Debug for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hardware")
            .field("fifo_bytes", &self.fifo_bytes)
            .field("raised", &self.raised())
            .finish_non_exhaustive()
    }
}
