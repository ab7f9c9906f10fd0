//! Carries out reads, writes and ioctls: at once if it can be, else parked and tried again on every wake-up.
//!
//! # Vocabulary
//!
//! - **fresh**: a request that the session has just read from the channel, tried on the session's thread.
//! - **pass**: one trial of what is parked, in order of arrival, on the thread of whoever woke the queue.
//! - **due**: what a pass is to look at, [`DUE_READS`], [`DUE_WRITES`] (ioctls too). Pollers are told of what is due and of
//!   nothing else, as a kernel device wakes its two queues with a key: an edge-triggered client would take
//!   word of room for the arrival of more data.
//!
//! States of a request: [`table`](super::table). States of the pump: [`combiner`](super::combiner).
//!
//! # Why each request is answered exactly once
//!
//! A fresh request is known to the session's thread alone until it is parked; the same thread reads an
//! INTERRUPT for it, so that cannot come before. From parking on, the right to answer ([`Owed`]) is in the
//! table; the table hands it out once, under its lock, to a pass, to the interrupter or to the hang-up.
//!
//! # Why no byte is lost
//!
//! Bytes are taken from the device only by who holds the `Owed`: a pass claims a job *before* it asks the
//! device. An interruption or a hang-up that comes while a job is claimed leaves a mark and does not answer;
//! the pass sees the mark when it puts the job back. If the device gave bytes, the client gets the bytes, as
//! in the kernel, where a signal is looked for only when there is nothing to return.
//!
//! # Why no wake-up is lost
//!
//! The danger is data that comes between "the device had nothing" and "the request is parked". So whoever
//! parks asks for a pass *after* parking. If the data came before that pass began, it finds it. If it came
//! later, its maker wakes the queue later still, and finds the request parked. The combiner loses no pass.
//! A poller is armed before the device is asked, so the same argument holds for it without a pass.
//!
//! # Order
//!
//! Blocking requests of a direction are served in order of arrival; a fresh one queues behind those that
//! wait. All open files of a node share that queue: if the device says `EAGAIN` to the first, the others
//! are not tried. Where files read apart ([`CharDevice::reads_apart`]), a fresh read is tried at once and a pass tries
//! all that are parked. A nonblocking request never waits and is not held back either: it takes what is there
//! now, as it would in a kernel driver, where it competes with sleepers that were woken but do not run yet.
//!
//! # Lock order
//!
//! `scratch`, then `table`. The device is never called with `table` held. `scratch` is held during a pass,
//! calls of the device included; that cannot block anybody, because only the owner of the combiner takes it,
//! and a wake-up from inside the device finds the combiner running and leaves.

mod ioctl;

use std::ops::DerefMut;
use std::sync::{Arc, PoisonError};

use nix::errno::Errno;

use super::combiner::Combiner;
use super::device::{CharDevice, File, PollEvents, WaitingCall};
use super::table::{Admission, Direction, Job, NodeStats, Owed, Poller, Table, Work};
use super::wire::abi::{POLL_SCHEDULE_NOTIFY, PollIn, PollOut, WriteOut};
use super::wire::reply::Reply;
use crate::sync::Wake;
use crate::sync::facade::Mutex;

pub(crate) use self::ioctl::Ioctl;

pub(crate) const DUE_READS: u32 = 1 << 0;
pub(crate) const DUE_WRITES: u32 = 1 << 1;

/// Where answers go: the channel, or a model of it.
pub(crate) trait Answer: Send + Sync {
    /// Answers a request. An error says that nobody waits for it any more.
    fn answer(&self, owed: Owed, reply: &Reply<'_>) -> Result<(), Errno>;
    /// Tells the pollers of an open file to look again.
    fn wake_poller(&self, kernel_handle: u64);
}

/// What a READ and a WRITE have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) handle: u64,
    /// Status flags of the file now: `fcntl` changes them.
    pub(crate) flags: i32,
    /// Not the first piece of a split read: it ends when there is nothing more, and does not wait.
    pub(crate) continuation: bool,
}

