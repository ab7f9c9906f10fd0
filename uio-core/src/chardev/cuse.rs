//! What only CUSE has: the handshake that makes `/dev/NAME`, and the file's owner and mode.
//!
//! ```text
//!   open /dev/cuse ──▶ CUSE_INIT read ──▶ answered ──▶ the kernel has made /dev/NAME, or killed the channel
//!                                                       │
//!                                                       └▶ node in place; it goes when the channel is closed
//! ```
//!
//! The kernel never refuses the answer: a name that is taken shows as an error condition of the channel.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::Options;
use super::channel::Channel;
use super::wire::abi::{
    CUSE_UNRESTRICTED_IOCTL, CuseInitIn, CuseInitOut, MAJOR, MINOR, MINOR_OLDEST,
};
use super::wire::reply::Reply;
use super::wire::request::{Operation, Request};
use crate::error::{Error, Result};

/// The longest READ or WRITE in one piece, in bytes: the kernel makes none larger than 32 pages.
pub(crate) const MAX_TRANSFER: usize = 128 << 10;

/// The mode that the kernel gives a new node. A node that wants this one is left to udev's rules.
const KERNEL_MODE: u32 = 0o600;

/// Makes `/dev/NAME`.
pub(crate) fn make_node(channel: &Channel, options: &Options) -> Result<PathBuf> {
    let path = Path::new("/dev").join(&options.name);
    refuse_taken(&path)?;
    handshake(channel, options, &path)?;
    if !is_char_device(&path) {
        return Err(failed(Errno::ENOENT, &path)
            .with_cause("the kernel made the device, but no file for it appeared")
            .with_hint("/dev is not the kernel's devtmpfs here; run outside the container, or use a FUSE node"));
    }
    set_rights(&path, options)?;
    Ok(path)
}

fn refuse_taken(path: &Path) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    let taken = failed(Errno::EEXIST, path).with_hint("choose another name");
    Err(if metadata.file_type().is_char_device() {
        let (major, minor) = (libc::major(metadata.rdev()), libc::minor(metadata.rdev()));
        taken.with_cause(format_args!("it is character device {major}:{minor} already"))
    } else {
        taken.with_cause("there is a file of that name already")
    })
}

fn handshake(channel: &Channel, options: &Options, path: &Path) -> Result<()> {
    let bytes = channel.receive_first().map_err(|errno| failed(errno, path))?;
    let Some(Request { header, operation: Operation::CuseInit(ask) }) = Request::parse(&bytes)
    else {
        return Err(
            failed(Errno::EPROTO, path).with_cause("the kernel did not begin with CUSE_INIT")
        );
    };
    if ask.major != MAJOR || ask.minor < MINOR_OLDEST {
        return Err(failed(Errno::EPROTO, path).with_cause(format_args!(
            "the kernel speaks protocol {}.{}, too old for this node",
            ask.major, ask.minor
        )));
    }
    let info = CString::new(format!("DEVNAME={}", options.name))
        .map_err(|_| failed(Errno::EINVAL, path))?;
    let reply = Reply::CuseInit(answer(&ask, options), info.as_bytes_with_nul());
    channel.send(header.unique, &reply).map_err(|errno| failed(errno, path))?;
    if channel.is_dead() {
        return Err(failed(Errno::EEXIST, path)
            .with_cause("the kernel refused it: most likely another CUSE device has that name")
            .with_hint(format_args!(
                "choose another name; see /sys/class/cuse/{} and the kernel log",
                options.name
            )));
    }
    Ok(())
}

fn answer(ask: &CuseInitIn, options: &Options) -> CuseInitOut {
    let wanted = if options.unrestricted_ioctl { CUSE_UNRESTRICTED_IOCTL } else { 0 };
    CuseInitOut {
        major: MAJOR,
        minor: ask.minor.min(MINOR),
        flags: ask.flags & wanted,
        max_read: MAX_TRANSFER as u32,
        max_write: MAX_TRANSFER as u32,
        ..CuseInitOut::default()
    }
}

fn is_char_device(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_char_device())
}

fn set_rights(path: &Path, options: &Options) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::from_io(&error, "cannot set owner and mode of", path.display())
    };
    if options.owner.is_some() || options.group.is_some() {
        chown(path, options.owner, options.group).map_err(failed)?;
    }
    if options.mode != KERNEL_MODE {
        fs::set_permissions(path, fs::Permissions::from_mode(options.mode)).map_err(failed)?;
    }
    Ok(())
}

fn failed(errno: Errno, path: &Path) -> Error {
    Error::new(errno, "cannot make the node", path.display())
}
