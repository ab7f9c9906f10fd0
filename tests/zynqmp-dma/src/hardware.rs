//! The hardware: registers that take effect when they are written, an engine that takes its time, a level.
//!
//! # Lock order
//!
//! The state's lock, then the memory's, then that of the line. The level is set under the first, so that the line and
//! ISR agree.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uio_core::device::sim::SimLine;
use uio_core::io::{RegionModel, Width};

use crate::Options;
use crate::memory::Memory;
use crate::state::State;

const REGION_BYTES: usize = 0x1000;

pub(crate) struct Hardware {
    state: Mutex<State>,
    /// The engine waits here for something to do.
    changed: Condvar,
    delay: Duration,
    pub(crate) line: Arc<SimLine>,
    pub(crate) memory: Arc<Memory>,
}

impl Hardware {
    pub(crate) fn new(line: Arc<SimLine>, options: &Options) -> Self {
        Self {
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            delay: options.delay,
            line,
            memory: Arc::new(Memory::new(options.memory)),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, with what follows from it.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = change(&mut state);
        self.line.set_level(state.level());
        drop(state);
        self.changed.notify_all();
        result
    }

    pub(crate) fn raise(&self, bits: u32) {
        self.change(|state| state.raise(bits));
    }

    pub(crate) fn stop(&self) {
        self.change(|state| state.ends = true);
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
                state.transfer(&mut self.memory.bytes());
                self.line.set_level(state.level());
            }
        }
    }
}

impl RegionModel for Hardware {
    fn size(&self) -> usize {
        REGION_BYTES
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        self.change(|state| {
            if width == Width::U32 {
                return u64::from(state.read(offset));
            }
            state.misuse();
            0
        })
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        self.change(|state| match width {
            // CAST: an access of 4 bytes.
            Width::U32 => state.write(offset, value as u32),
            _ => state.misuse(),
        });
    }
}

impl fmt::Debug for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}
