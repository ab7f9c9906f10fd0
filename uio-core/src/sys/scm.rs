//! A descriptor that another process hands over: `SCM_RIGHTS` of `unix(7)`.
#![expect(unsafe_code, reason = "the kernel returns a received descriptor as a bare number")]

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Receives one message and the descriptor that comes with it, close-on-exec.
///
/// # Errors
///
/// `ENOMSG` if the peer closed the socket, or sent no descriptor; else what `recvmsg(2)` says.
pub(crate) fn receive_fd(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut byte = [0_u8];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut control = nix::cmsg_space!(RawFd);
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut data,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let received = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let fd = received.ok_or(Errno::ENOMSG)?;
    // SAFETY: the kernel has just made this descriptor for us; the control buffer has room for one, so it
    // is the only one, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::socket::{ControlMessage, sendmsg};

    use super::*;

    #[test]
    fn a_descriptor_arrives_and_works() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = File::open("/proc/self/comm").unwrap();
        let fds = [file.as_raw_fd()];
        sendmsg::<()>(
            theirs.as_raw_fd(),
            &[std::io::IoSlice::new(b"x")],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::empty(),
            None,
        )
        .unwrap();
        let mut received = File::from(receive_fd(ours.as_fd()).unwrap());
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert!(!text.is_empty());
    }

    #[test]
    fn a_peer_that_leaves_without_one_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(receive_fd(ours.as_fd()).unwrap_err(), Errno::ENOMSG);
    }
}
