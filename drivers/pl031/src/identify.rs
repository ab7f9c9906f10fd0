//! Whether a block is the PL031 at all, by the identification registers that every PrimeCell has at its end.
//!
//! After `amba_read_periphid` of `drivers/amba/bus.c`: eight registers with a byte in each.

use uio_core::error::{Errno, Error, Result};
use uio_core::io::{AccessError, Io, IoRegion};

use crate::regs::{
    Rtcpcellid0, Rtcpcellid1, Rtcpcellid2, Rtcpcellid3, Rtcperiphid0, Rtcperiphid1, Rtcperiphid2,
};

/// What the last four registers of a PrimeCell read, the first byte lowest (`AMBA_CID`).
const PRIMECELL: u32 = 0xB105_F00D;
/// The part, as the digits of its name.
const PL031: u16 = 0x031;
/// ARM, by its JEDEC number.
const ARM: u8 = 0x41;
/// ST, whose clock of the same part number has other registers.
const ST: u8 = 0x80;

/// Who a block says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    cell: u32,
    part: u16,
    designer: u8,
    /// The revision of the part: the minor number of `r1p3`.
    pub(crate) revision: u8,
}

/// Makes sure that `regs` are those of a PL031; changes nothing there.
pub(crate) fn check(name: &str, regs: &IoRegion) -> Result<Identity> {
    let identity = read(regs)
        .map_err(|error| Error::new(error.into(), "cannot identify", name).with_cause(error))?;
    match refusal(identity) {
        None => Ok(identity),
        Some((cause, hint)) => {
            let error = Error::new(Errno::ENODEV, "cannot drive", name);
            Err(error.with_cause(cause).with_hint(hint))
        }
    }
}

fn read(regs: &IoRegion) -> std::result::Result<Identity, AccessError> {
    let cell = [
        regs.try_read::<Rtcpcellid0>()?.raw(),
        regs.try_read::<Rtcpcellid1>()?.raw(),
        regs.try_read::<Rtcpcellid2>()?.raw(),
        regs.try_read::<Rtcpcellid3>()?.raw(),
    ];
    // A byte in each; with more in one of them it is no PrimeCell.
    let whole = if cell.iter().all(|word| *word == u32::MAX) { u32::MAX } else { 0 };
    // CAST: each is at most 0xff.
    let bytes = cell.iter().all(|word| *word <= 0xFF).then(|| cell.map(|word| word as u8));
    let low = regs.try_read::<Rtcperiphid0>()?;
    let middle = regs.try_read::<Rtcperiphid1>()?;
    let high = regs.try_read::<Rtcperiphid2>()?;
    Ok(Identity {
        cell: bytes.map_or(whole, u32::from_le_bytes),
        part: u16::from(middle.get(Rtcperiphid1::PART)) << 8
            | u16::from(low.get(Rtcperiphid0::PART)),
        designer: high.get(Rtcperiphid2::DESIGNER) << 4 | middle.get(Rtcperiphid1::DESIGNER),
        revision: high.get(Rtcperiphid2::REVISION),
    })
}

/// Why a block is not driven, and what to do about it.
fn refusal(identity: Identity) -> Option<(String, &'static str)> {
    let Identity { cell, part, designer, .. } = identity;
    match (cell, part, designer) {
        (PRIMECELL, PL031, ARM) => None,
        (PRIMECELL, PL031, ST) => Some((
            "it is ST's variant of the PL031, whose registers are others".to_owned(),
            "leave it to the kernel's driver rtc-pl031, which knows it",
        )),
        (PRIMECELL, ..) => Some((
            format!("it is the PrimeCell {part:#05x} of designer {designer:#04x}, not ARM's PL031"),
            "name the driver of that block, or correct `compatible` in the device tree",
        )),
        (0 | u32::MAX, ..) => Some((
            format!(
                "its identification registers read nothing but {}",
                if cell == 0 { "zeroes" } else { "ones" }
            ),
            "check the address (`reg` in the device tree), and that the block has its clock and its power",
        )),
        _ => Some((
            format!("its PrimeCell identification reads {cell:#010x}, not {PRIMECELL:#010x}"),
            "check the address (`reg` in the device tree): this is another block",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cell: u32, part: u16, designer: u8) -> Identity {
        Identity { cell, part, designer, revision: 1 }
    }

    #[test]
    fn arms_pl031_is_driven_in_every_revision() {
        assert_eq!(refusal(identity(PRIMECELL, PL031, ARM)), None);
        let later = Identity { revision: 7, ..identity(PRIMECELL, PL031, ARM) };
        assert_eq!(refusal(later), None);
    }

    #[test]
    fn what_is_not_driven_is_told_what_it_is() {
        for (identity, words) in [
            (identity(PRIMECELL, PL031, ST), "ST's variant"),
            (identity(PRIMECELL, 0x061, ARM), "PrimeCell 0x061 of designer 0x41"),
            (identity(0, 0, 0), "nothing but zeroes"),
            (identity(u32::MAX, 0xFFF, 0xFF), "nothing but ones"),
            (identity(0x1234, PL031, ARM), "0x00001234, not 0xb105f00d"),
        ] {
            let (cause, _) = refusal(identity).expect("a refusal");
            assert!(cause.contains(words), "{cause}");
        }
    }
}
