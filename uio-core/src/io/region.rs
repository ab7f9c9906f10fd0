//! [`IoRegion`]: one region type over mapped memory, what the kernel accesses for us, and simulated models.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::access::{AccessError, Io, check, check_range};
use super::mmio::IoMem;

/// Width of one access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    U8 = 1,
    /// Two bytes.
    U16 = 2,
    /// Four bytes.
    U32 = 4,
    /// Eight bytes.
    U64 = 8,
}

/// The device's side of a simulated region: sees every access of the driver.
///
/// Calls come from any thread of the driver. Offsets are aligned and in bounds: [`IoRegion`] checks them.
pub trait RegionModel: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> usize;

    /// The driver reads. The value's low bits are what it gets.
    fn read(&self, offset: usize, width: Width) -> u64;

    /// The driver writes the low bits of `value`.
    fn write(&self, offset: usize, width: Width, value: u64);

    /// The driver copies out.
    fn copy_out(&self, offset: usize, buf: &mut [u8]) {
        for (index, byte) in buf.iter_mut().enumerate() {
            // CAST: a read of one byte has eight bits.
            *byte = self.read(offset + index, Width::U8) as u8;
        }
    }

    /// The driver copies in.
    fn copy_in(&self, offset: usize, data: &[u8]) {
        for (index, &byte) in data.iter().enumerate() {
            self.write(offset + index, Width::U8, u64::from(byte));
        }
    }
}

/// A region that is not mapped, or not all of it: an access may take a system call, and the kernel may refuse it.
///
/// Calls come from any thread, top halves included. Offsets are aligned and in bounds: [`IoRegion`] checks them.
pub(crate) trait RegionAccess: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> usize;

    /// Reads; the value is in the low bits.
    ///
    /// # Errors
    ///
    /// `Gone` or `Refused`.
    fn read(&self, offset: usize, width: Width) -> Result<u64, AccessError>;

    /// Writes the low bits of `value`.
    ///
    /// # Errors
    ///
    /// `Gone` or `Refused`.
    fn write(&self, offset: usize, width: Width, value: u64) -> Result<(), AccessError>;

    /// Copies out, by words where they are aligned.
    fn copy_out(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError> {
        let mut done = 0;
        while done < buf.len() {
            let width = step(offset + done, buf.len() - done);
            let value = self.read(offset + done, width)?.to_le_bytes();
            buf[done..done + width as usize].copy_from_slice(&value[..width as usize]);
            done += width as usize;
        }
        Ok(())
    }

    /// Copies in, by words where they are aligned.
    fn copy_in(&self, offset: usize, data: &[u8]) -> Result<(), AccessError> {
        let mut done = 0;
        while done < data.len() {
            let width = step(offset + done, data.len() - done);
            let mut value = [0; 8];
            value[..width as usize].copy_from_slice(&data[done..done + width as usize]);
            self.write(offset + done, width, u64::from_le_bytes(value))?;
            done += width as usize;
        }
        Ok(())
    }
}

/// The width of the next access of a copy: four bytes or one.
fn step(offset: usize, left: usize) -> Width {
    if offset.is_multiple_of(4) && left >= 4 { Width::U32 } else { Width::U8 }
}

#[derive(Clone)]
enum Target {
    Mapped(IoMem),
    Access(Arc<dyn RegionAccess>),
    Model(Arc<dyn RegionModel>),
}

/// A region of a device, whatever it is behind: memory or a model. The kernel's `void __iomem *` of
/// `pci_iomap`, with a size.
///
/// Cheap to clone; all clones end together when the device is gone.
#[derive(Clone)]
pub struct IoRegion {
    target: Target,
    gone: Arc<AtomicBool>,
}

impl IoRegion {
    /// A region over mapped memory.
    pub(crate) fn mapped(memory: IoMem, gone: Arc<AtomicBool>) -> Self {
        Self { target: Target::Mapped(memory), gone }
    }

    /// A region that is reached by `access`.
    pub(crate) fn access(access: Arc<dyn RegionAccess>, gone: Arc<AtomicBool>) -> Self {
        Self { target: Target::Access(access), gone }
    }

    /// A region over a model, which ends when `gone` is set.
    pub fn model(model: Arc<dyn RegionModel>, gone: Arc<AtomicBool>) -> Self {
        Self { target: Target::Model(model), gone }
    }

    /// Whether the device was unplugged, unbound or failed.
    pub fn is_gone(&self) -> bool {
        // Relaxed: a flag that is only ever set. Whoever comes too early finds ones, or faults, which sets it.
        self.gone.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn alive(&self) -> Result<&Target, AccessError> {
        if self.is_gone() { Err(AccessError::Gone) } else { Ok(&self.target) }
    }

    #[inline(always)]
    fn bulk(&self, offset: usize, len: usize) -> Result<&Target, AccessError> {
        check_range(offset, len, self.size())?;
        self.alive()
    }
}

macro_rules! region_accessors {
    ($($int:ty: $width:ident $try_read:ident $try_write:ident;)*) => {$(
        #[inline]
        fn $try_read(&self, offset: usize) -> Result<$int, AccessError> {
            match self.alive()? {
                Target::Mapped(memory) => memory.$try_read(offset),
                Target::Access(access) => {
                    check(offset, Width::$width as usize, access.size())?;
                    // CAST: the answer is in the low bits.
                    Ok(access.read(offset, Width::$width)? as $int)
                }
                Target::Model(model) => {
                    check(offset, Width::$width as usize, model.size())?;
                    // CAST: the model answers in the low bits.
                    Ok(model.read(offset, Width::$width) as $int)
                }
            }
        }

        #[inline]
        fn $try_write(&self, offset: usize, value: $int) -> Result<(), AccessError> {
            match self.alive()? {
                Target::Mapped(memory) => memory.$try_write(offset, value),
                Target::Access(access) => {
                    check(offset, Width::$width as usize, access.size())?;
                    access.write(offset, Width::$width, u64::from(value))
                }
                Target::Model(model) => {
                    check(offset, Width::$width as usize, model.size())?;
                    model.write(offset, Width::$width, u64::from(value));
                    Ok(())
                }
            }
        }
    )*};
}

impl Io for IoRegion {
    fn size(&self) -> usize {
        match &self.target {
            Target::Mapped(memory) => memory.size(),
            Target::Access(access) => access.size(),
            Target::Model(model) => model.size(),
        }
    }

