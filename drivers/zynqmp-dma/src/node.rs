//! CHAR NODE: what reads and writes mean is the open file's [`Mode`]; ioctls are in `ioctl.rs`.
//!
//! # Lock order
//!
//! The engine's lock, alone. Memory is read and written without it.

use std::sync::Arc;

use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd, PollEvents, WaitingCall};
use uio_core::error::Errno;
use uio_core::mem::dma::Direction;
use uio_core::sync::WaitQueue;

use crate::copies::{COPY_BYTES, Copy, Limits};
use crate::engine::Engine;
use crate::ioctl::{self, COMPLETION_BYTES};
use crate::memory::ECHO;
use crate::queue::{CONTENT, EchoBlocks, Kind, Mode, OpenFile, Request, Store, request_of};
use crate::stats::count;
use crate::watch::Watch;

/// The file operations of the node.
pub(crate) struct Node {
    pub(crate) engine: Arc<Engine>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) limits: Limits,
}

impl Node {
    /// Calls `act` for an open file.
    pub(crate) fn with<R>(
        &self,
        file: &File,
        act: impl FnOnce(&mut OpenFile) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        self.engine.with(|queue| act(queue.file(file.handle)?))
    }

    fn mode(&self, file: &File) -> Result<Mode, Errno> {
        self.with(file, |open| Ok(open.mode))
    }

    /// Gives a copy to the engine, if it may have it.
    pub(crate) fn submit(&self, file: &File, copy: &Copy) -> Result<(), Errno> {
        if let Err(errno) = self.limits.check(copy) {
            count(&self.engine.stats.refused, 1);
            return Err(errno);
        }
        let request = request_of(file.handle, copy, self.engine.keep.arena.iova())?;
        self.engine.submit(file.handle, request)?;
        self.watch.look();
        Ok(())
    }

    /// A write of copies: as many as are taken; the error of the first, if none is.
    fn write_copies(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        let (copies, rest) = data.as_chunks::<COPY_BYTES>();
        if !rest.is_empty() {
            return Err(Errno::EINVAL);
        }
        for (index, bytes) in copies.iter().enumerate() {
            match self.submit(file, &Copy::parse(bytes)) {
                Ok(()) => {}
                Err(errno) if index == 0 => return Err(errno),
                Err(_) => return Ok(index * COPY_BYTES),
            }
        }
        Ok(data.len())
    }

    /// A read of how copies ended: as many as have, and as there is room for.
    fn read_completions(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let (rooms, _) = buf.as_chunks_mut::<COMPLETION_BYTES>();
        if rooms.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.with(file, |open| {
            let mut filled = 0;
            while filled < rooms.len()
                && let Some(completion) = open.done.pop_front()
            {
                rooms[filled] = ioctl::completion_bytes(&completion);
                filled += 1;
            }
            match filled {
                0 if open.in_flight == 0 => Err(Errno::ENODATA),
                0 => Err(Errno::EAGAIN),
                _ => Ok(filled * COMPLETION_BYTES),
            }
        })
    }

    /// A read of the memory from the file's position on; 0 at its end.
    fn read_memory(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let (at, len) = self.place(file, buf.len())?;
        self.engine.keep.arena.read_bytes(at, &mut buf[..len])?;
        self.move_on(file, at, len)
    }

    /// A write to it.
    fn write_memory(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        let (at, len) = self.place(file, data.len())?;
        if len == 0 && !data.is_empty() {
            return Err(Errno::ENOSPC);
        }
        self.engine.keep.arena.write_bytes(at, &data[..len])?;
        self.move_on(file, at, len)
    }

    /// Where the file is in the memory, and how many of `len` bytes are there.
    fn place(&self, file: &File, len: usize) -> Result<(usize, usize), Errno> {
        let position = self.with(file, |open| Ok(open.position))?;
        let at = usize::try_from(position).map_err(|_| Errno::ERANGE)?;
        Ok((at, len.min(self.engine.keep.arena.len().saturating_sub(at))))
    }

    fn move_on(&self, file: &File, at: usize, len: usize) -> Result<usize, Errno> {
        // CAST: a usize has at most 64 bits on Linux.
        self.with(file, |open| {
            open.position = (at + len) as u64;
            Ok(len)
        })
    }

    /// A read of what was echoed; `EAGAIN` while a write of the same file is under way.
    fn read_echo(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        self.engine.with(|queue| {
            let total = queue.content.len();
            let open = queue.file(file.handle)?;
            if open.store.as_ref().is_some_and(|store| store.result.is_none()) {
                return Err(Errno::EAGAIN);
            }
            let at = open.read_at.min(total);
            let len = buf.len().min(total - at);
            open.read_at = at + len;
            buf[..len].copy_from_slice(&queue.content[at..at + len]);
            Ok(len)
        })
    }

