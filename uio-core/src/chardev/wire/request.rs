//! Requests: the bytes of one `read(2)` of the channel, made into a typed value.
//!
//! [`Request::parse`] takes any bytes and never panics: the kernel is trusted to keep its side, and a
//! mistake in ours must not end the daemon. What the header names but cannot be read becomes
//! [`Operation::Malformed`], so that the client still gets an answer; what has no header at all is `None`.

use zerocopy::FromBytes;

use super::abi::{
    CuseInitIn, InHeader, InitIn, InterruptIn, IoctlIn, LockIn, OpenIn, PollIn, ReadIn, ReleaseIn,
    SetattrIn, WriteIn, opcode,
};

/// One request of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) header: InHeader,
    pub(crate) operation: Operation<'a>,
}

/// What is asked. Data borrows from the bytes that were parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    CuseInit(CuseInitIn),
    Init(InitIn),
    /// The name in the directory that the header names, without the zero byte that ends it.
    Lookup(&'a [u8]),
    Getattr,
    Setattr(SetattrIn),
    Statfs,
    Open(OpenIn),
    Read(ReadIn),
    Write(WriteIn, &'a [u8]),
    Release(ReleaseIn),
    Flush,
    Opendir,
    Readdir(ReadIn),
    Releasedir,
    /// `flock`, waiting or not.
    Lock(LockIn),
    Ioctl(IoctlIn, &'a [u8]),
    Poll(PollIn),
    /// Carries the `unique` of the request to give up.
    Interrupt(InterruptIn),
    /// Wants no answer: FORGET and BATCH_FORGET.
    Forget,
    /// The file system is unmounted.
    Destroy,
    /// A request that a single file has no use for; answered `ENOSYS`, and not asked again.
    Unknown(u32),
    /// A known request that is too short for its kind, or disagrees with itself.
    Malformed,
}

impl<'a> Request<'a> {
    /// Reads one request. `None`: not even a header, or a length that is not that of `bytes`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, body) = InHeader::read_from_prefix(bytes).ok()?;
        if header.len as usize != bytes.len() {
            return None;
        }
        let operation = Operation::parse(header.opcode, body).unwrap_or(Operation::Malformed);
        Some(Self { header, operation })
    }
}

impl<'a> Operation<'a> {
    fn parse(number: u32, body: &'a [u8]) -> Option<Self> {
        Some(match number {
            opcode::CUSE_INIT => Self::CuseInit(prefix(body)?.0),
            opcode::INIT => Self::Init(prefix(body)?.0),
            opcode::LOOKUP => Self::Lookup(body.strip_suffix(&[0])?),
            opcode::GETATTR => Self::Getattr,
            opcode::SETATTR => Self::Setattr(prefix(body)?.0),
            opcode::STATFS => Self::Statfs,
            opcode::OPEN => Self::Open(prefix(body)?.0),
            opcode::READ => Self::Read(prefix(body)?.0),
            opcode::WRITE => {
                let (ask, data) = prefix::<WriteIn>(body)?;
                Self::Write(ask, data.get(..ask.size as usize)?)
            }
            opcode::RELEASE => Self::Release(prefix(body)?.0),
            opcode::FLUSH => Self::Flush,
            opcode::OPENDIR => Self::Opendir,
            opcode::READDIR => Self::Readdir(prefix(body)?.0),
            opcode::RELEASEDIR => Self::Releasedir,
            opcode::SETLK | opcode::SETLKW => Self::Lock(prefix(body)?.0),
            opcode::IOCTL => {
                let (ask, data) = prefix::<IoctlIn>(body)?;
                Self::Ioctl(ask, data.get(..ask.in_size as usize)?)
            }
            opcode::POLL => Self::Poll(prefix(body)?.0),
            opcode::INTERRUPT => Self::Interrupt(prefix(body)?.0),
            opcode::FORGET | opcode::BATCH_FORGET => Self::Forget,
            opcode::DESTROY => Self::Destroy,
            other => Self::Unknown(other),
        })
    }
}

fn prefix<T: FromBytes>(bytes: &[u8]) -> Option<(T, &[u8])> {
    T::read_from_prefix(bytes).ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    /// A request as the kernel writes it: header, fixed part, data.
    fn encode(opcode: u32, unique: u64, fixed: &[u8], data: &[u8]) -> Vec<u8> {
        let len = size_of::<InHeader>() + fixed.len() + data.len();
        let header =
            InHeader { len: u32::try_from(len).unwrap(), opcode, unique, ..InHeader::default() };
        [header.as_bytes(), fixed, data].concat()
    }

    fn parsed(bytes: &[u8]) -> Operation<'_> {
        Request::parse(bytes).expect("has a header").operation
    }

    #[test]
    fn a_write_that_promises_more_than_it_has_is_malformed() {
        let ask = WriteIn { size: 4, ..WriteIn::default() };
        let bytes = encode(opcode::WRITE, 2, ask.as_bytes(), b"abc");
        assert_eq!(parsed(&bytes), Operation::Malformed);
    }

    #[test]
    fn a_length_that_lies_is_no_request() {
        let mut bytes = encode(opcode::FLUSH, 2, &[], &[]);
        bytes.push(0);
        assert_eq!(Request::parse(&bytes), None);
    }

    #[test]
    fn an_init_of_any_version_is_read_by_its_common_part() {
        let ask = InitIn { major: 7, minor: 12, max_readahead: 0, flags: 3 };
        let bytes = encode(opcode::INIT, 2, ask.as_bytes(), &[0; 48]);
        assert_eq!(parsed(&bytes), Operation::Init(ask));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..256)) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn no_body_makes_the_parser_panic(
            opcode in prop_oneof![0..50u32, Just(opcode::CUSE_INIT)],
            body in vec(any::<u8>(), 0..160),
        ) {
            let bytes = encode(opcode, 2, &body, &[]);
            prop_assert_eq!(Request::parse(&bytes).unwrap().header.unique, 2);
        }

        #[test]
        fn a_read_comes_back_as_it_was(
            fh: u64, offset: u64, size: u32, flags: u32, unique: u64,
        ) {
            let ask = ReadIn { fh, offset, size, flags, ..ReadIn::default() };
            let bytes = encode(opcode::READ, unique, ask.as_bytes(), &[]);
            let request = Request::parse(&bytes).unwrap();
            prop_assert_eq!(request.header.unique, unique);
            prop_assert_eq!(request.operation, Operation::Read(ask));
        }

        #[test]
        fn a_write_comes_back_with_its_data(fh: u64, data in vec(any::<u8>(), 0..300)) {
            let size = u32::try_from(data.len()).unwrap();
            let ask = WriteIn { fh, size, ..WriteIn::default() };
            let bytes = encode(opcode::WRITE, 2, ask.as_bytes(), &data);
            prop_assert_eq!(parsed(&bytes), Operation::Write(ask, &data));
        }

        #[test]
        fn an_ioctl_comes_back_with_its_data(cmd: u32, arg: u64, data in vec(any::<u8>(), 0..300)) {
            let in_size = u32::try_from(data.len()).unwrap();
            let ask = IoctlIn { cmd, arg, in_size, ..IoctlIn::default() };
            let bytes = encode(opcode::IOCTL, 2, ask.as_bytes(), &data);
            prop_assert_eq!(parsed(&bytes), Operation::Ioctl(ask, &data));
        }

        #[test]
        fn a_poll_comes_back_as_it_was(fh: u64, kh: u64, flags: u32, events: u32) {
            let ask = PollIn { fh, kh, flags, events };
            let bytes = encode(opcode::POLL, 2, ask.as_bytes(), &[]);
            prop_assert_eq!(parsed(&bytes), Operation::Poll(ask));
        }
    }
}
