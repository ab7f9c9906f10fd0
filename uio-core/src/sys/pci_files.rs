//! The files of a PCI function below sysfs: `config`, `resourceN` and `reset` (`drivers/pci/pci-sysfs.c`).
//!
//! They reach the function whatever driver it is bound to: this is for one that is bound to `uio_pci_generic`,
//! which gives out its interrupt and nothing else.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// An open configuration space, and the way to the function's other files.
#[derive(Debug)]
pub(crate) struct PciFiles {
    dir: PathBuf,
    config: File,
}

/// An open BAR.
#[derive(Debug)]
pub(crate) struct ResourceFile(File);

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(path)
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn whole(result: io::Result<usize>, wanted: usize) -> Result<(), Errno> {
    match result {
        Ok(done) if done == wanted => Ok(()),
        Ok(_) => Err(Errno::EIO),
        Err(error) => Err(errno(&error)),
    }
}

impl PciFiles {
    /// Opens the configuration space of the function in `dir`. The one place where these files are opened.
    ///
    /// # Errors
    ///
    /// `EACCES` for users other than root; what the kernel says.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        let config = open(&dir.join("config"))?;
        Ok(Self { dir, config })
    }

    /// Opens BAR `index`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn resource(&self, index: usize) -> io::Result<ResourceFile> {
        open(&self.dir.join(format!("resource{index}"))).map(ResourceFile)
    }

    /// Size of the configuration space, in bytes.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn config_size(&self) -> io::Result<u64> {
        Ok(self.config.metadata()?.len())
    }

    /// Reads configuration space.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the function is gone; what the kernel says.
    pub(crate) fn read_config(&self, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let wanted = buf.len();
        whole(self.config.read_at(buf, at), wanted)
    }

    /// Writes configuration space.
    ///
    /// # Errors
    ///
    /// `EPERM` if the kernel is locked down, `ENODEV` if the function is gone; what the kernel says.
    pub(crate) fn write_config(&self, at: u64, data: &[u8]) -> Result<(), Errno> {
        whole(self.config.write_at(data, at), data.len())
    }

    /// Resets the function. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the kernel knows no reset for it; what the kernel says.
    pub(crate) fn reset(&self) -> Result<(), Errno> {
        let path = self.dir.join("reset");
        let file = OpenOptions::new().write(true).custom_flags(libc::O_CLOEXEC).open(path);
        let written = file.and_then(|file| file.write_at(b"1", 0));
        written.map(drop).map_err(|error| errno(&error))
    }
}

impl ResourceFile {
    /// Reads ports; 1, 2 or 4 bytes.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let wanted = buf.len();
        whole(self.0.read_at(buf, at), wanted)
    }

    /// Writes ports; 1, 2 or 4 bytes.
    ///
    /// # Errors
    ///
    /// What the kernel says; `EPERM` if it is locked down.
    pub(crate) fn write(&self, at: u64, data: &[u8]) -> Result<(), Errno> {
        whole(self.0.write_at(data, at), data.len())
    }
}

impl AsFd for ResourceFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
