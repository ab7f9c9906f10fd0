//! Mounting as an ordinary user, by the set-uid helper `fusermount3`.
//!
//! ```text
//!   we                                              fusermount3
//!   a socket as its standard input ───────────────▶ checks the mount point, opens /dev/fuse, mounts
//!   receive one descriptor         ◀─────────────── sends it over the socket (_FUSE_COMMFD), ends
//! ```
//!
//! The socket goes over as standard input, so that no other child of this process can inherit it.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;

use super::channel::Channel;
use super::mount::TYPE;
use crate::error::{Error, Result};
use crate::sys::scm;

const HELPER: &str = "fusermount3";

/// How long the helper may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Mounts a node at `path`, and returns its channel.
pub(crate) fn mount(path: &Path, source: &str, for_others: bool) -> Result<Channel> {
    let failed = |errno| Error::new(errno, "cannot mount a FUSE node at", path.display());
    let (ours, theirs) = UnixStream::pair().map_err(|e| failed(errno_of(&e)))?;
    ours.set_read_timeout(Some(DEADLINE)).map_err(|e| failed(errno_of(&e)))?;
    let mut helper = Command::new(HELPER)
        .args(["-o", &options(source, for_others), "--"])
        .arg(path)
        .env("_FUSE_COMMFD", "0")
        .env("LC_ALL", "C")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(&error))?;
    match scm::receive_fd(ours.as_fd()) {
        Ok(fd) => {
            let _ = helper.wait();
            Channel::from_fd(fd).map_err(failed)
        }
        Err(errno) => {
            let said = last_words(&mut helper);
            Err(refused(failed(errno_of_refusal(errno)), &said, for_others))
        }
    }
}

/// Takes away a mount of this user, even if it is in use or its server is dead.
pub(crate) fn unmount(path: &Path) -> Result<()> {
    let done = Command::new(HELPER)
        .args(["-u", "-z", "-q", "--"])
        .arg(path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(&error))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(Error::new(Errno::EPERM, "cannot unmount", path.display())
        .with_cause(said)
        .with_hint(format_args!("as root: umount -l {}", path.display())))
}

fn options(source: &str, for_others: bool) -> String {
    let kind = TYPE.trim_start_matches("fuse.");
    let others = if for_others { ",allow_other" } else { "" };
    format!("fsname={source},subtype={kind},default_permissions,nosuid,nodev{others}")
}

/// What the helper wrote to standard error. It is ended first if it hangs.
fn last_words(helper: &mut Child) -> String {
    let ended = matches!(helper.try_wait(), Ok(Some(_)));
    if !ended {
        let _ = helper.kill();
    }
    let _ = helper.wait();
    let mut said = String::new();
    if let Some(mut stderr) = helper.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    said.trim().to_owned()
}

fn refused(error: Error, said: &str, for_others: bool) -> Error {
    let error = if said.is_empty() { error } else { error.with_cause(said) };
    if for_others && said.contains("user_allow_other") {
        return error.with_hint(
            "add the line user_allow_other to /etc/fuse.conf, or give the node a mode for its owner alone (0600)",
        );
    }
    error
}

fn not_started(error: &io::Error) -> Error {
    let error_text = Error::from_io(error, "cannot run", HELPER);
    if error.kind() == io::ErrorKind::NotFound {
        return error_text.with_hint("install the package fuse3, or run as root");
    }
    error_text
}

fn errno_of_refusal(errno: Errno) -> Errno {
    match errno {
        // The helper ended without sending anything: it says why in words.
        Errno::ENOMSG => Errno::EPERM,
        Errno::EAGAIN => Errno::ETIMEDOUT,
        other => other,
    }
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
