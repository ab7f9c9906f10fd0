//! The device's side: a model, so that the driver runs without the hardware.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uio_core::Result;
use uio_core::device::sim::{Model, SimLine};
use uio_core::io::{RegionModel, Register, Width};

use crate::{Eyes, ID, Id, SIZE, Throw};

/// A simulated pair of dice with one die.
#[derive(Debug)]
pub struct DiceModel(Arc<Registers>);

#[derive(Debug)]
struct Registers {
    throws: AtomicU64,
    line: Arc<SimLine>,
}

impl DiceModel {
    /// A die on the table.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the process has no descriptors left.
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::new(Registers { throws: AtomicU64::new(0), line: SimLine::new()? })))
    }
}

impl Model for DiceModel {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        vec![("regs".to_owned(), Arc::clone(&self.0) as Arc<dyn RegionModel>)]
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.0.line))
    }
}

impl RegionModel for Registers {
    fn size(&self) -> usize {
        SIZE
    }

    fn read(&self, offset: usize, _width: Width) -> u64 {
        match offset {
            Id::OFFSET => ID.into(),
            // Every throw is another one, and every model throws the same.
            Eyes::OFFSET => self.throws.load(Ordering::Relaxed) * 5 % 6 + 1,
            _ => 0,
        }
    }

    fn write(&self, offset: usize, _width: Width, _value: u64) {
        if offset == Throw::OFFSET {
            self.throws.fetch_add(1, Ordering::Relaxed);
            self.line.raise();
        }
    }
}
