//! What only FUSE has: the first handshake, and how an open file of the node behaves.
//!
//! The node is a regular file in a file system of its own, the [`tree`](super::tree). With the flags below it
//! behaves as a character device does: reads and writes come to us as they are, of any length, and block.

use nix::errno::Errno;

use super::channel::Channel;
use super::wire::abi::{InitIn, InitOut, MAJOR, MINOR, fopen, init};
use super::wire::reply::Reply;
use super::wire::request::{Operation, Request};
use crate::error::{Error, Result};

/// The longest READ or WRITE in one piece, in bytes.
pub(crate) const MAX_TRANSFER: usize = 1 << 20;

/// How an open file of the node behaves.
pub(crate) const OPEN_FLAGS: u32 = fopen::DIRECT_IO
    | fopen::NONSEEKABLE
    | fopen::STREAM
    | fopen::PARALLEL_DIRECT_WRITES
    | fopen::NOFLUSH;

const PAGE: usize = 4096;
const OLDEST_MINOR: u32 = 23;

/// Whether a READ of this size may be a piece of a larger call: the largest there is, less the part of a page
/// by which the client's buffer is out of line.
pub(crate) fn may_be_split(size: u32) -> bool {
    size as usize > MAX_TRANSFER - PAGE
}

/// Answers the kernel's first request. `name` is for the message if that fails.
pub(crate) fn handshake(channel: &Channel, name: &str) -> Result<()> {
    let failed = |errno| Error::new(errno, "cannot start the FUSE node", name);
    let bytes = channel.receive_first().map_err(failed)?;
    let Some(Request { header, operation: Operation::Init(ask) }) = Request::parse(&bytes) else {
        return Err(failed(Errno::EPROTO).with_cause("the kernel did not begin with FUSE_INIT"));
    };
    if ask.major != MAJOR || ask.minor < OLDEST_MINOR {
        return Err(failed(Errno::EPROTO).with_cause(format_args!(
            "the kernel speaks protocol {}.{}, too old for this node",
            ask.major, ask.minor
        )));
    }
    channel.send(header.unique, &Reply::Init(answer(&ask))).map_err(failed)
}

fn answer(ask: &InitIn) -> InitOut {
    InitOut {
        major: MAJOR,
        minor: ask.minor.min(MINOR),
        flags: ask.flags & (init::BIG_WRITES | init::MAX_PAGES | init::FLOCK_LOCKS),
        max_write: MAX_TRANSFER as u32,
        time_gran: 1,
        max_pages: (MAX_TRANSFER / PAGE) as u16,
        ..InitOut::default()
    }
}
