//! The carve-out: memory that the driver and the engine reach.

use std::sync::{Mutex, MutexGuard, PoisonError};

use uio_core::io::{RegionModel, Width};

/// See the [module](self).
pub(crate) struct Memory(Mutex<Vec<u8>>);

impl Memory {
    /// `len` bytes, with something in them, as memory that was just reserved has.
    pub(crate) fn new(len: usize) -> Self {
        Self(Mutex::new(vec![0xA5; len]))
    }

    pub(crate) fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegionModel for Memory {
    fn size(&self) -> usize {
        self.bytes().len()
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        let mut word = [0; 8];
        self.copy_out(offset, &mut word[..width as usize]);
        u64::from_le_bytes(word)
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        self.copy_in(offset, &value.to_le_bytes()[..width as usize]);
    }

    fn copy_out(&self, offset: usize, buf: &mut [u8]) {
        buf.copy_from_slice(&self.bytes()[offset..offset + buf.len()]);
    }

    fn copy_in(&self, offset: usize, data: &[u8]) {
        self.bytes()[offset..offset + data.len()].copy_from_slice(data);
    }
}
