//! Descriptors of a node, and calls on them that say what the kernel said.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::stream::Pattern;
use crate::{task, wait};

/// Opens for reading.
///
/// # Panics
///
/// If it cannot be opened, as all of these.
pub fn reader(path: &Path) -> File {
    open(path, OpenOptions::new().read(true))
}

/// Opens for writing.
pub fn writer(path: &Path) -> File {
    open(path, OpenOptions::new().write(true))
}

/// Opens for both.
pub fn both(path: &Path) -> File {
    open(path, OpenOptions::new().read(true).write(true))
}

/// Opens for both, with `O_NONBLOCK`.
pub fn nonblocking(path: &Path) -> File {
    let mut options = OpenOptions::new();
    open(path, options.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()))
}

fn open(path: &Path, options: &OpenOptions) -> File {
    options.open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
}

/// Sets or clears `O_NONBLOCK` on an open file.
///
/// # Panics
///
/// If the file has no flags.
pub fn set_nonblocking(file: &File, on: bool) {
    let flags = fcntl(file, FcntlArg::F_GETFL).expect("an open file has flags");
    let mut flags = OFlag::from_bits_retain(flags);
    flags.set(OFlag::O_NONBLOCK, on);
    fcntl(file, FcntlArg::F_SETFL(flags)).expect("its flags can be set");
}

/// One `read(2)` of at most `count` bytes.
///
/// # Errors
///
/// What the kernel said.
pub fn read(file: &File, count: usize) -> Result<Vec<u8>, Errno> {
    let mut buf = vec![0; count];
    let count = read_into(file, &mut buf)?;
    buf.truncate(count);
    Ok(buf)
}

/// One `read(2)` into `buf`.
///
/// # Errors
///
/// What the kernel said.
pub fn read_into(mut file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
    file.read(buf).map_err(|error| errno(&error))
}

/// One `write(2)`.
///
/// # Errors
///
/// What the kernel said.
pub fn write(mut file: &File, data: &[u8]) -> Result<usize, Errno> {
    file.write(data).map_err(|error| errno(&error))
}

/// The number of an error of the system.
pub fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// What the file is ready for, of `events`, now.
pub fn ready(file: &File, events: PollFlags) -> PollFlags {
    ready_within(file, events, Duration::ZERO)
}

/// What the file is ready for, of `events`, as soon as it is anything, and at the latest after `span`.
///
/// # Panics
///
/// If poll fails.
pub fn ready_within(file: &File, events: PollFlags, span: Duration) -> PollFlags {
    let mut fds = [PollFd::new(file.as_fd(), events)];
    let timeout = PollTimeout::try_from(span).expect("a span that poll takes");
    poll(&mut fds, timeout).expect("poll works");
    fds[0].revents().expect("known events")
}

/// What the rings and the FIFOs of a `uio_dummy` hold together: the tx ring, TX, RX and the rx ring.
pub const EVERYTHING: usize = 4 * 64 * 1024;

/// Fills the rings and the FIFOs with the bytes of `pattern`, so that the next write finds no room.
///
/// # Panics
///
/// If a write fails with anything but `EAGAIN`.
pub fn fill(node: &Path, pattern: &mut Pattern) {
    let file = nonblocking(node);
    let bytes = pattern.take(EVERYTHING);
    let mut written = 0;
    wait::until("a full device", || {
        match write(&file, &bytes[written..]) {
            Ok(count) => written += count,
            Err(errno) => assert_eq!(errno, Errno::EAGAIN),
        }
        written == EVERYTHING
    });
}

/// Reads `count` bytes, beside the story, so that it has a deadline.
///
/// # Panics
///
/// If a read fails.
pub fn read_exactly(node: &Path, count: usize) -> Vec<u8> {
    let file = reader(node);
    let reading = task::spawn(move || {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(read(&file, count - all.len()).expect("a read"));
        }
        all
    });
    reading.finish("all bytes")
}
