//! The engine that computes.

use std::sync::Arc;

use uio_core::error::Errno;
use uio_core::io::{Io, IoRegion};

use crate::engine::Unit;
use crate::regs::{Factorial, Status};
use crate::stats::{Stats, count};

/// A computation: the number, and then its factorial modulo 2^32.
#[derive(Debug)]
pub(crate) struct Computation(pub(crate) u32);

/// See the [module](self).
pub(crate) struct FactorialUnit {
    pub(crate) regs: IoRegion,
    pub(crate) stats: Arc<Stats>,
}

impl Unit for FactorialUnit {
    type Job = Computation;

    fn start(&self, job: &Computation) -> Result<(), Errno> {
        Ok(self.regs.try_write(Factorial::new(job.0))?)
    }

    fn is_busy(&self) -> Result<bool, Errno> {
        let status = self.regs.try_read::<Status>()?;
        // Most bits of it are never set.
        if status.raw() == u32::MAX {
            Err(Errno::ENODEV)
        } else {
            Ok(status.get(Status::COMPUTING))
        }
    }

    fn finish(&self, job: &mut Computation) -> Result<(), Errno> {
        job.0 = self.regs.try_read::<Factorial>()?.raw();
        count(&self.stats.computed, 1);
        Ok(())
    }
}