    region_accessors! {
        u8: U8 try_read8 try_write8;
        u16: U16 try_read16 try_write16;
        u32: U32 try_read32 try_write32;
        u64: U64 try_read64 try_write64;
    }

    fn memcpy_fromio(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError> {
        match self.bulk(offset, buf.len())? {
            Target::Mapped(memory) => memory.memcpy_fromio(offset, buf),
            Target::Access(access) => access.copy_out(offset, buf),
            Target::Model(model) => {
                model.copy_out(offset, buf);
                Ok(())
            }
        }
    }

    fn memcpy_toio(&self, offset: usize, data: &[u8]) -> Result<(), AccessError> {
        match self.bulk(offset, data.len())? {
            Target::Mapped(memory) => memory.memcpy_toio(offset, data),
            Target::Access(access) => access.copy_in(offset, data),
            Target::Model(model) => {
                model.copy_in(offset, data);
                Ok(())
            }
        }
    }

    fn memset_io(&self, offset: usize, value: u8, len: usize) -> Result<(), AccessError> {
        match self.bulk(offset, len)? {
            Target::Mapped(memory) => memory.memset_io(offset, value, len),
            Target::Access(access) => (offset..offset + len)
                .try_for_each(|at| access.write(at, Width::U8, u64::from(value))),
            Target::Model(model) => {
                (offset..offset + len).for_each(|at| model.write(at, Width::U8, u64::from(value)));
                Ok(())
            }
        }
    }
}

impl fmt::Debug for IoRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.target {
            Target::Mapped(_) => "mapped",
            Target::Access(_) => "access",
            Target::Model(_) => "model",
        };
        f.debug_struct("IoRegion")
            .field("kind", &kind)
            .field("size", &self.size())
            .field("gone", &self.is_gone())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Remembers what the driver did.
    struct Probe(Mutex<Vec<(usize, Width, Option<u64>)>>);

    impl RegionModel for Probe {
        fn size(&self) -> usize {
            16
        }

        fn read(&self, offset: usize, width: Width) -> u64 {
            self.0.lock().unwrap().push((offset, width, None));
            0x8877_6655_4433_2211
        }

        fn write(&self, offset: usize, width: Width, value: u64) {
            self.0.lock().unwrap().push((offset, width, Some(value)));
        }
    }

    fn region() -> (Arc<Probe>, IoRegion, Arc<AtomicBool>) {
        let probe = Arc::new(Probe(Mutex::new(Vec::new())));
        let gone = Arc::new(AtomicBool::new(false));
        (Arc::clone(&probe), IoRegion::model(probe, Arc::clone(&gone)), gone)
    }

    #[test]
    fn an_access_reaches_the_model_at_exact_width() {
        let (probe, region, _) = region();
        assert_eq!(region.read16(2), 0x2211);
        region.write32(4, 7);
        assert_eq!(*probe.0.lock().unwrap(), [(2, Width::U16, None), (4, Width::U32, Some(7))]);
    }

    #[test]
    fn a_bad_access_never_reaches_the_model() {
        let (probe, region, _) = region();
        assert!(matches!(region.try_read32(14), Err(AccessError::Misaligned { .. })));
        assert!(matches!(region.try_write64(16, 0), Err(AccessError::OutOfBounds { .. })));
        assert!(region.memcpy_toio(10, &[0; 7]).is_err());
        assert!(region.memset_io(usize::MAX, 0, 2).is_err());
        assert!(probe.0.lock().unwrap().is_empty());
    }

    #[test]
    fn after_the_device_is_gone_reads_are_ones_and_checked_forms_say_so() {
        let (probe, region, gone) = region();
        gone.store(true, Ordering::Relaxed);
        assert_eq!(region.read32(0), u32::MAX);
        region.write32(0, 1);
        assert_eq!(region.try_read8(0), Err(AccessError::Gone));
        assert_eq!(region.memcpy_fromio(0, &mut [0; 4]), Err(AccessError::Gone));
        assert!(probe.0.lock().unwrap().is_empty());
    }

    #[test]
    #[should_panic(expected = "driver bug")]
    fn an_infallible_access_out_of_bounds_is_a_driver_bug() {
        region().1.read32(16);
    }

    #[test]
    fn the_rep_forms_stay_on_one_register() {
        let (probe, region, _) = region();
        let mut buf = [0_u8; 3];
        region.read8_rep(1, &mut buf).unwrap();
        region.write16_rep(2, &[1, 2]).unwrap();
        let offsets: Vec<_> = probe.0.lock().unwrap().iter().map(|access| access.0).collect();
        assert_eq!(offsets, [1, 1, 1, 2, 2]);
    }
}
