//! The kinds of interrupts that a function can have.

use std::fmt;

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
