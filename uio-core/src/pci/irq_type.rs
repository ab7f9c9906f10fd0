//! The kinds of interrupts that a function can have.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

bitflags::bitflags! {
    /// Kinds of interrupts that a driver can do with. The kernel's `PCI_IRQ_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct IrqTypes: u32 {
        /// The pin, or its emulation: one level-triggered line, perhaps shared.
        const INTX = 1 << 0;
        /// Messages whose vectors stand in a row.
        const MSI = 1 << 1;
        /// Messages with a table of vectors.
        const MSIX = 1 << 2;
    }
}

impl IrqTypes {
    /// Any kind: `PCI_IRQ_ALL_TYPES`.
    pub const ALL: Self = Self::all();

    /// The kinds in the order in which the kernel tries them: MSI-X, MSI, INTx.
    pub fn by_preference(self) -> impl Iterator<Item = IrqType> {
        [IrqType::MsiX, IrqType::Msi, IrqType::Intx]
            .into_iter()
            .filter(move |kind| self.contains(kind.flag()))
    }
}

impl FromStr for IrqTypes {
    type Err = Error;

    /// As a user writes it: `auto` is any kind, the others are one.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::ALL),
            "intx" => Ok(Self::INTX),
            "msi" => Ok(Self::MSI),
            "msix" => Ok(Self::MSIX),
            _ => Err(Error::invalid("cannot use interrupt kind", text, "it is not known")
                .with_hint("use auto, intx, msi or msix")),
        }
    }
}

/// The kind of an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IrqType {
    /// The pin, or its emulation.
    Intx,
    /// Messages whose vectors stand in a row.
    Msi,
    /// Messages with a table of vectors.
    MsiX,
}

impl IrqType {
    /// The kind as a flag.
    #[must_use]
    pub const fn flag(self) -> IrqTypes {
        match self {
            Self::Intx => IrqTypes::INTX,
            Self::Msi => IrqTypes::MSI,
            Self::MsiX => IrqTypes::MSIX,
        }
    }
}

impl fmt::Display for IrqType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intx => "INTx",
            Self::Msi => "MSI",
            Self::MsiX => "MSI-X",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_a_user_writes_it() {
        assert_eq!("auto".parse(), Ok(IrqTypes::ALL));
        assert_eq!("msix".parse(), Ok(IrqTypes::MSIX));
        let error = "MSI".parse::<IrqTypes>().unwrap_err().to_string();
        assert!(error.contains("MSI") && error.contains("intx"), "{error}");
    }
}
