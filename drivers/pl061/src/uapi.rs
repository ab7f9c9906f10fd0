//! The structures of the kernel's GPIO character device, version 2 (`include/uapi/linux/gpio.h`), as far as the node
//! takes them, and how they say what a line is to be.
//!
//! On the node they mean all eight lines, as if one request had asked for the offsets 0 to 7 in this order: bit n of a
//! mask is line n.

use uio_core::error::Errno;

use crate::lines::{Change, Kind, LineState, To};
use crate::regs::LINES;

/// `struct gpiochip_info`.
pub(crate) const CHIP_INFO_BYTES: usize = 68;
/// `struct gpio_v2_line_info`.
pub(crate) const LINE_INFO_BYTES: usize = 256;
/// `struct gpio_v2_line_config`.
pub(crate) const LINE_CONFIG_BYTES: usize = 272;
/// `struct gpio_v2_line_values`.
pub(crate) const LINE_VALUES_BYTES: usize = 16;

const NAME_BYTES: usize = 32;

/// `enum gpio_v2_line_flag`: another user has the line.
const USED: u64 = 1 << 0;
const INPUT: u64 = 1 << 2;
const OUTPUT: u64 = 1 << 3;
const EDGE_RISING: u64 = 1 << 4;
const EDGE_FALLING: u64 = 1 << 5;
/// Not the kernel's: the line tells its level.
const LEVEL_HIGH: u64 = 1 << 62;
const LEVEL_LOW: u64 = 1 << 63;

const TELLS: u64 = EDGE_RISING | EDGE_FALLING | LEVEL_HIGH | LEVEL_LOW;
const KNOWN: u64 = INPUT | OUTPUT | TELLS;

/// `enum gpio_v2_line_attr_id`.
const ATTR_FLAGS: u32 = 1;
const ATTR_OUTPUT_VALUES: u32 = 2;

/// Where the attributes of a `struct gpio_v2_line_config` are, and how far apart.
const ATTRS_AT: usize = 32;
const ATTR_BYTES: usize = 24;
const ATTRS: usize = 10;

/// A number at a place of a structure.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Errno> {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_ne_bytes).ok_or(Errno::EINVAL)
}

/// As [`u32_at`], of 64 bits.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Errno> {
    let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_ne_bytes).ok_or(Errno::EINVAL)
}

/// A mask of lines, all of which are there.
pub(crate) fn mask(bits: u64) -> Result<u8, Errno> {
    u8::try_from(bits).map_err(|_| Errno::EINVAL)
}

/// An attribute: what it is, its value, and the lines that it is for.
#[derive(Debug, Clone, Copy)]
struct Attr {
    id: u32,
    value: u64,
    lines: u8,
}

impl Attr {
    fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        let id = u32_at(bytes, 0)?;
        let known = [ATTR_FLAGS, ATTR_OUTPUT_VALUES].contains(&id);
        if !known || u32_at(bytes, 4)? != 0 {
            return Err(Errno::EINVAL);
        }
        Ok(Self { id, value: u64_at(bytes, 8)?, lines: mask(u64_at(bytes, 16)?)? })
    }
}