impl Call {
    fn nonblocking(self) -> bool {
        self.flags & libc::O_NONBLOCK != 0
    }

    fn may_wait(self) -> bool {
        !self.nonblocking() && !self.continuation
    }
}

/// Memory that a pass needs, kept from one to the next.
#[derive(Debug, Default)]
struct Scratch {
    data: Vec<u8>,
    pollers: Vec<Poller>,
}

/// See the [module](self).
pub(crate) struct Pump<A> {
    device: Arc<dyn CharDevice>,
    out: A,
    table: Mutex<Table>,
    combiner: Combiner,
    scratch: Mutex<Scratch>,
}

impl<A: Answer> Pump<A> {
    pub(crate) fn new(device: Arc<dyn CharDevice>, out: A) -> Self {
        let table = Table::new(device.reads_apart());
        Self {
            device,
            out,
            table: Mutex::new(table),
            combiner: Combiner::new(),
            scratch: Mutex::new(Scratch::default()),
        }
    }

    pub(crate) fn device(&self) -> &dyn CharDevice {
        &*self.device
    }

    pub(crate) fn out(&self) -> &A {
        &self.out
    }

    pub(crate) fn stats(&self) -> NodeStats {
        self.table().stats()
    }

    /// The table. A leaf lock: call nothing while it is held.
    pub(crate) fn table(&self) -> impl DerefMut<Target = Table> + '_ {
        // A panic under this lock would be our own defect; the table's values stay usable.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh READ of `buf.len()` bytes. `buf` is the session's, for what can be read at once.
    pub(crate) fn read(&self, owed: Owed, call: Call, buf: &mut [u8]) {
        let admission = self.table().admit_io(Direction::Read, call.handle, call.flags);
        let file = match admission {
            Admission::Refuse(errno) => return self.fail(owed, errno),
            Admission::Queue(file) if call.may_wait() => {
                return self.park(owed, file, Work::Read(buf.len()));
            }
            Admission::Queue(file) | Admission::Try(file) => file,
        };
        match self.read_device(&file, buf) {
            Ok(n) => self.reply(owed, &Reply::Data(&buf[..n])),
            Err(Errno::EAGAIN) if call.may_wait() => self.park(owed, file, Work::Read(buf.len())),
            Err(Errno::EAGAIN) if call.continuation => self.reply(owed, &Reply::Data(&[])),
            Err(errno) => self.fail(owed, errno),
        }
    }

    /// A fresh WRITE.
    pub(crate) fn write(&self, owed: Owed, call: Call, data: &[u8]) {
        let admission = self.table().admit_io(Direction::Write, call.handle, call.flags);
        let file = match admission {
            Admission::Refuse(errno) => return self.fail(owed, errno),
            Admission::Queue(file) if call.may_wait() => {
                return self.park(owed, file, Work::Write(data.into()));
            }
            Admission::Queue(file) | Admission::Try(file) => file,
        };
        match self.write_device(&file, data) {
            Ok(n) => self.reply(owed, &written(n)),
            Err(Errno::EAGAIN) if call.may_wait() => {
                self.park(owed, file, Work::Write(data.into()));
            }
            Err(errno) => self.fail(owed, errno),
        }
    }

    /// A POLL: answered at once; whoever waits is told later.
    pub(crate) fn poll(&self, owed: Owed, ask: &PollIn) {
        let file = {
            let mut table = self.table();
            // What a hung-up device answers is not an error, so `admit` only counts here.
            let _ = table.admit();
            if ask.flags & POLL_SCHEDULE_NOTIFY != 0 {
                let events = PollEvents::from_bits_truncate(ask.events);
                table.arm(ask.fh, ask.kh, events);
            }
            table.file(ask.fh)
        };
        let events = match file {
            Ok(file) => self.readiness(&file),
            Err(errno) => return self.fail(owed, errno),
        };
        let out = PollOut { revents: events.bits(), ..PollOut::default() };
        self.reply(owed, &Reply::Polled(out));
    }

