//! Registers as types: [`register!`](crate::register) and what it is made of.
//!
//! Mirrors `register!` of `rust/kernel/io/register.rs`: bit ranges as in a datasheet, high bit first.

use std::fmt;
use std::marker::PhantomData;

use super::access::{AccessError, Io};
use super::map::RegisterAccess;

/// An integer that one access can move.
pub trait Word: Copy + Eq + fmt::LowerHex {
    /// Width in bytes.
    const WIDTH: usize;
    /// What a read yields when nothing answers.
    const ONES: Self;
    /// Reads one word, as the infallible form of this width.
    fn read_from<I: Io>(io: &I, offset: usize) -> Self;
    /// Writes one word, as the infallible form of this width.
    fn write_to<I: Io>(self, io: &I, offset: usize);
    /// Reads one word, checked.
    ///
    /// # Errors
    ///
    /// [`AccessError`] as the `try_read` of this width.
    fn try_read_from<I: Io>(io: &I, offset: usize) -> Result<Self, AccessError>;
    /// Writes one word, checked.
    ///
    /// # Errors
    ///
    /// [`AccessError`] as the `try_write` of this width.
    fn try_write_to<I: Io>(self, io: &I, offset: usize) -> Result<(), AccessError>;
    /// Widens to 64 bits.
    fn into_u64(self) -> u64;
    /// Keeps the low bits.
    fn from_u64(value: u64) -> Self;
}

macro_rules! word {
    ($($int:ty: $read:ident $write:ident $try_read:ident $try_write:ident;)*) => {$(
        impl Word for $int {
            const WIDTH: usize = size_of::<$int>();
            const ONES: Self = <$int>::MAX;

            #[inline(always)]
            fn read_from<I: Io>(io: &I, offset: usize) -> Self {
                io.$read(offset)
            }

            #[inline(always)]
            fn write_to<I: Io>(self, io: &I, offset: usize) {
                io.$write(offset, self);
            }

            #[inline(always)]
            fn try_read_from<I: Io>(io: &I, offset: usize) -> Result<Self, AccessError> {
                io.$try_read(offset)
            }

            #[inline(always)]
            fn try_write_to<I: Io>(self, io: &I, offset: usize) -> Result<(), AccessError> {
                io.$try_write(offset, self)
            }

            #[inline(always)]
            fn into_u64(self) -> u64 {
                u64::from(self)
            }

            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                // CAST: the low bits are what is asked for.
                value as $int
            }
        }
    )*};
}

word! {
    u8: read8 write8 try_read8 try_write8;
    u16: read16 write16 try_read16 try_write16;
    u32: read32 write32 try_read32 try_write32;
    u64: read64 write64 try_read64 try_write64;
}

/// A register: a word at a fixed offset of a region. Made by [`register!`](crate::register).
pub trait Register: Copy {
    /// The word that one access moves.
    type Raw: Word;
    /// Offset in bytes from the start of the region.
    const OFFSET: usize;
    /// The name, as the datasheet has it.
    const NAME: &'static str;
    /// What the driver may do with it.
    const ACCESS: RegisterAccess;
    /// The named fields, for tools that print registers.
    const FIELDS: &'static [FieldInfo];
    /// The register with these bits.
    fn from_raw(raw: Self::Raw) -> Self;
    /// The bits of the register.
    fn into_raw(self) -> Self::Raw;
}

/// The driver may read this register.
pub trait Readable {}

/// The driver may write this register.
pub trait Writable {}

/// Name and bits of a field, for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldInfo {
    /// The name, as the datasheet has it.
    pub name: &'static str,
    /// Highest bit.
    pub high: u32,
    /// Lowest bit.
    pub low: u32,
}

/// A type that a field can have: `bool` or an unsigned integer.
pub trait FieldValue: Copy {
    /// How many bits the type holds.
    const BITS: u32;
    /// From the field's bits, shifted down.
    fn from_bits(bits: u64) -> Self;
    /// To the field's bits, shifted down.
    fn into_bits(self) -> u64;
}

impl FieldValue for bool {
    const BITS: u32 = 1;

