//! The hardware: the chip, the time that passes for it, and its interrupt line.
//!
//! # Lock order
//!
//! The state, then the line's, which is a leaf: it follows the chip under the state's lock, so that its last word
//! is the chip's.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uio_core::device::sim::SimLine;
use uio_core::io::{RegionModel, Width};

use crate::chip::{Chip, Mistake, REGION_BYTES};
use crate::{Options, Time};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) chip: Chip,
    /// Accesses that come before a second ends.
    pub(crate) tick_before: Option<usize>,
    pub(crate) mistakes: usize,
    /// The real time that has been told to the chip; `None`: its time passes by hand.
    told: Option<Instant>,
    ends: bool,
}

impl State {
    /// Tells the chip of the seconds that have passed for everybody.
    fn catch_up(&mut self) {
        let Some(told) = &mut self.told else { return };
        let seconds = u32::try_from(told.elapsed().as_secs()).unwrap_or(u32::MAX);
        *told += Duration::from_secs(seconds.into());
        self.chip.advance(seconds);
    }

    /// How long until the interrupt is to be raised, if it can be.
    fn until_match(&self) -> Option<Duration> {
        let told = self.told.filter(|_| self.chip.is_unmasked() && !self.chip.interrupts())?;
        let seconds = self.chip.seconds_to_match()?;
        let at = told + Duration::from_secs(seconds.into());
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn count_access(&mut self) {
        self.tick_before = match self.tick_before {
            Some(0) => {
                self.chip.advance(1);
                None
            }
            left => left.map(|left| left - 1),
        };
    }
}

/// See the [module](self).
pub(crate) struct Hardware {
    line: Arc<SimLine>,
    state: Mutex<State>,
    /// The ticker waits here for something to change.
    changed: Condvar,
}

impl Hardware {
    pub(crate) fn new(options: Options, line: Arc<SimLine>) -> Self {
        let Options { comparator, ids, start, started, time } = options;
        let state = State {
            chip: Chip::new(comparator, ids, start, started),
            tick_before: None,
            mistakes: 0,
            told: (time == Time::Real).then(Instant::now),
            ends: false,
        };
        Self { line, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Does something to the chip, and has the line follow.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        state.catch_up();
        let result = act(&mut state);
        self.line.set_level(state.chip.interrupts());
        self.changed.notify_all();
        result
    }

    pub(crate) fn line(&self) -> &Arc<SimLine> {
        &self.line
    }

    /// The ticker's thread: raises the interrupt when its time has come, also when nobody looks at the chip.
    pub(crate) fn run(&self) {
        let mut state = self.state();
        while !state.ends {
            state.catch_up();
            self.line.set_level(state.chip.interrupts());
            state = match state.until_match() {
                Some(span) => self.wait_for(state, span),
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn wait_for<'a>(&self, state: MutexGuard<'a, State>, span: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, span);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn stop(&self) {
        self.state().ends = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An access of the driver, which may be a mistake.
    fn access<R>(
        &self,
        (offset, width): (usize, Width),
        otherwise: R,
        act: impl FnOnce(&mut Chip) -> Result<R, Mistake>,
    ) -> R {
        self.with(|state| {
            state.count_access();
            let fits = width == Width::U32 && offset.is_multiple_of(4);
            let result = if fits { act(&mut state.chip) } else { Err(Mistake) };
            result.unwrap_or_else(|Mistake| {
                state.mistakes += 1;
                otherwise
            })
        })
    }
}

impl RegionModel for Hardware {
    fn size(&self) -> usize {
        REGION_BYTES
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        // What is not there reads as zero, as in the emulator.
        self.access((offset, width), 0, |chip| chip.read(offset).map(u64::from))
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        // CAST: a register has 32 bits.
        self.access((offset, width), (), |chip| chip.write(offset, value as u32));
    }
}