    /// A signal came for the client that waits for `unique`. One that is not parked has been answered: the
    /// session reads requests in order and parks each before it reads the next.
    pub(crate) fn interrupt(&self, unique: u64) {
        let parked = self.table().interrupt(unique);
        if let Some(job) = parked {
            self.give_up(job, Errno::EINTR);
        }
    }

    /// The device is gone: answers all that is parked with `errno`, refuses what comes, tells all pollers.
    pub(crate) fn hang_up(&self, errno: Errno) {
        let mut pollers = Vec::new();
        let parked = {
            let mut table = self.table();
            table.pollers_into(&mut pollers);
            for poller in &pollers {
                table.disarm(poller.file.handle);
            }
            table.hang_up(errno)
        };
        for owed in parked {
            self.fail(owed, errno);
        }
        for poller in pollers {
            self.out.wake_poller(poller.kernel_handle);
        }
    }

    /// Has what is `due` tried again, by this thread or by the one that is at it.
    pub(crate) fn retry(&self, due: u32) {
        self.combiner.run(due, |due| {
            let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
            if due & DUE_READS != 0 {
                self.serve(Direction::Read, &mut scratch.data);
            }
            if due & DUE_WRITES != 0 {
                self.serve(Direction::Write, &mut scratch.data);
                self.serve_ioctls(&mut scratch.data);
            }
            self.tell_pollers(due, &mut scratch.pollers);
        });
    }

    /// Tries the parked jobs of a direction, first come first served, until one has to wait on; where they wait for
    /// different things, all of them, once each. One that is parked meanwhile asks for a pass of its own.
    fn serve(&self, direction: Direction, buf: &mut Vec<u8>) {
        let (mut left, apart) = self.waiting(direction);
        while let Some(job) = (left > 0).then(|| self.claim(direction)).flatten() {
            left -= 1;
            let outcome = match &job.work {
                Work::Read(size) => {
                    if buf.len() < *size {
                        buf.resize(*size, 0);
                    }
                    self.read_device(&job.file, &mut buf[..*size])
                }
                Work::Write(data) => self.write_device(&job.file, data),
                Work::Ioctl(_) => Err(Errno::EIO),
            };
            let (owed, reply) = match outcome {
                Err(Errno::EAGAIN) => match self.put_back(job) {
                    Ok(()) if apart => continue,
                    Ok(()) => return,
                    Err((job, errno)) => {
                        self.give_up(job, errno);
                        continue;
                    }
                },
                Err(errno) => (self.settle(job), Reply::Error(errno)),
                Ok(n) => match direction {
                    Direction::Read => (self.settle(job), Reply::Data(&buf[..n])),
                    Direction::Write | Direction::Ioctl => (self.settle(job), written(n)),
                },
            };
            self.reply(owed, &reply);
        }
    }

    /// Tells those who wait for what is due, if the device is ready for it now.
    fn tell_pollers(&self, due: u32, list: &mut Vec<Poller>) {
        let news = news(due);
        self.table().pollers_into(list);
        for poller in list.iter() {
            let wanted = (poller.events & news) | PollEvents::ERR | PollEvents::HUP;
            if !self.readiness(&poller.file).intersects(wanted) {
                continue;
            }
            // Disarmed first: who arms again after this is told by the next wake-up, and who armed just
            // before is told now, because the kernel wakes all who wait on the file.
            if self.disarm(poller.file.handle) {
                self.out.wake_poller(poller.kernel_handle);
            }
        }
    }

    /// Parks a request, then has it tried once more: what came before it was parked woke nobody.
    fn park(&self, owed: Owed, file: File, work: Work) {
        let due = match work.direction() {
            Direction::Read => DUE_READS,
            Direction::Write | Direction::Ioctl => DUE_WRITES,
        };
        let parked = self.table().park(Job { owed, file, work });
        match parked {
            Ok(()) => self.retry(due),
            Err((owed, errno)) => self.fail(owed, errno),
        }
    }

