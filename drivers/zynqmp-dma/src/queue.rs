//! [`Queue`]: the requests that wait for the channel, the one that runs, and what open files get of those that have
//! ended. Plain values: no locks, no device.
//!
//! # Vocabulary
//!
//! - **request**: a copy for the channel, by bus addresses. A client's, with a cookie; or the echo of a write.
//! - **completion**: how a client's copy has ended, for the open file that asked for it.
//! - **store**: the echo of the write at hand of an open file; its bytes are in blocks of their own.
//! - **content**: what was echoed last, for reads.
//! - **spent**: the blocks of an echo that has ended, to be dropped where that may take a lock.
//! - **stuck**: the request that was given up while the channel goes on with it. Its blocks stay until it rests.
//!
//! # States of a request
//!
//! ```text
//!   push ──▶ waiting ──begin──▶ running ──end──▶ a completion, or the content; and spent
//!              │ withdraw, fail    │ give_up ──▶ a completion, and stuck ──unstick──▶ spent
//!              ▼                   ▼
//!            spent, and for `fail` a completion
//! ```
//!
//! # Why each request ends exactly once
//!
//! It is in one place: in `waiting`, in `running`, or nowhere. Whoever takes it out of its place makes its completion,
//! there and then: `end` and `give_up` take it out of `running`, `fail` out of `waiting`. All are called with the
//! engine's lock held. A file that is closed takes its place for completions along; its copies are carried out all the
//! same, and nobody is told.
//!
//! Nothing on the way of an interrupt (`begin`, `end`) allocates: room for a completion is made when its request is
//! pushed, and the content has all its room from the start.

use std::collections::{HashMap, VecDeque};

use uio_core::error::Errno;
use uio_core::mem::dma::{Block, DeviceOwned, Iova};

use crate::copies::Copy;

/// Requests that may wait; more have to come again.
const WAITING: usize = 4096;
/// Copies of an open file that are in flight, or have ended and were not asked for.
pub(crate) const IN_FLIGHT: usize = 1024;
/// Bytes that the node keeps of what was echoed.
pub(crate) const CONTENT: usize = 64 << 10;

/// The blocks of an echo: what is written goes into the first, and the engine brings it to the second.
#[derive(Debug)]
pub(crate) struct EchoBlocks {
    pub(crate) src: DeviceOwned,
    pub(crate) dst: DeviceOwned,
    /// Bytes of the client; the copy is rounded up.
    pub(crate) len: usize,
    /// Where they are in the content.
    pub(crate) at: usize,
    /// The number of the store, given by [`Queue::push_echo`]: one that was interrupted is not the next one.
    pub(crate) serial: u64,
}

/// Blocks that nobody needs any more.
#[derive(Debug)]
#[expect(dead_code, reason = "they are held, and dropped")]
pub(crate) enum Spent {
    Unused(EchoBlocks),
    Read(DeviceOwned, Block),
}

#[derive(Debug)]
pub(crate) enum Kind {
    Copy { cookie: u64 },
    Echo(EchoBlocks),
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) owner: u64,
    pub(crate) src: Iova,
    pub(crate) dst: Iova,
    pub(crate) len: u32,
    pub(crate) kind: Kind,
}

/// How a copy has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) cookie: u64,
    pub(crate) result: Result<(), Errno>,
}

/// What reads and writes of an open file mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// What is written goes through the engine, and what is read is what came out.
    #[default]
    Echo,
    /// The memory itself, from a position on.
    Memory,
    /// Written are copies, read is how they ended.
    Queue,
}

/// The write at hand of an open file.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) len: usize,
    /// A blocked write waits for it.
    pub(crate) waited_for: bool,
    /// How it ended, if it has.
    pub(crate) result: Option<Result<(), Errno>>,
    serial: u64,
}

impl Store {
    /// Of a write of `len` bytes, for which a call waits or not.
    pub(crate) fn new(len: usize, waited_for: bool) -> Self {
        Self { len, waited_for, result: None, serial: 0 }
    }
}

