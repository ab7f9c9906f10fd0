//! The wire protocol that CUSE and FUSE share: what the kernel writes to the channel, and what we answer.
//!
//! - [`abi`]: the structures of `include/uapi/linux/fuse.h`, their sizes proven at compile time;
//! - [`request`]: bytes to a typed [`Request`](request::Request); takes any bytes without a panic;
//! - [`reply`]: a typed [`Reply`](reply::Reply) to bytes, without a copy of the data.
//!
//! Nothing here does I/O, holds state or has unsafe code. One `read(2)` of the channel is one request, one
//! `write(2)` is one reply.

pub(crate) mod abi;
pub(crate) mod reply;
pub(crate) mod request;
