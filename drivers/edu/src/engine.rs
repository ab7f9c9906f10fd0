//! An engine of the device, and the requests that queue for it.
//!
//! The device has two: one computes, one moves bytes. Each does one thing at a time and raises an interrupt when it
//! has ended. What they do is a [`Unit`]; the queue is the same.
//!
//! # Vocabulary
//!
//! - **job**: what a client asks for, and its result afterwards.
//! - **ticket**: what its owner, a waiting call or an open file, asks for the result with.
//! - **overdue**: it runs for longer than [`DEADLINE`].
//! - **stuck**: an overdue job was given up, and the device still says that it runs. Nothing is started until it
//!   says otherwise; requests are refused.
//!
//! # States of a job
//!
//! ```text
//!   submit ──▶ waiting ──its turn──▶ running ──the device is no longer busy──▶ done ──claim──▶ (gone)
//!                │ abandon              │ overdue, closed                       ▲      abandon, detach
//!                ▼                      └──────────────────────────────────────┘
//!              (gone)                     with an error
//! ```
//!
//! A job that is detached has no owner: it goes on, and is gone when it has ended.
//!
//! # Why each job ends exactly once
//!
//! A job changes its state under the queue's lock, and only there. Whoever finds it running and the device not busy
//! ends it; an interrupt that comes late, or for no reason, finds the device busy with the next one, or nothing
//! running. So an interrupt is never believed: it says when to look.
//!
//! # Locking
//!
//! The queue's lock is a spin lock, taken with bottom halves off. Under it the registers of the engine are accessed; no queue is woken, for the woken take it again. `service` allocates
//! nothing: a job brings what it needs.

mod slots;

use std::sync::Arc;
use std::time::{Duration, Instant};

use uio_core::error::Errno;
use uio_core::sync::{SpinLock, WaitQueue};

use slots::Slots;
pub(crate) use slots::Ticket;

/// How long a job may run.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Jobs that may wait; more have to come again.
const WAITING: usize = 1024;

/// What an engine does. Called with the queue's lock held: nothing here sleeps.
pub(crate) trait Unit: Send + Sync + 'static {
    /// What is asked for, and the result.
    type Job: Send;

    /// Has the device begin. It is not busy.
    fn start(&self, job: &Self::Job) -> Result<(), Errno>;

    /// Whether the device is at it.
    fn is_busy(&self) -> Result<bool, Errno>;

    /// Takes the result over. The device is not busy any more.
    fn finish(&self, job: &mut Self::Job) -> Result<(), Errno>;
}

/// The wait queues of the node: whatever ends wakes both.
#[derive(Debug, Default, Clone)]
pub(crate) struct Waits {
    pub(crate) read: Arc<WaitQueue>,
    pub(crate) write: Arc<WaitQueue>,
}

impl Waits {
    pub(crate) fn wake(&self) {
        self.read.wake_all();
        self.write.wake_all();
    }
}

/// How an engine stands, to whoever watches over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nothing runs.
    Idle,
    /// A job runs, and may for so long.
    Busy(Duration),
    /// A job had ended, and nobody had said so.
    Missed,
    /// A job was overdue, and has been given up.
    Overdue,
}

struct Queue<J> {
    slots: Slots<J>,
    started: Instant,
    stuck: bool,
    /// What requests are refused with.
    closed: Option<Errno>,
}

/// See the [module](self).
pub(crate) struct Engine<U: Unit> {
    unit: U,
    queue: SpinLock<Queue<U::Job>>,
    waits: Waits,
}

impl<U: Unit> Engine<U> {
    pub(crate) fn new(unit: U, waits: Waits) -> Self {
        let (slots, started) = (Slots::default(), Instant::now());
        let queue = SpinLock::new(Queue { slots, started, stuck: false, closed: None });
        Self { unit, queue, waits }
    }

    /// Queues a job.
    ///
    /// # Errors
    ///
    /// - `EAGAIN` if too many wait: to be asked again when a queue is woken;
    /// - `EIO` if the engine is stuck;
    /// - `ENODEV` if it is closed.
    pub(crate) fn submit(&self, job: U::Job) -> Result<Ticket, Errno> {
        let mut queue = self.queue.lock_bh();
        if let Some(errno) = queue.closed {
            return Err(errno);
        }
        self.unstick(&mut queue)?;
        if queue.slots.waiting() >= WAITING {
            return Err(Errno::EAGAIN);
        }
        let ticket = queue.slots.insert(job);
        self.start_next(&mut queue);
        Ok(ticket)
    }

