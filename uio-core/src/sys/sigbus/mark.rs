//! [`FaultMark`]: how a signal handler says that a device is gone.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::{Error, Result};

/// What the mappings of one device share: whether an access to one of them found no memory, and a descriptor
/// that then comes up, so that a thread takes care of the rest.
#[derive(Debug)]
pub(crate) struct FaultMark {
    gone: Arc<AtomicBool>,
    event: EventFd,
}

impl FaultMark {
    /// A mark that is not set.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the process has no descriptors left.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = EventFd::from_flags(flags).map_err(|errno| {
            Error::new(errno, "cannot create", "an eventfd for a device that goes away")
        })?;
        Ok(Arc::new(Self { gone: Arc::new(AtomicBool::new(false)), event }))
    }

    /// The flag that says that the device is gone: the device's own, which its end by any other way sets too.
    /// Once set it stays.
    pub(crate) fn gone(&self) -> &Arc<AtomicBool> {
        &self.gone
    }

    /// Becomes readable, once and for ever, when an access has faulted.
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Sets the flag and makes the descriptor come up, for a device that was found not to answer.
    pub(crate) fn raise(&self) {
        if self.set() {
            // Fails only when the count is full, and then it is up.
            let _ = self.signal();
        }
    }

    /// Sets the flag. Whether it was clear. For a signal handler.
    pub(super) fn set(&self) -> bool {
        // Release: pairs with the loads of those who, having seen the flag, look at what was done before. The
        // pages are replaced after it: who has read ones from them finds the flag set, since the fault that
        // brought the new page in came after the call that put it there.
        !self.gone.swap(true, Ordering::Release)
    }

    /// Makes the descriptor come up. For a signal handler.
    pub(super) fn signal(&self) -> Result<(), Errno> {
        self.event.write(1).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    #[test]
    fn a_device_that_was_found_not_to_answer_is_told_once() {
        let mark = FaultMark::new().unwrap();
        let is_up = || {
            let mut fds = [PollFd::new(mark.event(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
        };
        assert!(!is_up());
        mark.raise();
        mark.raise();
        assert!(is_up() && mark.gone().load(Ordering::Acquire));
        assert_eq!(mark.event.read(), Ok(1));
    }
}
