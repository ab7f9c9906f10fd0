//! [`Io`]: the accessors that every kind of region has, and the ways an access can fail.

use nix::errno::Errno;

use super::register::{Readable, Register, Word, Writable};

/// Why a checked access was refused. Small and `Copy`: it may be made in an interrupt handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The access does not lie inside the region.
    #[error("{width} bytes at offset {offset:#x} are outside the region of {size:#x} bytes")]
    OutOfBounds {
        /// Offset in bytes from the start of the region.
        offset: usize,
        /// Length of the access in bytes.
        width: usize,
        /// Size of the region in bytes.
        size: usize,
    },
    /// The offset is not a multiple of the width.
    #[error("offset {offset:#x} is not aligned to the access of {width} bytes")]
    Misaligned {
        /// Offset in bytes from the start of the region.
        offset: usize,
        /// Length of the access in bytes.
        width: usize,
    },
    /// The device was unplugged, unbound or failed.
    #[error("the device is gone")]
    Gone,
    /// The kernel, which makes the access for this process, refused it.
    #[error("the kernel refused the access: {}", errno.desc())]
    Refused {
        /// Why.
        errno: Errno,
    },
}

impl AccessError {
    /// What a failed system call means that was to make an access.
    pub(crate) fn of_call(errno: Errno) -> Self {
        match errno {
            // `EIO` is what VFIO says while the device decodes nothing.
            Errno::EIO | Errno::ENODEV | Errno::ENXIO => Self::Gone,
            errno => Self::Refused { errno },
        }
    }
}

impl From<AccessError> for Errno {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::OutOfBounds { .. } | AccessError::Misaligned { .. } => Errno::EINVAL,
            AccessError::Gone => Errno::ENODEV,
            AccessError::Refused { errno } => errno,
        }
    }
}

/// Whether `width` bytes at `offset` are naturally aligned and inside `size` bytes.
#[inline(always)]
pub(super) fn check(offset: usize, width: usize, size: usize) -> Result<(), AccessError> {
    if offset & (width - 1) != 0 {
        return Err(AccessError::Misaligned { offset, width });
    }
    check_range(offset, width, size)
}

/// Whether `len` bytes at `offset` are inside `size` bytes, whatever their alignment.
#[inline(always)]
pub(super) fn check_range(offset: usize, len: usize, size: usize) -> Result<(), AccessError> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(AccessError::OutOfBounds { offset, width: len, size }),
    }
}

/// What an infallible read yields: the value, all ones if nothing answers; a driver bug panics.
#[inline(always)]
pub(super) fn or_ones<T>(result: Result<T, AccessError>, ones: T) -> T {
    match result {
        Ok(value) => value,
        Err(AccessError::Gone | AccessError::Refused { .. }) => ones,
        Err(bug) => driver_bug(bug),
    }
}

#[cold]
#[inline(never)]
pub(super) fn driver_bug(bug: AccessError) -> ! {
    panic!("driver bug: register access refused: {bug}")
}

macro_rules! accessors {
    ($($int:ty: $try_read:ident $try_write:ident $read:ident $write:ident $read_rep:ident $write_rep:ident;)*) => {$(
        #[doc = concat!("Reads a little-endian `", stringify!($int), "` at `offset` bytes.")]
        ///
        /// # Errors
        ///
        /// [`AccessError`] if the access is out of bounds, misaligned, or the device is gone.
        fn $try_read(&self, offset: usize) -> Result<$int, AccessError>;

        #[doc = concat!("Writes a little-endian `", stringify!($int), "` at `offset` bytes.")]
        ///
        /// # Errors
        ///
        /// [`AccessError`] if the access is out of bounds, misaligned, or the device is gone.
        fn $try_write(&self, offset: usize, value: $int) -> Result<(), AccessError>;

        #[doc = concat!("Reads a `", stringify!($int), "`; all ones if the device is gone.")]
        ///
        /// # Panics
        ///
        /// If the access is out of bounds or misaligned, which is a bug of the driver.
        #[inline(always)]
        fn $read(&self, offset: usize) -> $int {
            or_ones(self.$try_read(offset), <$int>::MAX)
        }

        #[doc = concat!("Writes a `", stringify!($int), "`; nothing happens if the device is gone.")]
        ///
        /// # Panics
        ///
        /// If the access is out of bounds or misaligned, which is a bug of the driver.
        #[inline(always)]
        fn $write(&self, offset: usize, value: $int) {
            or_ones(self.$try_write(offset, value), ());
        }

        #[doc = concat!("Reads the same `", stringify!($int), "` register again and again into `buf`, as")]
        /// `ioread*_rep` does for a FIFO register.
        ///
        /// # Errors
        ///
        /// As the single read; what was read before the failure is in `buf`.
        fn $read_rep(&self, offset: usize, buf: &mut [$int]) -> Result<(), AccessError> {
            buf.iter_mut().try_for_each(|slot| self.$try_read(offset).map(|value| *slot = value))
        }

        #[doc = concat!("Writes each `", stringify!($int), "` of `buf` to the same register, as")]
        /// `iowrite*_rep` does for a FIFO register.
        ///
        /// # Errors
        ///
        /// As the single write; what came before the failure has been written.
        fn $write_rep(&self, offset: usize, buf: &[$int]) -> Result<(), AccessError> {
            buf.iter().try_for_each(|&value| self.$try_write(offset, value))
        }
    )*};
}

