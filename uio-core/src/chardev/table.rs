//! The table of a node: open files, requests that wait, pollers. Plain values; no locks, no I/O.
//!
//! # Vocabulary
//!
//! - **owed**: a request that the kernel waits for us to answer. [`Owed`] is the right, and the duty, to
//!   answer it: it exists once, is moved from hand to hand, and is consumed by the answer.
//! - **job**: an owed READ, WRITE or IOCTL with all that is needed to try it.
//! - **parked**: a job that waits in the queue of its direction, in order of arrival.
//! - **claimed**: a parked job that the pump is trying now. The entry stays in the queue, so that
//!   interruption and hang-up find it, but the `Owed` is with the pump.
//!
//! # States of a request that cannot be carried out at once
//!
//! ```text
//!             park           claim                settle
//!   (session) ────▶ parked ─────────▶ claimed ─────────────▶ gone; the pump answers
//!                    │   ▲               │ put_back, and meanwhile
//!                    │   └───────────────┤   nothing happened: parked again, still the first
//!                    │                   └▶  interrupted, or hung up: gone; the pump answers the error
//!                    └─ interrupt, hang_up ▶ gone; the caller answers EINTR, or the error
//! ```
//!
//! Every arrow to "gone" hands out the one `Owed`, so each request is answered exactly once, by whoever took
//! it out. At most one job of each direction is claimed, because only the pump claims and it never runs
//! beside itself; so a claimed entry is always the first of its queue. Reads and writes compete for the same
//! bytes and the same room, so a job that is put back stays the first. Ioctls wait for different things, and so
//! do the reads of a device whose files read *apart*: one that is put back goes behind the others, which are tried
//! in the same pass.
//!
//! The table is a plain value so that one day it can live in memory that outlives the process.

use std::collections::VecDeque;

use nix::errno::Errno;

use super::device::{File, IoctlCmd, PollEvents};

/// The right to answer one request. Not `Clone`: consumed by the answer.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a client waits for the answer"]
pub(crate) struct Owed {
    unique: u64,
}

impl Owed {
    /// For the request that was just read from the channel, once.
    pub(crate) fn new(unique: u64) -> Self {
        Self { unique }
    }

    pub(crate) fn unique(&self) -> u64 {
        self.unique
    }
}

/// What a request is about, and with that the queue in which it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
    Ioctl,
}

/// An ioctl that waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) cmd: IoctlCmd,
    pub(crate) value: u64,
    pub(crate) input: Box<[u8]>,
    /// Bytes that the client gets back at the most.
    pub(crate) output: usize,
    /// What the device keeps from one trial to the next.
    pub(crate) state: u64,
}

/// What is to be done for a blocked client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Hand out at most this many bytes.
    Read(usize),
    /// Take these bytes, or some of them.
    Write(Box<[u8]>),
    /// Carry this out.
    Ioctl(Waiting),
}

impl Work {
    pub(crate) fn direction(&self) -> Direction {
        match self {
            Self::Read(_) => Direction::Read,
            Self::Write(_) => Direction::Write,
            Self::Ioctl(_) => Direction::Ioctl,
        }
    }
}

/// A blocked READ, WRITE or IOCTL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) owed: Owed,
    pub(crate) file: File,
    pub(crate) work: Work,
}

/// A place in a queue.
#[derive(Debug)]
struct Entry {
    unique: u64,
    interrupted: bool,
    /// `None` while the pump has it.
    job: Option<Job>,
}

/// How a READ or WRITE that just arrived goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Try it now.
    Try(File),
    /// Earlier ones of its direction wait: a blocking one queues behind them.
    Queue(File),
    /// Answer this error.
    Refuse(Errno),
}

/// A poller who wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Poller {
    pub(crate) file: File,
    /// The kernel's handle for the wait queue of the open file.
    pub(crate) kernel_handle: u64,
    pub(crate) events: PollEvents,
}

/// What `flock` asks for, or holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Shared,
    Exclusive,
}

#[derive(Debug, Clone, Copy)]
struct OpenFile {
    file: File,
    /// Where the next piece of a read would begin, if the last one was the piece of a larger call.
    next_piece: u64,
    lock: Option<Lock>,
    /// What pollers of this file wait for, and the kernel's handle to tell them by; `None`: not armed.
    armed: Option<(u64, PollEvents)>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts the opens that used this slot, so that a handle is never used twice.
    generation: u32,
    open: Option<OpenFile>,
}

