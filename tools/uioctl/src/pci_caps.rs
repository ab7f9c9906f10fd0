//! What a PCI function can do, by the capabilities in its configuration space.
//!
//! [`Abilities`] are read as far as the reader may see: all for root, the pin alone for others, since capabilities begin
//! behind the first 64 bytes. The numbers are those of `include/uapi/linux/pci_regs.h`.

use serde::Serialize;
use uio_core::pci::{Capability, ConfigSpace, cap_id, ext_id};

/// Capabilities by number, with the names by which they are known. Those with `true` are for a table of few words.
const NAMES: [(u16, &str, bool); 13] = [
    (cap_id::PM as u16, "PM", true),
    (0x02, "AGP", false),
    (0x03, "VPD", false),
    (cap_id::MSI as u16, "MSI", true),
    (0x07, "PCI-X", false),
    (0x08, "HyperTransport", false),
    (0x09, "vendor-specific", false),
    (0x0D, "subsystem", false),
    (cap_id::EXPRESS as u16, "PCIe", true),
    (cap_id::MSIX as u16, "MSI-X", true),
    (0x12, "SATA", false),
    (cap_id::AF as u16, "AF", true),
    (0x14, "EA", false),
];

/// Extended capabilities, as in [`NAMES`].
const EXTENDED: [(u16, &str, bool); 13] = [
    (ext_id::AER, "AER", true),
    (0x0002, "VC", false),
    (0x0003, "serial-number", false),
    (0x000B, "vendor-specific-ext", false),
    (ext_id::ACS, "ACS", true),
    (0x000E, "ARI", false),
    (0x000F, "ATS", true),
    (ext_id::SRIOV, "SR-IOV", true),
    (0x0013, "PRI", true),
    (0x0015, "resizable-BAR", false),
    (0x0018, "LTR", false),
    (0x001B, "PASID", true),
    (0x001E, "L1-PM", false),
];

/// What a function can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Abilities {
    /// The pin that it raises, `A` to `D`.
    pub(crate) pin: Option<char>,
    /// In the order of the function's lists.
    pub(crate) capabilities: Vec<Ability>,
    /// Whether the reader has seen the lists to their ends.
    pub(crate) complete: bool,
}

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ability {
    id: u16,
    extended: bool,
    name: Option<&'static str>,
    /// How many vectors it has, of MSI and MSI-X.
    vectors: Option<u16>,
    offset: usize,
    #[serde(skip)]
    notable: bool,
}

impl Abilities {
    /// Reads the lists.
    pub(crate) fn read(space: &ConfigSpace) -> Self {
        let pin = space.header().ok().and_then(|header| header.interrupt_pin);
        let plain = space.capabilities().map(|one| ability(space, one, false));
        let extended = space.ext_capabilities().map(|one| ability(space, one, true));
        Self {
            pin: pin.map(|pin| char::from(b'A' + pin - 1)),
            capabilities: plain.chain(extended).collect(),
            // Whoever may read the first byte behind the header may read the last.
            complete: space.read8(0x40).is_ok(),
        }
    }

    /// `INTx, MSI 1, PCIe`: those that matter to who writes a driver.
    pub(crate) fn in_short(&self) -> String {
        let pin = self.pin.map(|_| "INTx".to_owned());
        let named = self.capabilities.iter().filter(|one| one.notable).filter_map(|one| {
            let name = one.name?;
            Some(one.vectors.map_or_else(|| name.to_owned(), |count| format!("{name} {count}")))
        });
        let more = (!self.complete).then(|| "more for root".to_owned());
        pin.into_iter().chain(named).chain(more).collect::<Vec<_>>().join(", ")
    }
}

fn ability(space: &ConfigSpace, one: Capability, extended: bool) -> Ability {
    let names = if extended { EXTENDED.as_slice() } else { NAMES.as_slice() };
    let known = names.iter().find(|(id, _, _)| *id == one.id);
    let vectors = if extended { None } else { vectors(space, one) };
    Ability {
        id: one.id,
        extended,
        name: known.map(|(_, name, _)| *name),
        vectors,
        offset: one.offset,
        notable: known.is_some_and(|(_, _, notable)| *notable),
    }
}

/// How many vectors MSI or MSI-X has.
fn vectors(space: &ConfigSpace, one: Capability) -> Option<u16> {
    // Both have their control register behind the number and the link.
    let control = |at: usize| space.read16(at + 2).ok();
    match u8::try_from(one.id).ok()? {
        // A power of two; more than 32 is reserved.
        cap_id::MSI => Some(1 << (control(one.offset)? >> 1 & 7)),
        // The last one's number.
        cap_id::MSIX => Some((control(one.offset)? & 0x7FF) + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pci_config;

    /// A space of `size` bytes with a list of PM, MSI with 8 vectors, MSI-X with 5, and AER where there is room.
    fn abilities(size: usize) -> Abilities {
        let mut bytes = vec![0; 4096];
        for (at, part) in [
            (0x00, &[0x86, 0x80, 0xD3, 0x10, 0, 0, 0x10, 0][..]),
            (0x34, &[0x40]),
            (0x3D, &[2]),
            (0x40, &[0x01, 0x50]),
            (0x50, &[0x05, 0x60, 0x86, 0x00]),
            (0x60, &[0x11, 0x70, 0x04, 0x80]),
            (0x70, &[0x77, 0x00]),
            (0x100, &[0x01, 0x00, 0x02, 0x00]),
        ] {
            bytes[at..at + part.len()].copy_from_slice(part);
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config"), &bytes[..size]).unwrap();
        let space = pci_config::open(dir.path()).unwrap();
        Abilities::read(&space)
    }

    #[test]
    fn root_sees_them_all() {
        let all = abilities(4096);
        assert_eq!(all.in_short(), "INTx, PM, MSI 8, MSI-X 5, AER");
        assert_eq!((all.pin, all.complete, all.capabilities.len()), (Some('B'), true, 5));
        assert_eq!((all.capabilities[3].id, all.capabilities[3].name), (0x77, None));
    }

    #[test]
    fn others_see_the_pin_and_that_there_is_more() {
        let seen = abilities(64);
        assert_eq!(seen.in_short(), "INTx, more for root");
        assert!(!seen.complete);
        assert_eq!(abilities(256).in_short(), "INTx, PM, MSI 8, MSI-X 5");
    }
}
