//! The lists of capabilities in a configuration space, and their numbers.

use super::ConfigSpace;

/// Numbers of capabilities (`PCI_CAP_ID_*`), as far as anything here looks for them.
pub mod id {
    /// Power management.
    pub const PM: u8 = 0x01;
    /// Message-signalled interrupts.
    pub const MSI: u8 = 0x05;
    /// PCI Express.
    pub const EXPRESS: u8 = 0x10;
    /// Message-signalled interrupts with a table.
    pub const MSIX: u8 = 0x11;
    /// Advanced features of a conventional function: its reset, for one.
    pub const AF: u8 = 0x13;
}

/// Numbers of extended capabilities (`PCI_EXT_CAP_ID_*`), as far as anything here looks for them.
pub mod ext_id {
    /// Advanced error reporting.
    pub const AER: u16 = 0x0001;
    /// Access control services.
    pub const ACS: u16 = 0x000D;
    /// Single-root virtualisation.
    pub const SRIOV: u16 = 0x0010;
}

/// One capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Its number: of [`id`] in the list of capabilities, of [`ext_id`] in that of extended ones.
    pub id: u16,
    /// Its version; 0 in the list of capabilities, which has none.
    pub version: u8,
    /// Where it begins, in bytes from the start of the configuration space.
    pub offset: usize,
}

/// As many capabilities as the space has room for: a list that is longer loops.
const MAX: usize = (0x100 - 0x40) / 4;
const MAX_EXT: usize = (0x1000 - 0x100) / 8;
/// Where the list may begin at the earliest.
const FIRST: u8 = 0x40;

/// An iterator over capabilities; see [`ConfigSpace::capabilities`].
#[derive(Debug)]
pub struct Capabilities<'a> {
    space: &'a ConfigSpace,
    next: u8,
    left: usize,
}

impl<'a> Capabilities<'a> {
    pub(super) fn new(space: &'a ConfigSpace, first: u8) -> Self {
        Self { space, next: first, left: MAX }
    }
}

impl Iterator for Capabilities<'_> {
    type Item = Capability;

    fn next(&mut self) -> Option<Capability> {
        // The lowest two bits are reserved.
        let offset = self.next & !3;
        if offset < FIRST || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let [id, next] = self.space.read16(offset.into()).ok()?.to_le_bytes();
        self.next = next;
        // All ones: nothing answers.
        (id != u8::MAX).then_some(Capability { id: id.into(), version: 0, offset: offset.into() })
    }
}

/// An iterator over extended capabilities; see [`ConfigSpace::ext_capabilities`].
#[derive(Debug)]
pub struct ExtCapabilities<'a> {
    space: &'a ConfigSpace,
    next: usize,
    left: usize,
}

impl<'a> ExtCapabilities<'a> {
    pub(super) fn new(space: &'a ConfigSpace, first: usize) -> Self {
        Self { space, next: first, left: MAX_EXT }
    }
}

impl Iterator for ExtCapabilities<'_> {
    type Item = Capability;

    fn next(&mut self) -> Option<Capability> {
        if self.next < 0x100 || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let offset = self.next;
        let word = self.space.read32(offset).ok()?;
        self.next = (word >> 20) as usize & !3;
        if word == 0 || word == u32::MAX {
            return None;
        }
        // CAST: cut to the fields' widths: 16 bits of number, 4 of version.
        Some(Capability { id: word as u16, version: (word >> 16) as u8 & 0xF, offset })
    }
}
