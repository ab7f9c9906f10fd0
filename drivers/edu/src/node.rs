//! CHAR NODE: the device's buffer as a small file, and ioctls for all that the device does.
//!
//! # Lock order
//!
//! `files`, then an engine's queue. `liveness` is taken alone. All are spin locks, taken with bottom halves off: a
//! call of the node may come from the tasklet, when it wakes who waits.

use std::collections::HashMap;
use std::sync::Arc;

use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd, PollEvents, WaitingCall};
use uio_core::error::Errno;
use uio_core::sync::{SpinLock, WaitQueue};

use crate::dma::DmaUnit;
use crate::engine::{Engine, Ticket};
use crate::engines::Engines;
use crate::ioctl;
use crate::open_file::{Content, OpenFile};

/// What the open files have, by their handles.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) content: Content,
    open: HashMap<u64, OpenFile>,
}

/// The file operations of the node.
pub(crate) struct Node {
    pub(crate) engines: Arc<Engines>,
    pub(crate) files: SpinLock<Files>,
    pub(crate) liveness: SpinLock<()>,
    /// 0 INTx, 1 MSI, 2 MSI-X, for `EDU_STATS`.
    pub(crate) irq_kind: u64,
}

impl Node {
    /// The engine for DMA; without one nothing works that needs it.
    pub(crate) fn dma(&self) -> Result<&Engine<DmaUnit>, Errno> {
        self.engines.dma.as_ref().ok_or(Errno::EOPNOTSUPP)
    }

    /// Calls `act` for an open file.
    fn with<R>(
        &self,
        file: &File,
        act: impl FnOnce(&mut OpenFile, &Engine<DmaUnit>, &mut Content) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let dma = self.dma()?;
        let mut files = self.files.lock_bh();
        let Files { content, open } = &mut *files;
        let result = act(open.get_mut(&file.handle).ok_or(Errno::EBADF)?, dma, content);
        drop(files);
        // It may have begun something.
        self.engines.watch();
        result
    }
}

impl CharDevice for Node {
    fn open(&self, file: &File) -> Result<(), Errno> {
        self.files.lock_bh().open.insert(file.handle, OpenFile::default());
        Ok(())
    }

    fn release(&self, file: &File) {
        let closed = self.files.lock_bh().open.remove(&file.handle);
        if let (Some(closed), Some(dma)) = (closed, &self.engines.dma) {
            closed.close(dma);
        }
    }

    fn read(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let blocks = !file.is_nonblocking();
        self.with(file, |open, dma, content| open.read(dma, content, blocks, buf))
    }

    fn write(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        let blocks = !file.is_nonblocking();
        self.with(file, |open, dma, content| open.write(dma, content, blocks, data))
    }

    fn poll(&self, file: &File) -> PollEvents {
        // Without DMA nothing waits: both are refused at once.
        self.with(file, |open, dma, content| Ok(open.poll(dma, content)))
            .unwrap_or(PollEvents::READABLE | PollEvents::WRITABLE)
    }

    fn ioctl(&self, _file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        self.carry_out(cmd, arg).map(|()| 0)
    }

    fn ioctl_waits(&self, cmd: IoctlCmd) -> bool {
        ioctl::waits(cmd)
    }

    fn interrupted(&self, file: &File, call: WaitingCall) {
        match call {
            WaitingCall::Ioctl { cmd, state } => {
                let Some(ticket) = Ticket::from_raw(state) else { return };
                match &self.engines.dma {
                    _ if cmd == ioctl::FACTORIAL => self.engines.factorial.abandon(ticket),
                    Some(dma) => dma.abandon(ticket),
                    None => false,
                };
            }
            // Without the file or without DMA there is nothing that waited.
            WaitingCall::Read => {
                let _ = self.with(file, |open, dma, _| {
                    open.read_interrupted(dma);
                    Ok(())
                });
            }
            WaitingCall::Write => {
                let _ = self.with(file, |open, dma, content| {
                    open.write_interrupted(dma, content);
                    Ok(())
                });
            }
        }
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.engines.waits.read
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.engines.waits.write
    }
}