    /// A write that goes through the engine; `EAGAIN` while it is there, or the one before.
    fn write_echo(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        let waits = !file.is_nonblocking();
        if let Some(len) = self.stored(file, waits)? {
            return Ok(len);
        }
        let at = self.with(file, |open| Ok(open.write_at))?;
        let len = data.len().min(ECHO).min(CONTENT.saturating_sub(at));
        if len == 0 {
            return if data.is_empty() { Ok(0) } else { Err(Errno::ENOSPC) };
        }
        let request = self.echo(file, at, &data[..len])?;
        self.engine.submit_echo(request, Store::new(len, waits))?;
        self.with(file, |open| {
            open.write_at = at + len;
            Ok(())
        })?;
        self.watch.look();
        if waits { Err(Errno::EAGAIN) } else { Ok(len) }
    }

    /// How the store at hand ended, if there is one: so many bytes for the write that waits for it, nothing to say for
    /// one that nobody waits for.
    fn stored(&self, file: &File, waits: bool) -> Result<Option<usize>, Errno> {
        self.with(file, |open| {
            let Some(store) = &open.store else { return Ok(None) };
            let Some(result) = store.result else { return Err(Errno::EAGAIN) };
            let (len, waited_for) = (store.len, store.waited_for && waits);
            open.store = None;
            if result.is_err() {
                // What the client writes next goes where this was to go.
                open.write_at -= len;
            }
            result.map(|()| waited_for.then_some(len))
        })
    }

    /// The request that brings `data` from a block of its own to another one.
    fn echo(&self, file: &File, at: usize, data: &[u8]) -> Result<Request, Errno> {
        // CAST: a beat has 16 bytes at most.
        let rounded = data.len().next_multiple_of(self.limits.align as usize);
        let alloc = || {
            // Others have the blocks: to be asked again when one of theirs has ended.
            self.engine.keep.memory.alloc(rounded, ECHO).map_err(|_| Errno::EAGAIN)
        };
        let (src, dst) = (alloc()?, alloc()?);
        src.write_bytes(0, data)?;
        src.fill(data.len(), 0, rounded - data.len())?;
        // What comes out of a copy that did nothing is zeros, and not what another client has had.
        dst.fill(0, 0, rounded)?;
        let owned = |block: uio_core::mem::dma::Block, direction| {
            block.for_device(direction).map_err(|error| error.errno())
        };
        let (src, dst) = (owned(src, Direction::ToDevice)?, owned(dst, Direction::FromDevice)?);
        let (from, to) = (src.iova(), dst.iova());
        // CAST: a page at most.
        let len = rounded as u32;
        let kind = Kind::Echo(EchoBlocks { src, dst, len: data.len(), at, serial: 0 });
        Ok(Request { owner: file.handle, src: from, dst: to, len, kind })
    }

    /// A signal ended the write that waited: the next one begins where it began.
    fn write_interrupted(&self, handle: u64) {
        self.engine.with(|queue| {
            queue.withdraw_store(handle);
            let Ok(open) = queue.file(handle) else { return };
            if let Some(store) = open.store.take_if(|store| store.waited_for) {
                open.write_at -= store.len;
            }
        });
    }
}

impl CharDevice for Node {
    fn open(&self, file: &File) -> Result<(), Errno> {
        self.engine.with(|queue| queue.files.insert(file.handle, OpenFile::default()));
        Ok(())
    }

    fn release(&self, file: &File) {
        self.engine.with(|queue| queue.files.remove(&file.handle));
    }

    fn read(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        match self.mode(file)? {
            Mode::Echo => self.read_echo(file, buf),
            Mode::Memory => self.read_memory(file, buf),
            Mode::Queue => self.read_completions(file, buf),
        }
    }

    fn write(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        match self.mode(file)? {
            Mode::Echo => self.write_echo(file, data),
            Mode::Memory => self.write_memory(file, data),
            Mode::Queue => self.write_copies(file, data),
        }
    }

    fn poll(&self, file: &File) -> PollEvents {
        let both = PollEvents::READABLE | PollEvents::WRITABLE;
        let has_room = self.engine.has_room();
        let events = self.with(file, |open| {
            Ok(match open.mode {
                Mode::Memory => both,
                Mode::Echo if open.store.as_ref().is_some_and(|store| store.result.is_none()) => {
                    PollEvents::empty()
                }
                Mode::Echo => both,
                Mode::Queue => {
                    let mut events = PollEvents::empty();
                    events.set(PollEvents::READABLE, !open.done.is_empty());
                    events.set(PollEvents::WRITABLE, has_room && open.has_room());
                    events
                }
            })
        });
        // The call says what is wrong.
        events.unwrap_or(both)
    }

    fn ioctl(&self, file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        self.carry_out(file, cmd, arg).map(|()| 0)
    }

    fn ioctl_waits(&self, cmd: IoctlCmd) -> bool {
        ioctl::waits(cmd)
    }

    fn interrupted(&self, file: &File, call: WaitingCall) {
        if matches!(call, WaitingCall::Write) {
            self.write_interrupted(file.handle);
        }
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.engine.waits.read
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.engine.waits.write
    }
}
