//! Accesses whose width is known at run time only: for tools, not for drivers.

use super::access::{AccessError, Io};
use super::region::Width;

impl Width {
    /// The width of `bytes` bytes, if there is such an access.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        Some(match bytes {
            1 => Self::U8,
            2 => Self::U16,
            4 => Self::U32,
            8 => Self::U64,
            _ => return None,
        })
    }

    /// The highest value.
    #[must_use]
    pub const fn max(self) -> u64 {
        u64::MAX >> (64 - 8 * self as u32)
    }
}

/// Reads once, exactly so wide.
///
/// # Errors
///
/// [`AccessError`] if the access is out of bounds, misaligned, or the device is gone.
pub fn peek(io: &impl Io, offset: usize, width: Width) -> Result<u64, AccessError> {
    Ok(match width {
        Width::U8 => io.try_read8(offset)?.into(),
        Width::U16 => io.try_read16(offset)?.into(),
        Width::U32 => io.try_read32(offset)?.into(),
        Width::U64 => io.try_read64(offset)?,
    })
}

/// Writes the low bits of `value` once, exactly so wide, and reads nothing.
///
/// # Errors
///
/// As [`peek`].
pub fn poke(io: &impl Io, offset: usize, width: Width, value: u64) -> Result<(), AccessError> {
    // CAST: the low bits are what is asked for.
    match width {
        Width::U8 => io.try_write8(offset, value as u8),
        Width::U16 => io.try_write16(offset, value as u16),
        Width::U32 => io.try_write32(offset, value as u32),
        Width::U64 => io.try_write64(offset, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::IoMem;

    #[test]
    fn an_access_has_the_width_that_was_asked_for() {
        let io = IoMem::<16>::fake().unwrap();
        poke(&io, 8, Width::U64, u64::MAX).unwrap();
        poke(&io, 8, Width::U16, 0x1_2345).unwrap();
        assert_eq!(peek(&io, 8, Width::U32), Ok(0xFFFF_2345));
        assert_eq!(peek(&io, 9, Width::U8), Ok(0x23));
        assert!(matches!(peek(&io, 2, Width::U32), Err(AccessError::Misaligned { .. })));
    }

    #[test]
    fn widths_are_those_of_the_bus() {
        assert_eq!(
            [1, 2, 4, 8].map(|bytes| Width::from_bytes(bytes).unwrap().max()),
            [0xFF, 0xFFFF, 0xFFFF_FFFF, u64::MAX]
        );
        assert_eq!(Width::from_bytes(3), None);
    }
}