/// What a `struct gpio_v2_line_config` asks for. A line that it makes neither input nor output stays as it is, as in
/// the kernel since Linux 6.10.
///
/// # Errors
///
/// `EINVAL` for what the kernel refuses so (edges on an output, both directions, padding that is not zero), and for
/// what the block does not have: other flags, debouncing, lines beyond the eighth, edges and levels at once.
pub(crate) fn line_config(bytes: &[u8]) -> Result<Vec<Change>, Errno> {
    let flags = u64_at(bytes, 0)?;
    // CAST: a usize has at least 32 bits on Linux.
    let count = u32_at(bytes, 8)? as usize;
    let padding = bytes.get(12..ATTRS_AT).ok_or(Errno::EINVAL)?;
    if count > ATTRS || padding.iter().any(|byte| *byte != 0) {
        return Err(Errno::EINVAL);
    }
    let attrs = bytes.get(ATTRS_AT..).unwrap_or_default().chunks_exact(ATTR_BYTES).take(count);
    let attrs = attrs.map(Attr::parse).collect::<Result<Vec<_>, _>>()?;
    let mut changes = Vec::new();
    for line in 0..LINES {
        // The first that is for the line counts.
        let of = |id| attrs.iter().find(|attr| attr.id == id && attr.lines >> line & 1 != 0);
        let flags = of(ATTR_FLAGS).map_or(flags, |attr| attr.value);
        let high = of(ATTR_OUTPUT_VALUES).is_some_and(|attr| attr.value >> line & 1 != 0);
        if let Some(to) = target(flags, u8::from(high) << line)? {
            add(&mut changes, 1 << line, to);
        }
    }
    Ok(changes)
}

/// What flags make of a line; nothing if they give no direction.
fn target(flags: u64, level: u8) -> Result<Option<To>, Errno> {
    let direction = flags & (INPUT | OUTPUT);
    match (direction, flags & TELLS) {
        _ if flags & !KNOWN != 0 => Err(Errno::EINVAL),
        (0, 0) => Ok(None),
        (OUTPUT, 0) => Ok(Some(To::Output(level))),
        (INPUT, tells) => Ok(Some(To::Input(kind_of(tells)?))),
        _ => Err(Errno::EINVAL),
    }
}

fn kind_of(tells: u64) -> Result<Kind, Errno> {
    const BOTH: u64 = EDGE_RISING | EDGE_FALLING;
    match tells {
        0 => Ok(Kind::None),
        EDGE_RISING => Ok(Kind::Rising),
        EDGE_FALLING => Ok(Kind::Falling),
        BOTH => Ok(Kind::Both),
        LEVEL_HIGH => Ok(Kind::LevelHigh),
        LEVEL_LOW => Ok(Kind::LevelLow),
        _ => Err(Errno::EINVAL),
    }
}

/// Adds a line to the change that it shares, so that lines change together.
fn add(changes: &mut Vec<Change>, line: u8, to: To) {
    for change in changes.iter_mut() {
        match (&mut change.to, to) {
            (To::Output(levels), To::Output(level)) => *levels |= level,
            (known, to) if *known == to => {}
            _ => continue,
        }
        change.lines |= line;
        return;
    }
    changes.push(Change { lines: line, to });
}

/// Fills a `struct gpio_v2_line_info`.
pub(crate) fn put_line_info(bytes: &mut [u8], offset: u32, state: &LineState, name: &str) {
    let direction = if state.output { OUTPUT } else { INPUT };
    let used = if state.taken { USED } else { 0 };
    let tells = match state.kind {
        Kind::None => 0,
        Kind::Rising => EDGE_RISING,
        Kind::Falling => EDGE_FALLING,
        Kind::Both => EDGE_RISING | EDGE_FALLING,
        Kind::LevelHigh => LEVEL_HIGH,
        Kind::LevelLow => LEVEL_LOW,
    };
    let flags = direction | used | tells;
    bytes.fill(0);
    put_name(bytes, 0, name);
    bytes[64..68].copy_from_slice(&offset.to_ne_bytes());
    bytes[72..80].copy_from_slice(&flags.to_ne_bytes());
}

/// Fills a `struct gpiochip_info`.
pub(crate) fn put_chip_info(bytes: &mut [u8], name: &str, label: &str) {
    bytes.fill(0);
    put_name(bytes, 0, name);
    put_name(bytes, NAME_BYTES, label);
    // CAST: eight.
    bytes[2 * NAME_BYTES..].copy_from_slice(&(LINES as u32).to_ne_bytes());
}