/// Access to a region. See the [module](super) for the forms and what they promise.
///
/// Offsets are in bytes from the start of the region; the order of arguments is always where, then what.
/// Accesses happen exactly as written: one of the named width, in program order.
pub trait Io {
    /// Size of the region in bytes.
    fn size(&self) -> usize;

    accessors! {
        u8: try_read8 try_write8 read8 write8 read8_rep write8_rep;
        u16: try_read16 try_write16 read16 write16 read16_rep write16_rep;
        u32: try_read32 try_write32 read32 write32 read32_rep write32_rep;
        u64: try_read64 try_write64 read64 write64 read64_rep write64_rep;
    }

    /// Copies `buf.len()` bytes out of the region; the width of the accesses is not specified.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the range is out of bounds or the device is gone.
    fn memcpy_fromio(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError>;

    /// Copies `data` into the region; the width of the accesses is not specified.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the range is out of bounds or the device is gone.
    fn memcpy_toio(&self, offset: usize, data: &[u8]) -> Result<(), AccessError>;

    /// Sets `len` bytes of the region to `value`; the width of the accesses is not specified.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the range is out of bounds or the device is gone.
    fn memset_io(&self, offset: usize, value: u8, len: usize) -> Result<(), AccessError>;

    /// Reads a register defined by [`register!`](crate::register); all ones if the device is gone.
    ///
    /// # Panics
    ///
    /// If the register does not lie in the region, which is a bug of the driver.
    #[inline(always)]
    fn read<R: Register + Readable>(&self) -> R
    where
        Self: Sized,
    {
        R::from_raw(R::Raw::read_from(self, R::OFFSET))
    }

    /// Writes a register defined by [`register!`](crate::register).
    ///
    /// # Panics
    ///
    /// If the register does not lie in the region, which is a bug of the driver.
    #[inline(always)]
    fn write<R: Register + Writable>(&self, value: R)
    where
        Self: Sized,
    {
        value.into_raw().write_to(self, R::OFFSET);
    }

    /// Reads a register, changes the value, writes it back. Not atomic.
    ///
    /// # Panics
    ///
    /// If the register does not lie in the region, which is a bug of the driver.
    #[inline(always)]
    fn update<R: Register + Readable + Writable>(&self, change: impl FnOnce(R) -> R)
    where
        Self: Sized,
    {
        self.write(change(self.read()));
    }

    /// Reads a register, checked at run time.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the register does not lie in the region, or the device is gone.
    #[inline(always)]
    fn try_read<R: Register + Readable>(&self) -> Result<R, AccessError>
    where
        Self: Sized,
    {
        R::Raw::try_read_from(self, R::OFFSET).map(R::from_raw)
    }

    /// Writes a register, checked at run time.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the register does not lie in the region, or the device is gone.
    #[inline(always)]
    fn try_write<R: Register + Writable>(&self, value: R) -> Result<(), AccessError>
    where
        Self: Sized,
    {
        value.into_raw().try_write_to(self, R::OFFSET)
    }
}
