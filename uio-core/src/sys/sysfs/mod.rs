//! sysfs: which devices this machine has, read from text attributes alone.
//!
//! [`Sysfs`] is the entry; [`UioInfo`], [`PciInfo`] and [`PlatformInfo`] are what it finds. Nothing here opens a device node
//! or a PCI configuration space: looking at a device must not change it, and closing a node of
//! `uio_pci_generic` would stop the DMA of whoever else has it open.
//!
//! Values are parsed tolerantly. A device may vanish, and a driver may print what it likes, while a list is
//! made: such a device is left out of the list, such a value reads as zero or as empty. Neither is an error,
//! and none is a panic.
//!
//! What changes a device stands apart: [`bind`] gives a device to another driver and [`rule`] does so at every
//! boot, after [`usage`] has said what the device is in use for.
//!
//! The neighbours: `device/` builds devices from what is found here, and `uioctl` shows it.
//! The formats are those of `Documentation/ABI/` in the kernel tree: `testing/sysfs-bus-pci`, and for UIO
//! `drivers/uio/uio.c`.

pub mod bind;
mod bus;
mod group;
mod near;
mod pci;
mod platform;
pub mod rule;
mod uio;
pub mod usage;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use bus::{Bus, BusDevice};
pub use group::GroupMember;
pub use near::nearest;
pub use pci::{MsiKind, PciBar, PciInfo};
pub use platform::{PRIMECELL, PlatformInfo};
pub use uio::{UioInfo, UioMap, UioPort};

/// A mounted sysfs: the machine's own, or a copy of one for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// The machine's own, `/sys`.
    pub fn new() -> Self {
        Self::at("/sys")
    }

    /// A sysfs tree at another place.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where this sysfs is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Default for Sysfs {
    fn default() -> Self {
        Self::new()
    }
}

/// One text attribute without its line end, or why it cannot be read.
///
/// Bytes that are no UTF-8 are replaced: a name is for looking at, not for trust.
fn read_text(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches(['\n', '\0']).to_owned())
}

/// One text attribute, or the empty string.
fn text_or_empty(path: &Path) -> String {
    read_text(path).unwrap_or_default()
}

/// One numeric attribute, or zero.
fn number_or_zero(path: &Path) -> u64 {
    parse_number(&text_or_empty(path)).unwrap_or(0)
}

/// `0x1f` or `31`, with blanks around it.
fn parse_number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The last part of what a symbolic link points to: the name of a driver, the number of a group.
fn link_name(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// The numbered entries of a directory (`map0`, `map1`, ...), in the order of their numbers.
///
/// A directory that is not there has none.
fn numbered_entries(dir: &Path, prefix: &str) -> Vec<(usize, PathBuf)> {
    let mut found: Vec<_> = entry_names(dir)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix(prefix)?.parse().ok()?, dir.join(&name))))
        .collect();
    found.sort();
    found
}

/// The names in a directory. Names that are no UTF-8 are no names of the kernel's and are left out.
fn entry_names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(dir)?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_hexadecimal_or_decimal() {
        assert_eq!(parse_number("0x10\n"), Some(16));
        assert_eq!(parse_number(" 10 "), Some(10));
        assert_eq!(parse_number("0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(parse_number("0x1ffffffffffffffff"), None);
        assert_eq!(parse_number("(null)"), None);
    }

    #[test]
    fn map10_stands_behind_map9() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["map10", "map9", "map0", "mapx", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let numbers: Vec<_> =
            numbered_entries(dir.path(), "map").into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 9, 10]);
    }
}