    /// The result of a job, once.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it has not ended; else what it ended with.
    pub(crate) fn claim(&self, ticket: Ticket) -> Result<U::Job, Errno> {
        self.queue.lock_bh().slots.claim(ticket)
    }

    /// Whether the result of a job is there.
    pub(crate) fn is_done(&self, ticket: Ticket) -> bool {
        self.queue.lock_bh().slots.is_done(ticket)
    }

    /// Nobody wants the result any more: a job that has not begun will not. `true` if it has not.
    pub(crate) fn abandon(&self, ticket: Ticket) -> bool {
        self.queue.lock_bh().slots.abandon(ticket)
    }

    /// Nobody will ask for the result; the job is carried out.
    pub(crate) fn detach(&self, ticket: Ticket) {
        self.queue.lock_bh().slots.detach(ticket);
    }

    /// An interrupt came: ends the job that runs, if the device is not at it any more, and starts the next.
    pub(crate) fn service(&self) {
        let changed = self.look(&mut self.queue.lock_bh());
        if changed {
            self.waits.wake();
        }
    }

    /// How the engine stands, for the one who watches. A job that has ended without a word is ended here, and one
    /// that is overdue given up with `ETIMEDOUT`.
    pub(crate) fn check(&self) -> Health {
        let health = self.judge(&mut self.queue.lock_bh());
        if matches!(health, Health::Missed | Health::Overdue) {
            self.waits.wake();
        }
        health
    }

    fn judge(&self, queue: &mut Queue<U::Job>) -> Health {
        if !queue.slots.is_running() {
            return Health::Idle;
        }
        match DEADLINE.checked_sub(queue.started.elapsed()) {
            Some(left) if !left.is_zero() => Health::Busy(left),
            _ if self.look(queue) => Health::Missed,
            _ => {
                queue.slots.end_running(Err(Errno::ETIMEDOUT));
                queue.stuck = true;
                Health::Overdue
            }
        }
    }

    /// Whether nothing runs and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        let queue = self.queue.lock_bh();
        !queue.slots.is_running() && queue.slots.waiting() == 0
    }

    /// Gives up the job that runs, with `errno`. Nothing is started until [`resume`](Self::resume).
    pub(crate) fn give_up(&self, errno: Errno) {
        let mut queue = self.queue.lock_bh();
        queue.slots.end_running(Err(errno));
        queue.stuck = true;
        drop(queue);
        self.waits.wake();
    }

    /// The device has been reset: what waits has its turn.
    pub(crate) fn resume(&self) {
        let mut queue = self.queue.lock_bh();
        queue.stuck = false;
        self.start_next(&mut queue);
        drop(queue);
        self.waits.wake();
    }

    /// The device stays stuck: what waits fails with `EIO`.
    pub(crate) fn fail_waiting(&self, errno: Errno) {
        self.queue.lock_bh().slots.fail_waiting(errno);
        self.waits.wake();
    }

    /// Takes no more requests; those that wait end with `errno`, and the one that runs runs on.
    pub(crate) fn close(&self, errno: Errno) {
        self.queue.lock_bh().closed = Some(errno);
        self.fail_waiting(errno);
    }

    /// Ends the job that runs, if it has ended. Whether anything changed.
    fn look(&self, queue: &mut Queue<U::Job>) -> bool {
        if !queue.slots.is_running() {
            // What a stuck engine raises at last.
            return queue.stuck && self.unstick(queue).is_ok();
        }
        let result = match self.unit.is_busy() {
            Ok(true) => return false,
            Ok(false) => queue.slots.with_running(|job| self.unit.finish(job)),
            Err(errno) => Err(errno),
        };
        queue.slots.end_running(result);
        self.start_next(queue);
        true
    }

    /// Starts jobs until one runs. Those that cannot be started have ended.
    fn start_next(&self, queue: &mut Queue<U::Job>) {
        while !queue.stuck && queue.slots.begin_next() {
            queue.started = Instant::now();
            match queue.slots.with_running(|job| self.unit.start(job)) {
                Ok(()) => return,
                Err(errno) => queue.slots.end_running(Err(errno)),
            }
        }
    }

    /// Ends being stuck if the device is not busy any more.
    fn unstick(&self, queue: &mut Queue<U::Job>) -> Result<(), Errno> {
        if queue.stuck && self.unit.is_busy()? {
            return Err(Errno::EIO);
        }
        if std::mem::take(&mut queue.stuck) {
            self.start_next(queue);
        }
        Ok(())
    }
}
