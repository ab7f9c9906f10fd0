//! The configuration space of a PCI function, read through sysfs: who may not see all of it sees its first 64 bytes.
//!
//! The file is opened for reading alone, and a function that sleeps without power (`D3cold`) is left to sleep: the
//! kernel would wake it for a read (`pci_config_pm_runtime_get` in `drivers/pci/pci.c`).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use uio_core::Errno;
use uio_core::pci::{ConfigAccess, ConfigSpace};

/// Opens the space of the function whose directory in sysfs this is.
pub(crate) fn open(dir: &Path) -> io::Result<ConfigSpace> {
    if fs::read_to_string(dir.join("power_state")).is_ok_and(|state| state.trim() == "D3cold") {
        return Err(io::Error::other("it sleeps without power"));
    }
    let file = File::open(dir.join("config"))?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    Ok(ConfigSpace::new(Arc::new(Readable { file, size })))
}

/// Reads, and never writes.
struct Readable {
    file: File,
    size: usize,
}

impl ConfigAccess for Readable {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, at: usize, buf: &mut [u8]) -> Result<(), Errno> {
        // CAST: a place in a space of 4096 bytes at most, or beyond the end of any file.
        self.file.read_exact_at(buf, at as u64).map_err(|error| match error.kind() {
            // The rest is for root.
            io::ErrorKind::UnexpectedEof => Errno::EACCES,
            _ => Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        })
    }

    fn write(&self, _at: usize, _data: &[u8]) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_is_read_as_far_as_the_kernel_shows_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; 64];
        bytes[..4].copy_from_slice(&[0x34, 0x12, 0xE8, 0x11]);
        fs::write(dir.path().join("config"), &bytes).unwrap();
        let file = File::options().write(true).open(dir.path().join("config")).unwrap();
        let space = open(dir.path()).unwrap();
        assert_eq!(space.header().unwrap().id.to_string(), "1234:11e8");
        file.set_len(32).unwrap();
        assert_eq!(space.read8(0x3D), Err(Errno::EACCES));
        assert_eq!(space.write8(0, 1), Err(Errno::EROFS));
    }

    #[test]
    fn a_function_without_power_is_not_woken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config"), [0; 64]).unwrap();
        fs::write(dir.path().join("power_state"), "D3cold\n").unwrap();
        assert!(open(dir.path()).is_err());
    }
}
