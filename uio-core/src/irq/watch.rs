//! [`Watch`]: a descriptor that a dispatcher watches and that is no interrupt.
//!
//! What a device says beside its interrupts comes in here: that an access to it failed, that it is to be given
//! back. It is served as a line is, edge-triggered and in turn with the others, and has no handlers, no state
//! and no statistics.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::dispatch::Dispatcher;
use super::line::{IrqLine, LineSource};
use crate::error::Result;

/// Calls a hook on the dispatcher each time that a descriptor comes up, from its construction to its drop.
///
/// The drop does not wait for a hook that runs.
pub(crate) struct Watch {
    line: IrqLine,
}

impl Watch {
    /// Watches `fd`, under a name for messages. If it is up already, the hook is called for that too.
    ///
    /// The descriptor is not read: an eventfd comes up again with every signal. The hook may not wait for
    /// anything; the lines of the dispatcher wait for it.
    ///
    /// # Errors
    ///
    /// What the kernel says when the descriptor is watched.
    pub(crate) fn start(
        name: impl Into<String>,
        fd: OwnedFd,
        dispatcher: &Dispatcher,
        hook: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let source = Descriptor { fd, hook: Box::new(hook) };
        let line = IrqLine::new(name, Box::new(source), dispatcher);
        dispatcher.shared().watch(&line.line)?;
        Ok(Self { line })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(dispatcher) = self.line.line.dispatcher() {
            dispatcher.forget(&self.line.line);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("name", &self.line.name()).finish_non_exhaustive()
    }
}

/// A line that never has an interrupt.
struct Descriptor {
    fd: OwnedFd,
    hook: Box<dyn Fn() + Send + Sync>,
}

impl LineSource for Descriptor {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn take(&self) -> Result<u32, Errno> {
        (self.hook)();
        Ok(0)
    }

    fn unmask(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn mask(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn masks_itself(&self) -> bool {
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use nix::sys::eventfd::EventFd;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_hook_is_called_for_every_signal_also_for_one_that_came_before() {
        let dispatcher = Dispatcher::start("irq/watch").unwrap();
        let event = EventFd::new().unwrap();
        event.write(1).unwrap();
        let (send, called) = channel();
        let fd = event.as_fd().try_clone_to_owned().unwrap();
        let watch = Watch::start("event", fd, &dispatcher, move || send.send(()).unwrap()).unwrap();
        called.recv_timeout(LONG).expect("the signal before the watch is seen");
        event.write(1).unwrap();
        called.recv_timeout(LONG).expect("a later signal is seen, though nobody read the first");
        drop(watch);
    }

    #[test]
    fn a_watch_that_was_dropped_calls_nobody() {
        let dispatcher = Dispatcher::start("irq/watch").unwrap();
        let (first, second) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        let (send, called) = channel();
        let also = send.clone();
        let fd = |event: &EventFd| event.as_fd().try_clone_to_owned().unwrap();
        let watch = Watch::start("first", fd(&first), &dispatcher, move || send.send(1).unwrap());
        drop(watch.unwrap());
        let _watch =
            Watch::start("second", fd(&second), &dispatcher, move || also.send(2).unwrap());
        first.write(1).unwrap();
        second.write(1).unwrap();
        assert_eq!(called.recv_timeout(LONG), Ok(2));
    }
}
