//! Memory that the driver and the device share: words for the registers, bytes for the FIFOs.
//!
//! Every register has one writer, who stores with release what the other loads with acquire; so what was put
//! into a FIFO before its head moved is seen by whoever sees the head.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use uio_core::io::{RegionModel, Width};

/// A page of 32-bit registers. `written` is called after every write of the driver.
pub(crate) struct Registers {
    words: Box<[AtomicU32]>,
    written: Box<dyn Fn(usize) + Send + Sync>,
}

impl Registers {
    pub(crate) fn new(bytes: usize, written: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let words = (0..bytes / 4).map(|_| AtomicU32::new(0)).collect();
        Self { words, written: Box::new(written) }
    }

    /// The device reads.
    pub(crate) fn get(&self, offset: usize) -> u32 {
        self.words[offset / 4].load(Ordering::Acquire)
    }

    /// The device writes.
    pub(crate) fn set(&self, offset: usize, value: u32) {
        self.words[offset / 4].store(value, Ordering::Release);
    }

    /// Changes the bits of one word that a narrow access covers.
    fn merge(&self, offset: usize, width: Width, value: u64) {
        let shift = offset % 4 * 8;
        // CAST: a narrow access has at most 16 bits.
        let mask = ((1_u32 << (width as usize * 8)) - 1) << shift;
        let bits = (value as u32) << shift & mask;
        // PANIC: the closure always gives a value.
        self.words[offset / 4]
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(old & !mask | bits))
            .expect("the update always has a value");
    }
}

impl RegionModel for Registers {
    fn size(&self) -> usize {
        self.words.len() * 4
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        let low = u64::from(self.get(offset));
        match width {
            Width::U64 => low | u64::from(self.get(offset + 4)) << 32,
            _ => low >> (offset % 4 * 8),
        }
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        match width {
            Width::U8 | Width::U16 => self.merge(offset, width, value),
            // CAST: each word takes its half.
            Width::U32 => self.set(offset, value as u32),
            Width::U64 => {
                self.set(offset, value as u32);
                self.set(offset + 4, (value >> 32) as u32);
            }
        }
        (self.written)(offset);
    }
}

/// The bytes of both FIFOs.
#[derive(Debug)]
pub(crate) struct Fifo(Box<[AtomicU8]>);

impl Fifo {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self((0..bytes).map(|_| AtomicU8::new(0)).collect()))
    }

    /// Copies `count` bytes from one place to another; the two do not overlap.
    pub(crate) fn copy(&self, from: usize, to: usize, count: usize) {
        // Relaxed: the heads and tails order these.
        for (from, to) in self.0[from..from + count].iter().zip(&self.0[to..to + count]) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl RegionModel for Fifo {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        let mut bytes = [0; 8];
        self.copy_out(offset, &mut bytes[..width as usize]);
        u64::from_le_bytes(bytes)
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        self.copy_in(offset, &value.to_le_bytes()[..width as usize]);
    }

    fn copy_out(&self, offset: usize, buf: &mut [u8]) {
        for (byte, cell) in buf.iter_mut().zip(&self.0[offset..]) {
            *byte = cell.load(Ordering::Relaxed);
        }
    }

    fn copy_in(&self, offset: usize, data: &[u8]) {
        for (&byte, cell) in data.iter().zip(&self.0[offset..]) {
            cell.store(byte, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_and_wide_accesses_share_the_same_bytes() {
        let registers = Registers::new(16, |_| ());
        registers.write(0, Width::U64, 0x8877_6655_4433_2211);
        registers.write(5, Width::U8, 0xAB);
        registers.write(2, Width::U16, 0xCDEF);
        assert_eq!(registers.read(0, Width::U64), 0x8877_AB55_CDEF_2211);
        assert_eq!(registers.read(5, Width::U8) & 0xFF, 0xAB);
    }
}