    fn from_bits(bits: u64) -> Self {
        bits != 0
    }

    fn into_bits(self) -> u64 {
        u64::from(self)
    }
}

macro_rules! field_value {
    ($($int:ty)*) => {$(
        impl FieldValue for $int {
            const BITS: u32 = <$int>::BITS;

            fn from_bits(bits: u64) -> Self {
                // CAST: `Field::new` made sure that the bits fit.
                bits as $int
            }

            fn into_bits(self) -> u64 {
                u64::from(self)
            }
        }
    )*};
}

field_value!(u8 u16 u32 u64);

/// A named range of bits in the register `R`, of type `T`.
pub struct Field<R, T> {
    low: u32,
    mask: u64,
    types: PhantomData<fn() -> (R, T)>,
}

impl<R: Register, T: FieldValue> Field<R, T> {
    /// The bits `high` down to `low`. In a constant, a range that the register or `T` does not hold is a
    /// compile error.
    ///
    /// # Panics
    ///
    /// If the range is not one, or is not inside the register, or does not fit `T`.
    pub const fn new(high: u32, low: u32) -> Self {
        assert!(high >= low, "a field goes from its high bit to its low bit");
        assert!((high as usize) < R::Raw::WIDTH * 8, "the field is outside its register");
        assert!(high - low < T::BITS, "the field does not fit its type");
        let mask = u64::MAX >> (63 - (high - low));
        Self { low, mask, types: PhantomData }
    }

    /// The field's value in `register`.
    #[inline(always)]
    pub fn get(self, register: R) -> T {
        T::from_bits(register.into_raw().into_u64() >> self.low & self.mask)
    }

    /// `register` with the field set to `value`; bits that do not fit the field are dropped.
    #[inline(always)]
    pub fn set(self, register: R, value: T) -> R {
        let rest = register.into_raw().into_u64() & !(self.mask << self.low);
        R::from_raw(R::Raw::from_u64(rest | (value.into_bits() & self.mask) << self.low))
    }
}

impl<R, T> Clone for Field<R, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, T> Copy for Field<R, T> {}

impl<R, T> fmt::Debug for Field<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("low", &self.low).field("mask", &self.mask).finish()
    }
}

