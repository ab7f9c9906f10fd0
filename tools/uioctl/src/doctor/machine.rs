//! [`Machine`]: where the checks look, and as whom.
//!
//! Everything comes from the text files below its roots, so that a test can make a machine of any kind in a directory.
//! A device node is never opened: whether it may be is asked of the kernel (`faccessat(2)`). To close a node of
//! `uio_pci_generic` would stop the DMA of whoever else has it open, and a group of VFIO opens once only.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
use uio_core::of::Tree;
use uio_core::sys::sysfs::Sysfs;

use super::kernel::Kernel;
use super::user::User;
use crate::cli::Cli;

/// What the asking user may do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read and write.
    Yes,
    /// It is there, and may not be opened for both.
    Denied,
    /// It is not there.
    Missing,
}

/// A machine, or a copy of one.
#[derive(Debug)]
pub(crate) struct Machine {
    sysfs: PathBuf,
    proc: PathBuf,
    root: PathBuf,
    pub(crate) user: User,
    pub(crate) kernel: Kernel,
    access: fn(&Path) -> Access,
}

impl Machine {
    /// The one that the command line names: this one, unless hidden options say otherwise.
    pub(crate) fn of(cli: &Cli) -> Self {
        Self::at(&cli.sysfs, &cli.proc, &cli.root, access)
    }

    pub(super) fn at(sysfs: &Path, proc: &Path, root: &Path, access: fn(&Path) -> Access) -> Self {
        let text = |path: &Path| text(path).unwrap_or_default();
        Self {
            sysfs: sysfs.to_owned(),
            proc: proc.to_owned(),
            root: root.to_owned(),
            user: User::parse(&text(&proc.join("self/status")), &text(&proc.join("self/limits"))),
            kernel: Kernel::read(proc, root),
            access,
        }
    }

    /// A path below `/sys`.
    pub(crate) fn sys(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sysfs.join(path)
    }

    /// A path below `/proc`.
    pub(crate) fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.proc.join(path)
    }

    /// A path below `/`: `dev/cuse`, `boot/...`.
    pub(crate) fn at_root(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The directory of a PCI function.
    pub(crate) fn pci_dir(&self, bdf: &str) -> PathBuf {
        self.sys("bus/pci/devices").join(bdf)
    }

    pub(crate) fn sysfs(&self) -> Sysfs {
        Sysfs::at(&self.sysfs)
    }

    /// The device tree that it was booted with, if it was.
    pub(crate) fn tree(&self) -> Tree {
        Tree::at(self.sysfs().device_tree())
    }

    /// What the asking user may do with the node at `path`.
    pub(crate) fn access(&self, path: &Path) -> Access {
        (self.access)(path)
    }

    /// Whether the word stands on the kernel's command line.
    pub(crate) fn booted_with(&self, word: &str) -> bool {
        let line = text(&self.proc("cmdline")).unwrap_or_default();
        line.split_whitespace().any(|given| given == word)
    }
}

/// A text file without its line end; `None` if it cannot be read.
pub(crate) fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches(['\n', '\0']).to_owned())
}

/// Asks the kernel, with the rights that an open would have.
fn access(path: &Path) -> Access {
    let both = AccessFlags::R_OK | AccessFlags::W_OK;
    match faccessat(AT_FDCWD, path, both, AtFlags::AT_EACCESS) {
        Ok(()) => Access::Yes,
        Err(Errno::ENOENT | Errno::ENOTDIR) => Access::Missing,
        Err(_) => Access::Denied,
    }
}
