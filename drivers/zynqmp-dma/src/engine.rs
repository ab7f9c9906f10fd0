//! [`Engine`]: the channel and the queue before it.
//!
//! # Ends of the copy that runs
//!
//! | what is seen | how it ends | the channel |
//! | --- | --- | --- |
//! | DONE, at rest, all bytes moved | well | goes on |
//! | an error cause, at rest | `EIO` | is initialised anew |
//! | DONE, at rest, fewer bytes moved, but some | `EIO` | is initialised anew |
//! | nothing until the deadline, and it stops | `ETIMEDOUT` | is initialised anew |
//! | nothing until the deadline, and it does not stop | `ETIMEDOUT` | is left alone until it rests; others get `EIO` |
//! | the device is gone, or is to be let go | `ENODEV` | is stopped |
//!
//! # Before memory is released
//!
//! [`shut_down`](Engine::shut_down) closes the queue, stops the channel and waits, for so long, until it rests. If it
//! does not, the memory is kept for good: [`Keep`] is leaked. So no block is given to anybody while the channel may write
//! to it. A carve-out is nobody else's in any case; pages of this process are until it ends.
//!
//! # Locking
//!
//! The lock is a spin lock, taken with bottom halves off. Under it the registers are accessed; no queue is woken, for the
//! woken take it again, and no block is dropped. `service` allocates nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uio_core::error::Errno;
use uio_core::io::AccessError;
use uio_core::mem::dma::{ReservedMemory, Shared};
use uio_core::sync::{SpinLock, WaitQueue};
use uio_core::time;

use crate::channel::Channel;
use crate::queue::{Queue, Request, Store};
use crate::regs::cause;
use crate::stats::{Stats, count};
use crate::top_half::Causes;

/// How long a copy may take, whatever its length.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes a second that every channel manages.
const SLOWEST: u64 = 16 << 20;
/// How long a channel that was stopped is waited for, at the end.
const LAST_COPY: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(1);

/// The wait queues of the node: whatever ends wakes both.
#[derive(Debug, Default, Clone)]
pub(crate) struct Waits {
    pub(crate) read: Arc<WaitQueue>,
    pub(crate) write: Arc<WaitQueue>,
}

impl Waits {
    fn wake(&self) {
        self.read.wake_all();
        self.write.wake_all();
    }
}

/// How the engine stands, for the one who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nothing runs.
    Idle,
    /// A copy runs, and may for so long.
    Busy(Duration),
    /// A copy had ended, and no interrupt had said so.
    Missed,
    /// A copy was overdue, and has been given up; the channel rests.
    Overdue,
    /// The channel goes on with a copy that was given up.
    Stuck,
}

/// What the channel may write to.
pub(crate) struct Keep {
    /// The part of the memory that clients have.
    pub(crate) arena: Shared,
    /// All of it; the rest is for echoes.
    pub(crate) memory: ReservedMemory,
}

struct State {
    queue: Queue,
    /// When the one that runs was started, and TOTAL_BYTE then.
    started: Instant,
    total: u32,
    /// Causes since then.
    seen: u32,
    /// What requests are refused with.
    closed: Option<Errno>,
}

/// See the [module](self).
pub(crate) struct Engine {
    channel: Channel,
    causes: Arc<Causes>,
    state: SpinLock<State>,
    pub(crate) keep: Arc<Keep>,
    pub(crate) waits: Waits,
    pub(crate) stats: Arc<Stats>,
}

impl Engine {
    /// Over a channel that rests.
    pub(crate) fn new(
        channel: Channel,
        causes: Arc<Causes>,
        keep: Keep,
        stats: Arc<Stats>,
    ) -> Self {
        let state =
            State { queue: Queue::new(), started: Instant::now(), total: 0, seen: 0, closed: None };
        let (state, keep) = (SpinLock::new(state), Arc::new(keep));
        Self { channel, causes, state, keep, waits: Waits::default(), stats }
    }

    /// Sets the channel up, with its interrupts on.
    ///
    /// # Errors
    ///
    /// If the device is gone.
    pub(crate) fn begin(&self) -> Result<(), AccessError> {
        self.channel.initialise()
    }