/// As much of a name as there is room for before the zero byte that ends it.
fn put_name(bytes: &mut [u8], place: usize, name: &str) {
    let len = name.len().min(NAME_BYTES - 1);
    bytes[place..place + len].copy_from_slice(&name.as_bytes()[..len]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: u64, attrs: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; LINE_CONFIG_BYTES];
        bytes[..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&u32::try_from(attrs.len()).unwrap().to_ne_bytes());
        for (index, (id, value, mask)) in attrs.iter().enumerate().take(ATTRS) {
            let at = ATTRS_AT + index * ATTR_BYTES;
            bytes[at..at + 4].copy_from_slice(&id.to_ne_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&value.to_ne_bytes());
            bytes[at + 16..at + 24].copy_from_slice(&mask.to_ne_bytes());
        }
        bytes
    }

    fn asked(flags: u64, attrs: &[(u32, u64, u64)]) -> Result<Vec<(u8, To)>, Errno> {
        let changes = line_config(&config(flags, attrs))?;
        Ok(changes.into_iter().map(|change| (change.lines, change.to)).collect())
    }

    #[test]
    fn flags_are_for_all_lines_and_an_attribute_for_those_in_its_mask() {
        assert_eq!(asked(INPUT | EDGE_RISING, &[]), Ok(vec![(0xFF, To::Input(Kind::Rising))]));
        let both = INPUT | EDGE_RISING | EDGE_FALLING;
        assert_eq!(asked(0, &[(1, both, 8)]), Ok(vec![(8, To::Input(Kind::Both))]));
        let first_counts = [(1, INPUT, 0x0F), (1, OUTPUT, 0x18), (2, 0x30, 0x30)];
        let wanted = vec![(0x0F, To::Input(Kind::None)), (0x10, To::Output(0x10))];
        assert_eq!(asked(0, &first_counts), Ok(wanted));
    }

    #[test]
    fn outputs_change_together_and_are_low_if_nothing_else_is_said() {
        let attrs = [(1, OUTPUT, 0xF0), (2, 0xA0, 0xE0)];
        assert_eq!(asked(0, &attrs), Ok(vec![(0xF0, To::Output(0xA0))]));
    }

    #[test]
    fn what_the_kernel_or_the_block_does_not_take_is_refused() {
        for flags in [
            OUTPUT | EDGE_RISING,
            EDGE_FALLING,
            INPUT | OUTPUT,
            INPUT | EDGE_RISING | LEVEL_HIGH,
            INPUT | LEVEL_LOW | LEVEL_HIGH,
            INPUT | 1 << 1,
            OUTPUT | 1 << 6,
            INPUT | 1 << 11,
            USED,
        ] {
            assert_eq!(asked(flags, &[]), Err(Errno::EINVAL), "{flags:#x}");
        }
        assert_eq!(asked(0, &[(3, 1000, 1)]), Err(Errno::EINVAL), "debouncing");
        assert_eq!(asked(0, &[(1, INPUT, 0x100)]), Err(Errno::EINVAL), "line 8");
        assert_eq!(asked(0, &[(1, INPUT, 1); 11]), Err(Errno::EINVAL), "eleven attributes");
        let mut padded = config(INPUT, &[]);
        padded[20] = 1;
        assert_eq!(line_config(&padded), Err(Errno::EINVAL), "padding");
        assert_eq!(line_config(&[0; 100]), Ok(Vec::new()), "the rest is not looked at");
    }

    #[test]
    fn a_line_is_described_by_the_kernels_flags() {
        let mut bytes = [0xAA; LINE_INFO_BYTES];
        let state =
            LineState { output: false, high: true, kind: Kind::Both, fired: false, taken: true };
        put_line_info(&mut bytes, 3, &state, "reset-button");
        assert_eq!(u32_at(&bytes, 64), Ok(3));
        assert_eq!(u64_at(&bytes, 72), Ok(USED | INPUT | EDGE_RISING | EDGE_FALLING));
        assert_eq!(&bytes[..13], b"reset-button\0");
        assert!(bytes[80..].iter().chain(&bytes[13..64]).all(|byte| *byte == 0));
    }
}