/// Defines registers as types with named fields.
///
/// Each register has a name, the width of its access, its offset in bytes, its direction for the driver
/// (`ro`, `wo`, `rw`), and fields as `high:low NAME: type`.
///
/// # Examples
///
/// ```
/// use uio_core::io::{Io, IoMem};
/// use uio_core::register;
///
/// register! {
///     /// Status of the port.
///     pub Status(u32) @ 0x04, ro {
///         /// Bytes in the receive FIFO.
///         15:8 LEVEL: u8;
///         /// Something was lost.
///         0:0 OVERRUN: bool;
///     }
///     /// Control of the port.
///     pub Control(u32) @ 0x08, rw {
///         /// Runs the port.
///         0:0 ENABLE: bool;
///     }
/// }
///
/// let io = IoMem::<0x10>::fake()?;
/// io.update::<Control>(|control| control.with(Control::ENABLE, true));
/// assert!(io.read::<Control>().get(Control::ENABLE));
/// assert_eq!(io.read::<Status>().get(Status::LEVEL), 0);
/// # Ok::<(), uio_core::Error>(())
/// ```
///
/// Writing a register that the driver may only read does not compile, and neither does a register beyond
/// the end of an `IoMem`:
///
/// ```compile_fail
/// # use uio_core::io::{Io, IoMem};
/// uio_core::register! { pub Id(u32) @ 0x00, ro {} }
/// IoMem::<0x10>::fake().unwrap().write(Id::default());
/// ```
///
/// ```compile_fail
/// # use uio_core::io::{Io, IoMem};
/// uio_core::register! { pub Far(u32) @ 0x10, ro {} }
/// IoMem::<0x10>::fake().unwrap().read::<Far>();
/// ```
#[macro_export]
macro_rules! register {
    ($(
        $(#[$attr:meta])*
        $vis:vis $name:ident($raw:ty) @ $offset:literal, $access:ident {
            $( $(#[$field_attr:meta])* $high:literal : $low:literal $field:ident : $ty:ty; )*
        }
    )*) => {$(
        $(#[$attr])*
        #[derive(Clone, Copy, PartialEq, Eq, Default)]
        $vis struct $name($raw);

        #[expect(clippy::allow_attributes, reason = "`expect` would fail where all of the map is used")]
        #[allow(dead_code, reason = "a register map is written whole, not as far as it is used")]
        impl $name {
            $(
                $(#[$field_attr])*
                $vis const $field: $crate::io::Field<Self, $ty> = $crate::io::Field::new($high, $low);
            )*

            /// The value of a field.
            #[inline(always)]
            $vis fn get<T: $crate::io::FieldValue>(self, field: $crate::io::Field<Self, T>) -> T {
                field.get(self)
            }

            /// The register with a field changed.
            #[inline(always)]
            #[must_use]
            $vis fn with<T: $crate::io::FieldValue>(
                self,
                field: $crate::io::Field<Self, T>,
                value: T,
            ) -> Self {
                field.set(self, value)
            }

            /// The register with these bits.
            #[inline(always)]
            $vis const fn new(raw: $raw) -> Self {
                Self(raw)
            }

            /// The bits of the register.
            #[inline(always)]
            $vis const fn raw(self) -> $raw {
                self.0
            }
        }

        impl $crate::io::Register for $name {
            type Raw = $raw;
            const OFFSET: usize = $offset;
            const NAME: &'static str = stringify!($name);
            const ACCESS: $crate::io::RegisterAccess = $crate::register!(@direction $access);
            const FIELDS: &'static [$crate::io::FieldInfo] = &[
                $( $crate::io::FieldInfo { name: stringify!($field), high: $high, low: $low } ),*
            ];

            #[inline(always)]
            fn from_raw(raw: $raw) -> Self {
                Self(raw)
            }

            #[inline(always)]
            fn into_raw(self) -> $raw {
                self.0
            }
        }

        $crate::register!(@access $access $name);

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    )*};
    (@direction ro) => { $crate::io::RegisterAccess::ReadOnly };
    (@direction wo) => { $crate::io::RegisterAccess::WriteOnly };
    (@direction rw) => { $crate::io::RegisterAccess::ReadWrite };
    (@access ro $name:ident) => {
        impl $crate::io::Readable for $name {}
    };
    (@access wo $name:ident) => {
        impl $crate::io::Writable for $name {}
    };
    (@access rw $name:ident) => {
        impl $crate::io::Readable for $name {}
        impl $crate::io::Writable for $name {}
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::IoMem;

    register! {
        pub(crate) Wide(u64) @ 0x08, rw {
            63:32 HIGH: u32;
            31:16 MIDDLE: u16;
            3:3 BIT: bool;
        }
        pub(crate) Order(u8) @ 0x02, wo {}
    }

    #[test]
    fn a_field_changes_its_bits_and_no_others() {
        let wide = Wide::new(u64::MAX).with(Wide::MIDDLE, 0x1234).with(Wide::BIT, false);
        assert_eq!(wide.raw(), 0xFFFF_FFFF_1234_FFF7);
        assert_eq!(wide.get(Wide::HIGH), u32::MAX);
        assert!(!wide.get(Wide::BIT));
    }

    #[test]
    fn a_register_is_accessed_at_its_offset_and_width() {
        let io = IoMem::<16>::fake().unwrap();
        io.write(Wide::new(0x1122_3344_5566_7788));
        io.write(Order::new(0xAB));
        assert_eq!(io.read64(8), 0x1122_3344_5566_7788);
        assert_eq!(io.read32(0), 0x00AB_0000);
        assert_eq!(format!("{:?}", io.read::<Wide>()), "Wide(0x1122334455667788)");
    }

    #[test]
    fn a_register_outside_a_region_is_an_error_at_run_time() {
        let io = IoMem::<0>::fake_of(8).unwrap();
        assert_eq!(
            io.try_read::<Wide>(),
            Err(AccessError::OutOfBounds { offset: 8, width: 8, size: 8 })
        );
    }
}