    fn readiness(&self, file: &File) -> PollEvents {
        if self.table().is_hung_up() {
            return PollEvents::ERR | PollEvents::HUP;
        }
        guarded(|| Ok(self.device.poll(file))).unwrap_or(PollEvents::ERR)
    }

    fn read_device(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let room = buf.len();
        within(guarded(|| self.device.read(file, buf))?, room)
    }

    fn write_device(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        within(guarded(|| self.device.write(file, data))?, data.len())
    }

    // Each of these locks the table for one statement.

    /// How many jobs of a direction are parked, and whether they wait for different things.
    fn waiting(&self, direction: Direction) -> (usize, bool) {
        let mut table = self.table();
        (table.waiting(direction), table.is_apart(direction))
    }

    fn claim(&self, direction: Direction) -> Option<Job> {
        self.table().claim(direction)
    }

    fn put_back(&self, job: Job) -> Result<(), (Job, Errno)> {
        self.table().put_back(job)
    }

    fn settle(&self, job: Job) -> Owed {
        self.table().settle(job.work.direction());
        job.owed
    }

    fn disarm(&self, handle: u64) -> bool {
        self.table().disarm(handle)
    }

    /// Ends a job that waited. The device hears of a signal before the client does, whose next call may ask
    /// for the same.
    fn give_up(&self, job: Job, errno: Errno) {
        if errno == Errno::EINTR {
            let call = match &job.work {
                Work::Read(_) => WaitingCall::Read,
                Work::Write(_) => WaitingCall::Write,
                Work::Ioctl(waiting) => {
                    WaitingCall::Ioctl { cmd: waiting.cmd, state: waiting.state }
                }
            };
            let told = guarded(|| {
                self.device.interrupted(&job.file, call);
                Ok(())
            });
            // A panic of the driver was reported; the client is answered all the same.
            let _ = told;
        }
        self.fail(job.owed, errno);
    }

    fn fail(&self, owed: Owed, errno: Errno) {
        self.reply(owed, &Reply::Error(errno));
    }

    fn reply(&self, owed: Owed, reply: &Reply<'_>) {
        // An error here says that the client went away, or the whole node: nobody is left to tell.
        let _ = self.out.answer(owed, reply);
    }
}

/// What a wait queue of the device calls: has the requests of one direction tried again.
pub(crate) struct Retry<A> {
    pub(crate) pump: Arc<Pump<A>>,
    pub(crate) due: u32,
}

impl<A: Answer> Wake for Retry<A> {
    fn wake(&self) {
        self.pump.retry(self.due);
    }
}

/// What the wake-ups behind `due` can be about.
fn news(due: u32) -> PollEvents {
    let mut news = PollEvents::empty();
    news.set(PollEvents::READABLE, due & DUE_READS != 0);
    news.set(PollEvents::WRITABLE, due & DUE_WRITES != 0);
    news
}

fn written(n: usize) -> Reply<'static> {
    Reply::Written(WriteOut {
        // At most the size of the request, which came as a u32.
        size: n as u32,
        padding: 0,
    })
}

/// A count that a driver returned, unless it is more than there was room for.
fn within(count: usize, room: usize) -> Result<usize, Errno> {
    if count <= room {
        return Ok(count);
    }
    tracing::error!(count, room, "driver moved more bytes than there were");
    Err(Errno::EIO)
}

/// Calls a driver; a panic of its ends the request with `EIO` and not the node.
#[cfg(not(loom))]
pub(crate) fn guarded<R>(call: impl FnOnce() -> Result<R, Errno>) -> Result<R, Errno> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_or_else(|_| {
        tracing::error!("driver panicked in an operation of its node; answered EIO");
        Err(Errno::EIO)
    })
}

/// In a model a panic is a failed model.
#[cfg(loom)]
pub(crate) fn guarded<R>(call: impl FnOnce() -> Result<R, Errno>) -> Result<R, Errno> {
    call()
}

#[cfg(all(test, loom))]
mod loom_models;
