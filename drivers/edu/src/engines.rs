//! Both engines of the device, and the watch over them.
//!
//! # The watch
//!
//! A work item looks when a job may be overdue, and again as long as one runs: one look for each [`DEADLINE`] of
//! work, however many jobs. A job that has ended, of which the interrupt was lost, is ended by it, and counted. One
//! that has not is given up with `ETIMEDOUT`; then the device is reset if it has a reset, which ends what the other
//! engine does too (`EIO`). If it has none, the engine is stuck until it comes to an end by itself.
//!
//! A reset sleeps, so that this is work and not a timer.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use uio_core::device::Device;
use uio_core::error::{Errno, Result};
use uio_core::io::{Io, IoRegion};
use uio_core::workqueue::{DelayedWork, schedule_delayed_work};

use crate::dma::DmaUnit;
use crate::engine::{DEADLINE, Engine, Health, Unit, Waits};
use crate::factorial::FactorialUnit;
use crate::regs::Status;
use crate::stats::{Stats, count};

/// How long a device that the kernel wants back is waited for: a transfer of the emulator takes 100 ms.
const LAST_TRANSFER: Duration = Duration::from_millis(400);

/// The device, as far as the engines need all of it.
pub(crate) struct Whole {
    pub(crate) device: Arc<Device>,
    pub(crate) regs: IoRegion,
    /// It has a reset.
    pub(crate) resets: bool,
    /// It does DMA, or its interrupts are messages.
    pub(crate) masters: bool,
}

impl Whole {
    /// Has the device raise interrupts, and master the bus if it is to.
    pub(crate) fn enable(&self) -> Result<()> {
        self.regs.write(Status::default().with(Status::RAISE_WHEN_DONE, true));
        if self.masters { self.device.set_master() } else { Ok(()) }
    }

    /// Undoes `enable`. A device that is gone is quiet.
    pub(crate) fn disable(&self) {
        let _ = self.regs.try_write(Status::default());
        if self.masters {
            let _ = self.device.clear_master();
        }
    }
}

/// See the [module](self).
pub(crate) struct Engines {
    pub(crate) factorial: Engine<FactorialUnit>,
    /// `None` where there is no IOMMU.
    pub(crate) dma: Option<Engine<DmaUnit>>,
    pub(crate) waits: Waits,
    pub(crate) stats: Arc<Stats>,
    pub(crate) whole: Whole,
    watch: OnceLock<DelayedWork>,
}

impl Engines {
    pub(crate) fn new(whole: Whole, dma: Option<DmaUnit>, stats: Arc<Stats>) -> Arc<Self> {
        let waits = Waits::default();
        let unit = FactorialUnit { regs: whole.regs.clone(), stats: Arc::clone(&stats) };
        let engines = Arc::new(Self {
            factorial: Engine::new(unit, waits.clone()),
            dma: dma.map(|unit| Engine::new(unit, waits.clone())),
            waits,
            stats,
            whole,
            watch: OnceLock::new(),
        });
        let weak: Weak<Self> = Arc::downgrade(&engines);
        let look = move || {
            if let Some(engines) = weak.upgrade() {
                engines.look();
            }
        };
        let _first = engines.watch.set(DelayedWork::new("edu", Arc::new(look)));
        engines
    }

    /// Something was queued: somebody looks after it.
    pub(crate) fn watch(&self) {
        self.watch_in(DEADLINE);
    }

    /// Takes no more requests, and waits a moment for what runs. Sleeps.
    pub(crate) fn close(&self, errno: Errno) {
        self.factorial.close(errno);
        if let Some(dma) = &self.dma {
            dma.close(errno);
            let _ended = self.waits.write.wait_until_timeout(LAST_TRANSFER, || dma.is_idle());
        }
    }

    /// Ends the watch, and waits for a look that is under way.
    pub(crate) fn end_watch(&self) {
        if let Some(watch) = self.watch.get() {
            watch.work().disable_sync();
            watch.cancel_sync();
        }
    }

    fn watch_in(&self, time: Duration) {
        if let Some(watch) = self.watch.get() {
            let _pending = schedule_delayed_work(watch, time);
        }
    }

    /// The work item.
    fn look(&self) {
        let factorial = self.look_at(&self.factorial);
        let dma = self.dma.as_ref().and_then(|dma| self.look_at(dma));
        if let Some(time) = factorial.into_iter().chain(dma).min() {
            self.watch_in(time);
        }
    }

    /// Looks after one engine. When to look again, if at all.
    fn look_at<U: Unit>(&self, engine: &Engine<U>) -> Option<Duration> {
        match engine.check() {
            Health::Idle => None,
            Health::Busy(left) => Some(left),
            Health::Missed => {
                count(&self.stats.lost_interrupts, 1);
                let name = self.whole.device.name();
                tracing::warn!("{name}: an interrupt was lost; what it was about has been found");
                Some(DEADLINE)
            }
            Health::Overdue => {
                self.recover(engine);
                Some(DEADLINE)
            }
        }
    }

    /// A job of `engine` did not come to an end.
    fn recover<U: Unit>(&self, engine: &Engine<U>) {
        count(&self.stats.timeouts, 1);
        let name = self.whole.device.name();
        if !self.whole.resets {
            tracing::error!("{name}: an engine does not stop; it is left alone until it does");
            return engine.fail_waiting(Errno::EIO);
        }
        tracing::error!("{name}: an engine does not stop; the device is reset");
        self.factorial.give_up(Errno::EIO);
        self.dma.iter().for_each(|dma| dma.give_up(Errno::EIO));
        match self.whole.device.reset().and_then(|()| self.whole.enable()) {
            Ok(()) => self.each(|| self.factorial.resume(), Engine::resume),
            Err(error) => {
                tracing::error!("{error}");
                self.each(
                    || self.factorial.fail_waiting(Errno::EIO),
                    |dma| dma.fail_waiting(Errno::EIO),
                );
            }
        }
    }

    fn each(&self, factorial: impl FnOnce(), dma: impl Fn(&Engine<DmaUnit>)) {
        factorial();
        self.dma.iter().for_each(dma);
    }
}