    /// Whether a copy would be taken, as far as it is up to the engine; if not for that it is closed, the call says so.
    pub(crate) fn has_room(&self) -> bool {
        self.with_state(|state| state.closed.is_some() || state.queue.has_room())
    }

    /// Calls `act` on the queue, and drops what it has left over.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Queue) -> R) -> R {
        let mut state = self.state.lock_bh();
        let result = act(&mut state.queue);
        let spent = state.queue.take_spent();
        drop(state);
        drop(spent);
        result
    }

    /// Queues a copy of a client.
    ///
    /// # Errors
    ///
    /// `EAGAIN`, `ENOBUFS`: as [`Queue::push_copy`]; `EIO` if the channel is stuck; `ENODEV` if it is closed.
    pub(crate) fn submit(&self, owner: u64, request: Request) -> Result<(), Errno> {
        self.push(|queue| queue.push_copy(owner, request))
    }

    /// Queues an echo.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit).
    pub(crate) fn submit_echo(&self, request: Request, store: Store) -> Result<(), Errno> {
        self.push(|queue| queue.push_echo(request, store))
    }

    fn push(&self, push: impl FnOnce(&mut Queue) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut state = self.state.lock_bh();
        if let Some(errno) = state.closed {
            return Err(errno);
        }
        if state.queue.is_stuck() && !self.unstick(&mut state) {
            return Err(Errno::EIO);
        }
        let pushed = push(&mut state.queue);
        let ended = self.start_next(&mut state);
        drop(state);
        if ended {
            self.waits.wake();
        }
        pushed
    }

    /// An interrupt came: ends the copy that runs, if it has ended, and starts the next.
    pub(crate) fn service(&self) {
        let mut state = self.state.lock_bh();
        // Under the lock, as `start` takes them: none of these is of a copy that is started afterwards.
        state.seen |= self.causes.take();
        let changed = self.look(&mut state);
        drop(state);
        if changed {
            self.waits.wake();
        }
    }

    /// How the engine stands. A copy that has ended without a word is ended here, and one that is overdue given up.
    pub(crate) fn check(&self) -> Health {
        let mut state = self.state.lock_bh();
        let health = self.judge(&mut state);
        drop(state);
        if matches!(health, Health::Missed | Health::Overdue | Health::Stuck) {
            self.waits.wake();
        }
        health
    }

    fn judge(&self, state: &mut State) -> Health {
        if state.queue.is_stuck() && !self.unstick(state) {
            return Health::Stuck;
        }
        let Some(running) = state.queue.running() else { return Health::Idle };
        let deadline = PATIENCE + Duration::from_millis(u64::from(running.len) * 1000 / SLOWEST);
        match deadline.checked_sub(state.started.elapsed()) {
            Some(left) if !left.is_zero() => return Health::Busy(left),
            _ => {}
        }
        match self.channel.take_causes() {
            Ok(causes) => state.seen |= causes,
            Err(gone) => self.lose(state, gone),
        }
        if self.look(state) { Health::Missed } else { self.overdue(state) }
    }

    fn overdue(&self, state: &mut State) -> Health {
        count(&self.stats.timeouts, 1);
        let stopped = self.channel.stop().and_then(|()| self.channel.is_at_work());
        if let Ok(true) = stopped {
            state.queue.give_up(Errno::ETIMEDOUT);
            state.queue.fail_waiting(Errno::EIO);
            return Health::Stuck;
        }
        self.end(state, Err(Errno::ETIMEDOUT));
        Health::Overdue
    }

    /// Ends the copy that runs, if it has ended. Whether anything changed.
    fn look(&self, state: &mut State) -> bool {
        if state.queue.running().is_none() {
            return state.queue.is_stuck() && self.unstick(state);
        }
        let result = match self.outcome(state) {
            Ok(None) => return false,
            Ok(Some(result)) => result,
            Err(gone) => {
                self.lose(state, gone);
                return true;
            }
        };
        self.end(state, result);
        true
    }

    /// How the copy that runs has ended, if it has.
    fn outcome(&self, state: &State) -> Result<Option<Result<(), Errno>>, AccessError> {
        let len = state.queue.running().map_or(0, |running| running.len);
        if state.seen & (cause::DONE | cause::ERRORS) == 0 || self.channel.is_at_work()? {
            return Ok(None);
        }
        let moved = self.channel.total()?.wrapping_sub(state.total);
        Ok(match moved {
            _ if state.seen & cause::ERRORS != 0 => Some(Err(Errno::EIO)),
            // Of the copy before: this one has not begun.
            0 => None,
            moved if moved == len => Some(Ok(())),
            _ => Some(Err(Errno::EIO)),
        })
    }

    /// The copy that runs has ended so, and the channel rests.
    fn end(&self, state: &mut State, result: Result<(), Errno>) {
        match result {
            Ok(()) => {
                let len = state.queue.running().map_or(0, |running| running.len);
                count(&self.stats.copies, 1);
                count(&self.stats.bytes, u64::from(len));
            }
            Err(_) => {
                count(&self.stats.errors, 1);
                // Who is gone says so to the next as well.
                let _ = self.channel.stop().and_then(|()| self.channel.initialise());
            }
        }
        state.queue.end(result);
        self.start_next(state);
    }

    /// The registers say that the device is gone.
    fn lose(&self, state: &mut State, gone: AccessError) {
        let errno = Errno::from(gone);
        state.closed = Some(errno);
        state.queue.end(Err(errno));
        state.queue.fail_waiting(errno);
    }

    /// Starts the next request, if none runs. Whether requests ended by that: the device is gone.
    fn start_next(&self, state: &mut State) -> bool {
        if state.closed.is_some() {
            return false;
        }
        let Some(request) = state.queue.begin() else { return false };
        let (src, dst, len) = (request.src, request.dst, request.len);
        state.started = Instant::now();
        state.seen = 0;
        // Of the copy before.
        let _ = self.causes.take();
        match self.channel.start(src, dst, len) {
            Ok(total) => {
                state.total = total;
                false
            }
            Err(gone) => {
                self.lose(state, gone);
                true
            }
        }
    }

    /// Ends being stuck if the channel rests.
    fn unstick(&self, state: &mut State) -> bool {
        if let Ok(true) = self.channel.is_at_work() {
            return false;
        }
        // Who is gone says so to the next.
        let _ = self.channel.initialise();
        state.queue.unstick();
        self.start_next(state);
        true
    }

    /// Takes no more requests; all that wait end with `errno`, and the one that runs runs on. May not wait.
    pub(crate) fn close(&self, errno: Errno) {
        let mut state = self.state.lock_bh();
        state.closed = Some(errno);
        state.queue.fail_waiting(errno);
        drop(state);
        self.waits.wake();
    }

    /// The device is gone: all that is under way ends with `ENODEV`. May not wait.
    pub(crate) fn gone(&self) {
        let mut state = self.state.lock_bh();
        self.lose(&mut state, AccessError::Gone);
        drop(state);
        self.waits.wake();
    }

    /// Stops the channel, and ends what is under way with `ENODEV`. Sleeps, for a moment. May be called again.
    pub(crate) fn shut_down(&self) {
        self.close(Errno::ENODEV);
        let end = Instant::now() + LAST_COPY;
        while !self.with_state(|state| state.queue.is_idle()) && Instant::now() < end {
            time::sleep(PAUSE);
        }
        // A device that is gone is quiet.
        let _ = self.channel.stop();
        while matches!(self.channel.is_at_work(), Ok(true)) {
            if Instant::now() >= end + LAST_COPY {
                return self.abandon();
            }
            time::sleep(PAUSE);
        }
        self.with_state(|state| {
            state.queue.end(Err(Errno::ENODEV));
            state.queue.unstick();
        });
        self.waits.wake();
        self.with(|_| ());
    }

    /// The channel does not stop: whatever it may write to is kept for good.
    fn abandon(&self) {
        tracing::error!(
            "a channel does not stop; the memory that it may write to is kept from everybody"
        );
        self.with_state(|state| state.queue.give_up(Errno::ENODEV));
        std::mem::forget(Arc::clone(&self.keep));
        self.waits.wake();
    }

    fn with_state<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock_bh();
        act(&mut state)
    }
}
