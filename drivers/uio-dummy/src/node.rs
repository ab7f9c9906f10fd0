//! CHAR NODE: reads empty the rx ring, writes fill the tx ring.

use std::sync::{Arc, Mutex, PoisonError};

use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd, PollEvents};
use uio_core::error::Errno;
use uio_core::ring::spsc::{Consumer, Producer};
use uio_core::softirq::Tasklet;
use uio_core::sync::WaitQueue;

use crate::bottom_half::Stall;

/// The file operations of the node.
pub(crate) struct Node {
    pub(crate) rx: Mutex<Consumer<u8>>,
    pub(crate) tx: Mutex<Producer<u8>>,
    pub(crate) tasklet: Tasklet,
    pub(crate) stall: Arc<Stall>,
    pub(crate) read_wait: Arc<WaitQueue>,
    pub(crate) write_wait: Arc<WaitQueue>,
}

impl CharDevice for Node {
    fn read(&self, _file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let count = self.rx.lock().unwrap_or_else(PoisonError::into_inner).pop_slice(buf);
        if count == 0 && !buf.is_empty() {
            return Err(Errno::EAGAIN);
        }
        if self.stall.take() {
            self.tasklet.schedule();
        }
        Ok(count)
    }

    fn write(&self, _file: &File, data: &[u8]) -> Result<usize, Errno> {
        let count = self.tx.lock().unwrap_or_else(PoisonError::into_inner).push_slice(data);
        if count == 0 && !data.is_empty() {
            return Err(Errno::EAGAIN);
        }
        self.tasklet.schedule();
        Ok(count)
    }

    fn poll(&self, _file: &File) -> PollEvents {
        let mut events = PollEvents::empty();
        if !self.rx.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            events |= PollEvents::READABLE;
        }
        if !self.tx.lock().unwrap_or_else(PoisonError::into_inner).is_full() {
            events |= PollEvents::WRITABLE;
        }
        events
    }

    fn ioctl(&self, _file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        if cmd != IoctlCmd::FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let bytes = self.rx.lock().unwrap_or_else(PoisonError::into_inner).len();
        // CAST: a ring is far smaller than 2 GiB.
        let answer = (bytes as i32).to_ne_bytes();
        arg.output.get_mut(..answer.len()).ok_or(Errno::EINVAL)?.copy_from_slice(&answer);
        Ok(0)
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.read_wait
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.write_wait
    }
}
