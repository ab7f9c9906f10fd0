//! What a node is to be: its name, kind, place and rights.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;
use crate::run_dir::default_run_dir;

/// What a node is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeKind {
    /// CUSE where `/dev/cuse` can be opened, else FUSE.
    #[default]
    Auto,
    /// A character device, `/dev/NAME`.
    Cuse,
    /// A file below [`Options::dir`] that behaves as one.
    Fuse,
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cuse => "cuse",
            Self::Fuse => "fuse",
        })
    }
}

impl FromStr for NodeKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "cuse" => Ok(Self::Cuse),
            "fuse" => Ok(Self::Fuse),
            _ => Err(Error::invalid("cannot use node kind", text, "it is not known")
                .with_hint("use auto, cuse or fuse")),
        }
    }
}

/// How a node is to be made. [`new`](Self::new) gives what most want; change the fields for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// File name of the node: 1 to 63 bytes, without slashes, blanks and control characters.
    pub name: String,
    /// CUSE or FUSE.
    pub kind: NodeKind,
    /// Directory of a FUSE node; made if it is missing. [`default_run_dir`] unless told otherwise. A CUSE node
    /// is in `/dev`.
    pub dir: PathBuf,
    /// Permission bits. For CUSE, `0o600` is the kernel's own choice and leaves the node to udev's rules.
    pub mode: u32,
    /// User id of the owner; `None`: the user of this process.
    pub owner: Option<u32>,
    /// Group id; `None`: the group of this process.
    pub group: Option<u32>,
    /// CUSE only: let the driver say how large the argument of an ioctl is
    /// ([`ioctl_layout`](super::CharDevice::ioctl_layout)), for numbers that do not tell, as `FIONREAD`.
    pub unrestricted_ioctl: bool,
}

impl Options {
    /// A node called `name`, of either kind, for the user of this process alone.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: NodeKind::Auto,
            dir: default_run_dir(),
            mode: 0o600,
            owner: None,
            group: None,
            unrestricted_ioctl: false,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_back_as_it_is_written() {
        for kind in [NodeKind::Auto, NodeKind::Cuse, NodeKind::Fuse] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "usb".parse::<NodeKind>().unwrap_err().to_string();
        assert!(error.contains("auto, cuse or fuse"), "{error}");
    }
}