/// Counts of a node, for its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NodeStats {
    /// Open file descriptions.
    pub openers: usize,
    /// Blocked reads.
    pub waiting_readers: usize,
    /// Blocked writes.
    pub waiting_writers: usize,
    /// Blocked ioctls.
    pub waiting_ioctls: usize,
    /// Open files on which somebody waits in `poll`, `select` or `epoll`.
    pub pollers: usize,
    /// Requests since the node was made.
    pub requests: u64,
    /// Requests that a signal ended.
    pub interrupted: u64,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    reads: VecDeque<Entry>,
    writes: VecDeque<Entry>,
    ioctls: VecDeque<Entry>,
    /// Each open file reads what is its own.
    reads_apart: bool,
    /// Set once, when the device is gone.
    hung_up: Option<Errno>,
    openers: usize,
    pollers: usize,
    requests: u64,
    interrupted: u64,
}

impl Table {
    /// A table of a device that says whether its files read apart.
    pub(crate) fn new(reads_apart: bool) -> Self {
        Self { reads_apart, ..Self::default() }
    }

    /// Whether the jobs of a direction wait for different things.
    pub(crate) fn is_apart(&self, direction: Direction) -> bool {
        match direction {
            Direction::Read => self.reads_apart,
            Direction::Write => false,
            Direction::Ioctl => true,
        }
    }

    /// Counts a request; `Err` once the device is gone.
    pub(crate) fn admit(&mut self) -> Result<(), Errno> {
        self.requests += 1;
        self.hung_up.map_or(Ok(()), Err)
    }

    /// Decides how a READ or WRITE on `handle` goes on, and notes the file's `flags` as they are now.
    pub(crate) fn admit_io(&mut self, direction: Direction, handle: u64, flags: i32) -> Admission {
        if let Err(errno) = self.admit() {
            return Admission::Refuse(errno);
        }
        let Some(open) = self.open_file(handle) else {
            return Admission::Refuse(Errno::EBADF);
        };
        open.file.flags = flags;
        let file = open.file;
        if self.is_apart(direction) || self.queue(direction).is_empty() {
            Admission::Try(file)
        } else {
            Admission::Queue(file)
        }
    }

    /// Whether a READ at `offset` goes on where the last one of its file ended. `end_of_piece`: where this one
    /// ends, if it may be a piece of a larger call itself.
    pub(crate) fn continues(
        &mut self,
        handle: u64,
        offset: u64,
        end_of_piece: Option<u64>,
    ) -> bool {
        let Some(open) = self.open_file(handle) else { return false };
        let expected = std::mem::replace(&mut open.next_piece, end_of_piece.unwrap_or(0));
        offset > 0 && offset == expected
    }

    /// Makes an entry for a file that is being opened; `file.handle` is filled in.
    pub(crate) fn open(&mut self, mut file: File) -> File {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // Bounded by the kernel's file limit, far below 2^32.
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        file.handle = u64::from(slot.generation) << 32 | u64::from(index);
        slot.open = Some(OpenFile { file, next_piece: 0, lock: None, armed: None });
        self.openers += 1;
        file
    }

    /// Ends an open file.
    pub(crate) fn close(&mut self, handle: u64) -> Option<File> {
        self.disarm(handle);
        let open = self.slot(handle)?.open.take()?;
        self.free.push(handle as u32);
        self.openers -= 1;
        Some(open.file)
    }

    /// Any file that is still open, if there is one.
    pub(crate) fn any_open(&self) -> Option<u64> {
        self.slots.iter().find_map(|slot| slot.open.map(|open| open.file.handle))
    }

    /// Locks or unlocks an open file against the others; `EAGAIN` if they do not let it. Closing unlocks.
    pub(crate) fn lock(&mut self, handle: u64, wanted: Option<Lock>) -> Result<(), Errno> {
        let conflict = |other: &OpenFile| match (wanted, other.lock) {
            (Some(Lock::Shared), held) => held == Some(Lock::Exclusive),
            (Some(Lock::Exclusive), held) => held.is_some(),
            (None, _) => false,
        };
        let others = self.slots.iter().filter_map(|slot| slot.open.as_ref());
        if others.filter(|other| other.file.handle != handle).any(conflict) {
            return Err(Errno::EAGAIN);
        }
        self.open_file(handle).ok_or(Errno::EBADF)?.lock = wanted;
        Ok(())
    }

    pub(crate) fn file(&mut self, handle: u64) -> Result<File, Errno> {
        self.open_file(handle).map(|open| open.file).ok_or(Errno::EBADF)
    }

    /// Queues a job behind those of its direction; gives it back, with the error to answer, if the device
    /// went away meanwhile.
    pub(crate) fn park(&mut self, job: Job) -> Result<(), (Owed, Errno)> {
        if let Some(errno) = self.hung_up {
            return Err((job.owed, errno));
        }
        self.queue(job.work.direction()).push_back(Entry {
            unique: job.owed.unique(),
            interrupted: false,
            job: Some(job),
        });
        Ok(())
    }

