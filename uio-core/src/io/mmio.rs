//! [`IoMem`]: mapped device memory behind a pointer. The kernel's `ioremap`, `readl` and `writel`.
#![expect(unsafe_code, reason = "volatile access through a raw pointer is what this module is for")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{Ordering, compiler_fence, fence};

use super::access::{AccessError, Io, check, check_range, driver_bug};
use super::register::{Readable, Register, Word, Writable};
use crate::error::Result;
use crate::sys::mmap::Mapping;

/// Device memory of at least `N` bytes, mapped into this process.
///
/// # Invariants
///
/// - `base` is aligned to 8 bytes and valid for volatile access of `size` bytes while `mapping` lives.
/// - `size >= N`.
///
/// Accesses at a constant offset below `N` cost the load or the store and nothing else. When the device goes
/// away, the memory behind the pointer is replaced by ones, by the first access that would fault if by nobody
/// before: an access never ends the process.
///
/// From then on the checked forms say [`Gone`](AccessError::Gone), for one load of a flag after each access. The
/// infallible forms look at no flag: a read yields ones, or what the driver has written there since.
pub struct IoMem<const N: usize = 0> {
    base: NonNull<u8>,
    size: usize,
    mapping: Arc<Mapping>,
}

// SAFETY: the memory belongs to a device, which any thread may access; `Mapping` is `Send` and `Sync`.
unsafe impl<const N: usize> Send for IoMem<N> {}
// SAFETY: as above; every access is volatile and of a width that the machine does not tear.
unsafe impl<const N: usize> Sync for IoMem<N> {}