/// What an open file has.
#[derive(Debug, Default)]
pub(crate) struct OpenFile {
    pub(crate) mode: Mode,
    /// In the memory.
    pub(crate) position: u64,
    /// In the content.
    pub(crate) read_at: usize,
    pub(crate) write_at: usize,
    pub(crate) store: Option<Store>,
    /// Copies that have not ended.
    pub(crate) in_flight: usize,
    pub(crate) done: VecDeque<Completion>,
}

impl OpenFile {
    /// Whether a copy of it would be taken, or refused at once.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight == 0 || self.in_flight + self.done.len() < IN_FLIGHT
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) files: HashMap<u64, OpenFile>,
    pub(crate) content: Vec<u8>,
    waiting: VecDeque<Request>,
    running: Option<Request>,
    stuck: Option<Request>,
    spent: Vec<Spent>,
    /// Stores so far.
    serial: u64,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            files: HashMap::new(),
            content: Vec::with_capacity(CONTENT),
            waiting: VecDeque::with_capacity(WAITING),
            running: None,
            stuck: None,
            spent: Vec::new(),
            serial: 0,
        }
    }

    pub(crate) fn file(&mut self, handle: u64) -> Result<&mut OpenFile, Errno> {
        self.files.get_mut(&handle).ok_or(Errno::EBADF)
    }

    /// Whether one more may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// Queues a client's copy behind the others.
    ///
    /// # Errors
    ///
    /// - `EAGAIN` if too many wait, or the file has too many in flight: again when a queue is woken;
    /// - `ENOBUFS` if it has so many that have ended, and nobody asks how.
    pub(crate) fn push_copy(&mut self, owner: u64, request: Request) -> Result<(), Errno> {
        if !self.has_room() {
            return Err(Errno::EAGAIN);
        }
        let file = self.file(owner)?;
        if file.in_flight + file.done.len() >= IN_FLIGHT {
            return Err(if file.in_flight == 0 { Errno::ENOBUFS } else { Errno::EAGAIN });
        }
        file.in_flight += 1;
        file.done.reserve(file.in_flight);
        self.waiting.push_back(request);
        Ok(())
    }

    /// Queues an echo, which is the store of its file from now on.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if too many wait; and the blocks are spent.
    pub(crate) fn push_echo(
        &mut self,
        mut request: Request,
        mut store: Store,
    ) -> Result<(), Errno> {
        // So that an end never allocates: one entry for each that is under way.
        self.spent.reserve(self.waiting.len() + 3);
        if !self.has_room() {
            self.spend(request);
            return Err(Errno::EAGAIN);
        }
        self.serial += 1;
        store.serial = self.serial;
        if let Kind::Echo(blocks) = &mut request.kind {
            blocks.serial = self.serial;
        }
        self.file(request.owner)?.store = Some(store);
        self.waiting.push_back(request);
        Ok(())
    }

    /// Makes the one that waits longest the one that runs, if none does and none is stuck.
    pub(crate) fn begin(&mut self) -> Option<&Request> {
        if self.running.is_some() || self.stuck.is_some() {
            return None;
        }
        self.running = self.waiting.pop_front();
        self.running.as_ref()
    }

    pub(crate) fn running(&self) -> Option<&Request> {
        self.running.as_ref()
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// Whether nothing runs, waits or is stuck.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none() && self.stuck.is_none() && self.waiting.is_empty()
    }

    /// The one that runs has ended so.
    pub(crate) fn end(&mut self, result: Result<(), Errno>) {
        if let Some(request) = self.running.take() {
            self.finish(request, result);
        }
    }

    /// The one that runs ends so for its client, and the channel goes on with it: its blocks are kept.
    pub(crate) fn give_up(&mut self, errno: Errno) {
        if let Some(request) = self.running.take() {
            self.tell(&request, Err(errno));
            self.stuck = Some(request);
        }
    }

    /// The channel rests: what was kept for the one that it went on with is not needed any more.
    pub(crate) fn unstick(&mut self) {
        if let Some(request) = self.stuck.take() {
            self.spend(request);
        }
    }

    /// All that wait end with `errno`.
    pub(crate) fn fail_waiting(&mut self, errno: Errno) {
        while let Some(request) = self.waiting.pop_front() {
            self.tell(&request, Err(errno));
            self.spend(request);
        }
    }

    /// Takes the store of a file away: `true` if it had not begun.
    pub(crate) fn withdraw_store(&mut self, owner: u64) -> bool {
        let is_it =
            |request: &Request| request.owner == owner && matches!(request.kind, Kind::Echo(_));
        let Some(request) =
            self.waiting.iter().position(is_it).and_then(|at| self.waiting.remove(at))
        else {
            return false;
        };
        self.spend(request);
        true
    }

    /// Blocks to drop, without the lock.
    pub(crate) fn take_spent(&mut self) -> Vec<Spent> {
        let more = self.waiting.len() + 3;
        let spent = std::mem::take(&mut self.spent);
        if !spent.is_empty() {
            self.spent.reserve(more);
        }
        spent
    }

    fn finish(&mut self, request: Request, result: Result<(), Errno>) {
        let Request { owner, kind, .. } = request;
        match kind {
            Kind::Copy { cookie } => self.complete(owner, Completion { cookie, result }),
            Kind::Echo(blocks) => {
                let serial = blocks.serial;
                let result = match result {
                    Ok(()) => self.bring_in(blocks),
                    Err(errno) => {
                        self.spent.push(Spent::Unused(blocks));
                        Err(errno)
                    }
                };
                self.end_store(owner, serial, result);
            }
        }
    }

    /// Brings what the engine has written to the second block into the content.
    fn bring_in(&mut self, blocks: EchoBlocks) -> Result<(), Errno> {
        let EchoBlocks { src, dst, len, at, .. } = blocks;
        let dst = dst.for_cpu().map_err(|error| error.errno())?;
        // Within the capacity: a write that would leave it is refused.
        self.content.resize(at, 0);
        self.content.resize(at + len, 0);
        let read = dst.read_bytes(0, &mut self.content[at..]);
        self.spent.push(Spent::Read(src, dst));
        Ok(read?)
    }

    fn tell(&mut self, request: &Request, result: Result<(), Errno>) {
        match &request.kind {
            &Kind::Copy { cookie } => self.complete(request.owner, Completion { cookie, result }),
            Kind::Echo(blocks) => self.end_store(request.owner, blocks.serial, result),
        }
    }

    fn complete(&mut self, owner: u64, completion: Completion) {
        let Some(file) = self.files.get_mut(&owner) else { return };
        file.in_flight = file.in_flight.saturating_sub(1);
        file.done.push_back(completion);
    }

    fn end_store(&mut self, owner: u64, serial: u64, result: Result<(), Errno>) {
        let store = self.files.get_mut(&owner).and_then(|file| file.store.as_mut());
        if let Some(store) = store.filter(|store| store.serial == serial) {
            store.result = Some(result);
        }
    }

    fn spend(&mut self, request: Request) {
        if let Kind::Echo(blocks) = request.kind {
            self.spent.push(Spent::Unused(blocks));
        }
    }
}

/// What a copy of a client is for the channel: `base` is where the memory's first byte is.
pub(crate) fn request_of(owner: u64, copy: &Copy, base: Iova) -> Result<Request, Errno> {
    // Inside the memory, whose addresses are 64 bits wide.
    let at = |offset: u64| base.0.checked_add(offset).map(Iova).ok_or(Errno::ERANGE);
    let len = u32::try_from(copy.len).map_err(|_| Errno::EINVAL)?;
    let kind = Kind::Copy { cookie: copy.cookie };
    Ok(Request { owner, src: at(copy.src)?, dst: at(copy.dst)?, len, kind })
}
