//! [`RegisterMap`]: the registers of a region by name, for tools that peek, poke and print.

use super::register::{FieldInfo, Register, Word};

/// What a driver may do with a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegisterAccess {
    /// It is read and never written.
    ReadOnly,
    /// It is written and never read: a read may have effects, or tell nothing.
    WriteOnly,
    /// Both.
    ReadWrite,
}

impl RegisterAccess {
    /// Whether it may be read.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        !matches!(self, Self::WriteOnly)
    }

    /// Whether it may be written.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        !matches!(self, Self::ReadOnly)
    }

    /// As `register!` takes it: `ro`, `wo`, `rw`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "ro",
            Self::WriteOnly => "wo",
            Self::ReadWrite => "rw",
        }
    }
}

/// A register, as far as tools need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterInfo {
    /// The name, as the datasheet has it.
    pub name: &'static str,
    /// Offset in bytes from the start of the region.
    pub offset: usize,
    /// Width of the access in bytes.
    pub width: usize,
    /// What may be done with it.
    pub access: RegisterAccess,
    /// Its fields.
    pub fields: &'static [FieldInfo],
}

impl RegisterInfo {
    /// What is known of a register made by [`register!`](crate::register).
    #[must_use]
    pub const fn of<R: Register>() -> Self {
        Self {
            name: R::NAME,
            offset: R::OFFSET,
            width: R::Raw::WIDTH,
            access: R::ACCESS,
            fields: R::FIELDS,
        }
    }

    /// The same register at another place: its index times a stride, for devices that are wired so.
    #[must_use]
    pub const fn at(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }
}

/// The registers of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterMap {
    /// The region's number.
    pub region: usize,
    /// Its registers, in the order in which they are shown.
    pub registers: Vec<RegisterInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::register! {
        pub(crate) Status(u16) @ 0x04, ro {
            3:0 LEVEL: u8;
        }
        pub(crate) Command(u8) @ 0x06, wo {}
    }

    #[test]
    fn a_register_tells_its_place_width_and_direction() {
        let status = RegisterInfo::of::<Status>();
        assert_eq!((status.name, status.offset, status.width), ("Status", 4, 2));
        assert!(status.access.is_readable() && !status.access.is_writable());
        assert_eq!(status.fields[0].name, "LEVEL");
        let command = RegisterInfo::of::<Command>().at(0x18);
        assert_eq!((command.offset, command.access.as_str()), (0x18, "wo"));
        assert!(!command.access.is_readable());
    }
}
