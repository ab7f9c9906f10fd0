//! Replies: a typed answer made into the pieces of one `writev(2)`, without copying its data.
//!
//! A reply is the header, then a structure of its kind, then data. Every error goes through [`wire_error`]:
//! the kernel refuses numbers it does not know, and takes `ENOSYS` as "never ask again".

use std::io::IoSlice;

use nix::errno::Errno;
use zerocopy::IntoBytes;

use super::abi::{
    AttrOut, CuseInitOut, EntryOut, InitOut, IoctlIovec, IoctlOut, NOTIFY_POLL,
    NotifyPollWakeupOut, OpenOut, OutHeader, PollOut, StatfsOut, WriteOut,
};

/// An answer to a request, or (with [`Reply::PollWakeup`]) a message of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    /// The call fails with this error.
    Error(Errno),
    /// The kind of request is not supported, and the kernel need not ask again.
    Unsupported,
    /// Done; nothing to say.
    Done,
    /// What was read; empty is "nothing more now", or end of file.
    Data(&'a [u8]),
    /// How many bytes were taken.
    Written(WriteOut),
    Opened(OpenOut),
    Polled(PollOut),
    Ioctl(IoctlOut, &'a [u8]),
    /// Copy these pieces of the client's memory, and ask again.
    IoctlRetry(IoctlOut, &'a [IoctlIovec]),
    Entry(EntryOut),
    Attr(AttrOut),
    Statfs(StatfsOut),
    Init(InitOut),
    /// The node is to be made, with this information (`DEVNAME=name` and a zero byte).
    CuseInit(CuseInitOut, &'a [u8]),
    /// Not a reply: pollers of this kernel handle are to look again.
    PollWakeup(NotifyPollWakeupOut),
}

impl Reply<'_> {
    /// Calls `f` with the pieces of the message that answers request `unique`.
    pub(crate) fn with_pieces<R>(&self, unique: u64, f: impl FnOnce(&[IoSlice<'_>; 3]) -> R) -> R {
        let (fixed, data) = self.parts();
        let header = OutHeader {
            // All our messages are far below 4 GiB: data is at most one request's buffer.
            len: (size_of::<OutHeader>() + fixed.len() + data.len()) as u32,
            error: self.error(),
            unique: if matches!(self, Self::PollWakeup(_)) { 0 } else { unique },
        };
        f(&[IoSlice::new(header.as_bytes()), IoSlice::new(fixed), IoSlice::new(data)])
    }

    fn error(&self) -> i32 {
        match self {
            Self::Error(errno) => -wire_error(*errno),
            Self::Unsupported => -(Errno::ENOSYS as i32),
            Self::PollWakeup(_) => NOTIFY_POLL,
            _ => 0,
        }
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Error(_) | Self::Unsupported | Self::Done => (&[], &[]),
            Self::Data(data) => (&[], data),
            Self::Written(out) => (out.as_bytes(), &[]),
            Self::Opened(out) => (out.as_bytes(), &[]),
            Self::Polled(out) => (out.as_bytes(), &[]),
            Self::Ioctl(out, data) => (out.as_bytes(), data),
            Self::IoctlRetry(out, iovecs) => (out.as_bytes(), iovecs.as_bytes()),
            Self::Entry(out) => (out.as_bytes(), &[]),
            Self::Attr(out) => (out.as_bytes(), &[]),
            Self::Statfs(out) => (out.as_bytes(), &[]),
            Self::Init(out) => (out.as_bytes(), &[]),
            Self::CuseInit(out, info) => (out.as_bytes(), info),
            Self::PollWakeup(out) => (out.as_bytes(), &[]),
        }
    }
}

/// The error as it may stand in a reply: known to the kernel, and never `ENOSYS`, which would switch the
/// operation off for the life of the node.
fn wire_error(errno: Errno) -> i32 {
    match errno {
        Errno::ENOSYS => Errno::EOPNOTSUPP as i32,
        Errno::UnknownErrno => Errno::EIO as i32,
        known => known as i32,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    use super::*;

    fn bytes(reply: &Reply<'_>, unique: u64) -> Vec<u8> {
        reply.with_pieces(unique, |pieces| pieces.iter().flat_map(|p| p.to_vec()).collect())
    }

    /// What the kernel reads back: header and the rest, with the length it insists on.
    fn decode(bytes: &[u8]) -> (OutHeader, &[u8]) {
        let (header, rest) = OutHeader::read_from_prefix(bytes).unwrap();
        assert_eq!(header.len as usize, bytes.len());
        (header, rest)
    }

    #[test]
    fn an_error_is_negative_and_carries_nothing() {
        let bytes = bytes(&Reply::Error(Errno::EAGAIN), 7);
        let (header, rest) = decode(&bytes);
        assert_eq!((header.error, header.unique), (-11, 7));
        assert!(rest.is_empty());
    }

    #[test]
    fn enosys_of_a_driver_never_reaches_the_kernel() {
        let bytes = bytes(&Reply::Error(Errno::ENOSYS), 7);
        assert_eq!(decode(&bytes).0.error, -(Errno::EOPNOTSUPP as i32));
    }

    #[test]
    fn a_poll_wake_up_is_a_notification_of_24_bytes() {
        let bytes = bytes(&Reply::PollWakeup(NotifyPollWakeupOut { kh: 5 }), 99);
        let (header, rest) = decode(&bytes);
        assert_eq!((header.len, header.error, header.unique), (24, 1, 0));
        assert_eq!(rest, 5u64.to_ne_bytes());
    }

    proptest! {
        #[test]
        fn data_comes_back_as_it_was(unique: u64, data in vec(any::<u8>(), 0..5000)) {
            let bytes = bytes(&Reply::Data(&data), unique);
            let (header, rest) = decode(&bytes);
            prop_assert_eq!((header.error, header.unique), (0, unique));
            prop_assert_eq!(rest, &data[..]);
        }

        #[test]
        fn an_ioctl_result_comes_back_with_its_output(result: i32, data in vec(any::<u8>(), 0..300)) {
            let out = IoctlOut { result, ..IoctlOut::default() };
            let bytes = bytes(&Reply::Ioctl(out, &data), 2);
            let (back, rest) = IoctlOut::read_from_prefix(decode(&bytes).1).unwrap();
            prop_assert_eq!((back, rest), (out, &data[..]));
        }

        #[test]
        fn an_ioctl_retry_lists_its_pieces(list in vec((any::<u64>(), any::<u64>()), 0..3)) {
            let list: Vec<_> = list.iter().map(|&(base, len)| IoctlIovec { base, len }).collect();
            let bytes = bytes(&Reply::IoctlRetry(IoctlOut::default(), &list), 2);
            let (_, rest) = IoctlOut::read_from_prefix(decode(&bytes).1).unwrap();
            let back: Vec<_> = rest.chunks(16).map(|c| IoctlIovec::read_from_bytes(c).unwrap()).collect();
            prop_assert_eq!(back, list);
        }
    }
}