/// Orders a read before everything after it, as `readl` does (`__io_ar`).
#[inline(always)]
fn after_read() {
    if cfg!(target_arch = "x86_64") {
        // The machine keeps the order of uncached accesses and of loads; only the compiler must not move them.
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Orders everything before a write, as `writel` does (`__io_bw`).
#[inline(always)]
fn before_write() {
    after_read();
}

impl<const N: usize> IoMem<N> {
    /// The `size` bytes at `offset` of a mapping.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are not inside the mapping, are fewer than `N`, or do not start on 8 bytes.
    pub(crate) fn new(mapping: Arc<Mapping>, offset: usize, size: usize) -> Result<Self> {
        let refuse = |cause: String| Err(crate::Error::invalid("cannot map", "region", cause));
        if check_range(offset, size, mapping.len()).is_err() {
            let len = mapping.len();
            return refuse(format!("{size:#x} bytes at {offset:#x} exceed the {len:#x} mapped"));
        }
        if size < N {
            return refuse(format!("it has {size:#x} bytes, the driver needs {N:#x}"));
        }
        if !offset.is_multiple_of(8) {
            return refuse(format!("it starts at {offset:#x}, which is not aligned to 8 bytes"));
        }
        // SAFETY: `offset` is inside the mapping, checked above.
        let base = unsafe { mapping.base().add(offset) };
        // INVARIANT: a mapping starts on a page, and `offset` is a multiple of 8; `size` was checked.
        Ok(Self { base, size, mapping })
    }

    /// Memory that stands in for a device, zeroed: for tests of register code.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is none.
    pub fn fake() -> Result<Self> {
        Self::fake_of(N)
    }

    /// As [`fake`](Self::fake), of `size` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is none, `EINVAL` if `size < N`.
    pub fn fake_of(size: usize) -> Result<Self> {
        Self::new(Arc::new(Mapping::anonymous(size)?), 0, size)
    }

    /// The same memory, with the size proven to be at least `M`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it has fewer bytes.
    pub fn sized<const M: usize>(&self) -> Result<IoMem<M>> {
        let offset = self.base.as_ptr().addr() - self.mapping.base().as_ptr().addr();
        IoMem::new(Arc::clone(&self.mapping), offset, self.size)
    }

    /// Reads a register; its place is checked when the program is compiled.
    #[inline(always)]
    pub fn read<R: Register + Readable>(&self) -> R {
        const {
            assert!(R::OFFSET + R::Raw::WIDTH <= N, "the register is beyond the mapped size");
        };
        // The access is in bounds, so nothing can fail; the checks fold away.
        R::from_raw(R::Raw::read_from(self, R::OFFSET))
    }

    /// Writes a register; its place is checked when the program is compiled.
    #[inline(always)]
    pub fn write<R: Register + Writable>(&self, value: R) {
        const {
            assert!(R::OFFSET + R::Raw::WIDTH <= N, "the register is beyond the mapped size");
        };
        value.into_raw().write_to(self, R::OFFSET);
    }

    /// Reads a register, changes the value, writes it back; its place is checked when the program is compiled.
    #[inline(always)]
    pub fn update<R: Register + Readable + Writable>(&self, change: impl FnOnce(R) -> R) {
        self.write(change(self.read()));
    }

    /// Checks an access against the size that is known: the constant where there is one, so that the check
    /// folds away.
    #[inline(always)]
    fn known(&self, offset: usize, width: usize) -> Result<(), AccessError> {
        let proven = offset < N && N - offset >= width;
        check(offset, width, if proven { N } else { self.size })
    }

    /// Whether the accesses before met the device. Asked afterwards, so that the access that finds it gone is
    /// the first to say so; the signal handler sets the flag before the access is made again.
    #[inline(always)]
    fn met_device(&self) -> Result<(), AccessError> {
        // The handler runs on this thread: only the compiler could have the flag loaded before the access.
        compiler_fence(Ordering::SeqCst);
        if self.mapping.is_gone() { Err(AccessError::Gone) } else { Ok(()) }
    }
}

macro_rules! unchecked {
    ($($int:ty: $read:ident $write:ident;)*) => {
        impl<const N: usize> IoMem<N> {$(
            #[doc = concat!("Reads a little-endian `", stringify!($int), "` without any check.")]
            ///
            /// # Safety
            ///
            /// `offset` must be aligned to the width, and the access must lie inside the region.
            #[inline(always)]
            pub unsafe fn $read(&self, offset: usize) -> $int {
                // SAFETY: by the caller's promise the pointer stays inside the mapping.
                let at = unsafe { self.base.as_ptr().add(offset) }.cast::<$int>();
                // SAFETY: by the type's invariant and the caller's promise `at` is valid and aligned.
                let value = unsafe { at.read_volatile() };
                after_read();
                <$int>::from_le(value)
            }

            #[doc = concat!("Writes a little-endian `", stringify!($int), "` without any check.")]
            ///
            /// # Safety
            ///
            /// `offset` must be aligned to the width, and the access must lie inside the region.
            #[inline(always)]
            pub unsafe fn $write(&self, offset: usize, value: $int) {
                // SAFETY: by the caller's promise the pointer stays inside the mapping.
                let at = unsafe { self.base.as_ptr().add(offset) }.cast::<$int>();
                before_write();
                // SAFETY: by the type's invariant and the caller's promise `at` is valid and aligned.
                unsafe { at.write_volatile(value.to_le()) };
            }
        )*}
    };
}

unchecked! {
    u8: read8_unchecked write8_unchecked;
    u16: read16_unchecked write16_unchecked;
    u32: read32_unchecked write32_unchecked;
    u64: read64_unchecked write64_unchecked;
}

macro_rules! checked {
    ($($int:ty: $get:ident $put:ident $read:ident $write:ident $try_read:ident $try_write:ident;)*) => {$(
        #[inline(always)]
        fn $read(&self, offset: usize) -> $int {
            match self.known(offset, size_of::<$int>()) {
                // SAFETY: alignment and bounds were checked.
                Ok(()) => unsafe { self.$get(offset) },
                Err(bug) => driver_bug(bug),
            }
        }

        #[inline(always)]
        fn $write(&self, offset: usize, value: $int) {
            match self.known(offset, size_of::<$int>()) {
                // SAFETY: alignment and bounds were checked.
                Ok(()) => unsafe { self.$put(offset, value) },
                Err(bug) => driver_bug(bug),
            }
        }

        #[inline(always)]
        fn $try_read(&self, offset: usize) -> Result<$int, AccessError> {
            self.known(offset, size_of::<$int>())?;
            // SAFETY: alignment and bounds were checked.
            let value = unsafe { self.$get(offset) };
            self.met_device()?;
            Ok(value)
        }

        #[inline(always)]
        fn $try_write(&self, offset: usize, value: $int) -> Result<(), AccessError> {
            self.known(offset, size_of::<$int>())?;
            // SAFETY: alignment and bounds were checked.
            unsafe { self.$put(offset, value) };
            self.met_device()
        }
    )*};
}

/// How many bytes to go until `offset` is on 8 bytes, at most `len`.
fn head(offset: usize, len: usize) -> usize {
    (offset.wrapping_neg() % 8).min(len)
}

impl<const N: usize> Io for IoMem<N> {
    #[inline(always)]
    fn size(&self) -> usize {
        self.size
    }

    checked! {
        u8: read8_unchecked write8_unchecked read8 write8 try_read8 try_write8;
        u16: read16_unchecked write16_unchecked read16 write16 try_read16 try_write16;
        u32: read32_unchecked write32_unchecked read32 write32 try_read32 try_write32;
        u64: read64_unchecked write64_unchecked read64 write64 try_read64 try_write64;
    }

    fn memcpy_fromio(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError> {
        check_range(offset, buf.len(), self.size)?;
        let (bytes, rest) = buf.split_at_mut(head(offset, buf.len()));
        let (words, tail) = rest.as_chunks_mut::<8>();
        let mut at = offset;
        for byte in bytes {
            // SAFETY: the whole range is in bounds, checked above.
            *byte = unsafe { self.read8_unchecked(at) };
            at += 1;
        }
        for word in words {
            // SAFETY: in bounds as above, and `head` brought `at` to a multiple of 8.
            *word = unsafe { self.read64_unchecked(at) }.to_le_bytes();
            at += 8;
        }
        for byte in tail {
            // SAFETY: in bounds as above.
            *byte = unsafe { self.read8_unchecked(at) };
            at += 1;
        }
        self.met_device()
    }

    fn memcpy_toio(&self, offset: usize, data: &[u8]) -> Result<(), AccessError> {
        check_range(offset, data.len(), self.size)?;
        let (bytes, rest) = data.split_at(head(offset, data.len()));
        let (words, tail) = rest.as_chunks::<8>();
        let mut at = offset;
        for &byte in bytes {
            // SAFETY: the whole range is in bounds, checked above.
            unsafe { self.write8_unchecked(at, byte) };
            at += 1;
        }
        for &word in words {
            // SAFETY: in bounds as above, and `head` brought `at` to a multiple of 8.
            unsafe { self.write64_unchecked(at, u64::from_le_bytes(word)) };
            at += 8;
        }
        for &byte in tail {
            // SAFETY: in bounds as above.
            unsafe { self.write8_unchecked(at, byte) };
            at += 1;
        }
        self.met_device()
    }

    fn memset_io(&self, offset: usize, value: u8, len: usize) -> Result<(), AccessError> {
        check_range(offset, len, self.size)?;
        let pattern = [value; 64];
        let mut at = offset;
        while at < offset + len {
            let step = pattern.len().min(offset + len - at);
            self.memcpy_toio(at, &pattern[..step])?;
            at += step;
        }
        Ok(())
    }
}

impl<const N: usize> Clone for IoMem<N> {
    fn clone(&self) -> Self {
        Self { base: self.base, size: self.size, mapping: Arc::clone(&self.mapping) }
    }
}

impl<const N: usize> fmt::Debug for IoMem<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoMem").field("base", &self.base).field("size", &self.size).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_width_reads_what_it_wrote_little_endian() {
        let io = IoMem::<16>::fake().unwrap();
        io.write64(8, 0x8877_6655_4433_2211);
        assert_eq!(io.read8(8), 0x11);
        assert_eq!(io.read16(10), 0x4433);
        assert_eq!(io.read32(12), 0x8877_6655);
        io.write8(0, 1);
        io.write16(2, 2);
        io.write32(4, 3);
        assert_eq!(io.read64(0), 0x0000_0003_0002_0001);
    }

    #[test]
    fn the_checked_forms_know_the_real_size_beyond_the_proven_one() {
        let io = IoMem::<8>::fake_of(16).unwrap();
        assert_eq!(io.try_read32(12), Ok(0));
        assert!(matches!(io.try_read32(16), Err(AccessError::OutOfBounds { size: 16, .. })));
        assert!(matches!(io.try_read32(usize::MAX - 3), Err(AccessError::OutOfBounds { .. })));
        assert!(matches!(io.try_write16(1, 0), Err(AccessError::Misaligned { .. })));
    }

    #[test]
    fn a_region_smaller_than_the_driver_needs_is_refused_when_mapped() {
        let error = IoMem::<32>::fake_of(16).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot map region: it has 0x10 bytes, the driver needs 0x20"
        );
        assert!(IoMem::<8>::fake_of(16).unwrap().sized::<16>().is_ok());
        assert!(IoMem::<8>::fake_of(16).unwrap().sized::<17>().is_err());
    }

    #[test]
    fn after_replacement_by_ones_reads_are_ones_and_writes_do_no_harm() {
        let io = IoMem::<16>::fake().unwrap();
        io.write32(0, 5);
        io.mapping.replace_by_ones().unwrap();
        assert_eq!(io.read32(0), u32::MAX);
        io.write32(4, 1);
    }

    proptest! {
        #[test]
        fn copies_equal_a_byte_by_byte_copy(offset in 0_usize..40, data in prop::collection::vec(any::<u8>(), 0..60)) {
            let io = IoMem::<0>::fake_of(128).unwrap();
            io.memset_io(0, 0xEE, 128).unwrap();
            io.memcpy_toio(offset, &data).unwrap();
            let mut model = vec![0xEE; 128];
            model[offset..offset + data.len()].copy_from_slice(&data);
            let bytes: Vec<u8> = (0..128).map(|at| io.read8(at)).collect();
            prop_assert_eq!(&bytes, &model);
            let mut back = vec![0; data.len()];
            io.memcpy_fromio(offset, &mut back).unwrap();
            prop_assert_eq!(back, data);
        }
    }
}