    /// Takes the job that waits longest, to try it.
    pub(crate) fn claim(&mut self, direction: Direction) -> Option<Job> {
        self.queue(direction).front_mut()?.job.take()
    }

    /// The claimed job is done; its owner answers.
    pub(crate) fn settle(&mut self, direction: Direction) {
        let entry = self.queue(direction).pop_front();
        debug_assert!(entry.is_some_and(|entry| entry.job.is_none()));
    }

    /// Requests that wait in a queue.
    pub(crate) fn waiting(&mut self, direction: Direction) -> usize {
        self.queue(direction).len()
    }

    /// The claimed job has to wait on. Gives it back, with the error to answer, if a signal or a hang-up came
    /// while it was claimed.
    pub(crate) fn put_back(&mut self, job: Job) -> Result<(), (Job, Errno)> {
        let hung_up = self.hung_up;
        let direction = job.work.direction();
        let apart = self.is_apart(direction);
        let queue = self.queue(direction);
        let Some(entry) = queue.front_mut() else {
            return Err((job, Errno::EIO));
        };
        let error = match hung_up {
            None if entry.interrupted => Errno::EINTR,
            None => {
                entry.job = Some(job);
                if apart {
                    queue.rotate_left(1);
                }
                return Ok(());
            }
            Some(errno) => errno,
        };
        queue.pop_front();
        Err((job, error))
    }

    /// A signal came for the client of `unique`. Gives out the request if it is parked; one that is claimed
    /// is marked, and one that is unknown has been answered already.
    pub(crate) fn interrupt(&mut self, unique: u64) -> Option<Job> {
        for queue in [&mut self.reads, &mut self.writes, &mut self.ioctls] {
            let Some(at) = queue.iter().position(|entry| entry.unique == unique) else {
                continue;
            };
            self.interrupted += 1;
            queue[at].interrupted = true;
            queue[at].job.as_ref()?;
            return queue.remove(at)?.job;
        }
        None
    }

    /// The device is gone: gives out every parked request. Those that are claimed follow when the pump puts
    /// them back. Only the first error counts.
    pub(crate) fn hang_up(&mut self, errno: Errno) -> Vec<Owed> {
        self.hung_up.get_or_insert(errno);
        let mut owed = Vec::new();
        for queue in [&mut self.reads, &mut self.writes, &mut self.ioctls] {
            queue.retain_mut(|entry| {
                let parked = entry.job.take().map(|job| owed.push(job.owed));
                parked.is_none()
            });
        }
        owed
    }

    pub(crate) fn is_hung_up(&self) -> bool {
        self.hung_up.is_some()
    }

    /// Somebody waits for `events` on the file. Adds to what others wait for.
    pub(crate) fn arm(&mut self, handle: u64, kernel_handle: u64, events: PollEvents) {
        let Some(open) = self.open_file(handle) else { return };
        let (fresh, others) = match open.armed {
            None => (1, PollEvents::empty()),
            Some((_, others)) => (0, others),
        };
        open.armed = Some((kernel_handle, others | events));
        self.pollers += fresh;
    }

    /// Ends what [`arm`](Self::arm) began. Whether there was something to end.
    pub(crate) fn disarm(&mut self, handle: u64) -> bool {
        let armed = self.open_file(handle).and_then(|open| open.armed.take());
        self.pollers -= usize::from(armed.is_some());
        armed.is_some()
    }

    /// Puts everybody who waits in a poll into `list`.
    pub(crate) fn pollers_into(&self, list: &mut Vec<Poller>) {
        list.clear();
        if self.pollers == 0 {
            return;
        }
        list.extend(self.slots.iter().filter_map(|slot| {
            let open = slot.open?;
            let (kernel_handle, events) = open.armed?;
            Some(Poller { file: open.file, kernel_handle, events })
        }));
    }

    pub(crate) fn stats(&self) -> NodeStats {
        NodeStats {
            openers: self.openers,
            waiting_readers: self.reads.len(),
            waiting_writers: self.writes.len(),
            waiting_ioctls: self.ioctls.len(),
            pollers: self.pollers,
            requests: self.requests,
            interrupted: self.interrupted,
        }
    }

    fn queue(&mut self, direction: Direction) -> &mut VecDeque<Entry> {
        match direction {
            Direction::Read => &mut self.reads,
            Direction::Write => &mut self.writes,
            Direction::Ioctl => &mut self.ioctls,
        }
    }

    fn slot(&mut self, handle: u64) -> Option<&mut Slot> {
        // The low half of a handle is its slot, the high half the slot's generation.
        let slot = self.slots.get_mut(handle as u32 as usize)?;
        (u64::from(slot.generation) == handle >> 32).then_some(slot)
    }

    fn open_file(&mut self, handle: u64) -> Option<&mut OpenFile> {
        self.slot(handle)?.open.as_mut()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
