//! `u-dma-buf`: contiguous memory that a module of that name gives to processes, as `/dev/NAME` with attributes in sysfs.
//!
//! | attribute | meaning |
//! | --- | --- |
//! | `phys_addr`, `size` | where the memory is, and how many bytes |
//! | `dma_coherent` | 1: devices see the CPU's caches |
//! | `sync_mode` | 0, 4: always cached; 5, 6, 7: never; 1, 2, 3: not if the node is opened with `O_SYNC` |
//! | `sync_offset`, `sync_size`, `sync_direction` | what the next two are about; 0 both ways, 1 to the device, 2 from it |
//! | `sync_for_cpu`, `sync_for_device` | a 1 that is written drops caches, or writes them back |
//!
//! The module is not part of Linux, and no kernel of the test bench has it: this is tested on files that stand in for it.
//! Numbers are decimal, or hexadecimal with `0x`.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Whether the CPU is to have the memory in its caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caching {
    /// Not.
    Off,
    /// It is.
    On,
}

/// One piece of memory: its node, opened, and its attributes.
#[derive(Debug)]
pub(crate) struct UDmaBuf {
    file: File,
    attributes: PathBuf,
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// Whether devices see the caches.
    pub(crate) is_coherent: bool,
    /// What the mapping will be.
    pub(crate) caching: Caching,
}

impl UDmaBuf {
    /// Opens the piece `name` of those below `class` and `dev`: `/sys/class/u-dma-buf` and `/dev`.
    pub(crate) fn open(class: &Path, dev: &Path, name: &str, wanted: Caching) -> Result<Self> {
        let attributes = class.join(name);
        let address = number(&attributes, "phys_addr")?;
        let size = number(&attributes, "size")?;
        // Old modules do not have it.
        let is_coherent = number(&attributes, "dma_coherent").is_ok_and(|value| value == 1);
        let mode = number(&attributes, "sync_mode")?;
        let caching = caching(mode, wanted);
        if wanted == Caching::Off && caching == Caching::On {
            let mend = attributes.join("sync_mode");
            return Err(Error::invalid(
                "cannot open uncached",
                dev.join(name).display(),
                format!("its sync_mode is {mode}, with which it is always cached"),
            )
            .with_hint(format!("run `echo 1 > {}` as root", mend.display())));
        }
        let path = dev.join(name);
        let sync = if wanted == Caching::Off { libc::O_SYNC } else { 0 };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC | sync)
            .open(&path)
            .map_err(|error| Error::from_io(&error, "cannot open", path.display()))?;
        Ok(Self { file, attributes, address, size, is_coherent, caching })
    }

    /// Writes a number to an attribute.
    pub(crate) fn write(&self, attribute: &str, value: u64) -> Result<()> {
        let path = self.attributes.join(attribute);
        fs::write(&path, value.to_string())
            .map_err(|error| Error::from_io(&error, "cannot write", path.display()))
    }
}

impl AsFd for UDmaBuf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What a mapping is, of a node that is opened so.
fn caching(mode: u64, wanted: Caching) -> Caching {
    match mode {
        5..=7 => Caching::Off,
        1..=3 => wanted,
        _ => Caching::On,
    }
}

fn number(dir: &Path, attribute: &str) -> Result<u64> {
    let path = dir.join(attribute);
    let text = fs::read_to_string(&path).map_err(|error| {
        Error::from_io(&error, "cannot read", path.display())
            .with_hint("load the module u-dma-buf, and give it the piece: see its README")
    })?;
    let text = text.trim();
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    value.ok_or_else(|| {
        Error::invalid("cannot read", path.display(), format!("`{text}` is no number"))
    })
}
