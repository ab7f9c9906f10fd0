//! The inside of a line: how an interrupt flows from its source through the chain.
//!
//! # The chain
//!
//! Handlers are asked in order of registration, every one of them, whatever the ones before said. A round
//! walks the chain as it was when the round began: who joins meanwhile is asked from the next round on (the
//! kernel's walk would still reach it). Who leaves meanwhile, by a drop in any handler of the chain or on any
//! thread, is not called any more, in this round neither. The kernel has no such freedom: `free_irq` in a
//! handler is a bug that it warns of (`Trying to free IRQ from IRQ context`).
//!
//! # One storming line
//!
//! A line gets one round for each turn of the dispatcher, however often it fired and however soon it fires
//! again: what came together is one round, and what comes after the unmask waits for the next turn, behind
//! every other line that fired and behind the softirqs. (What an unmask made due has its one round in the turn
//! too.) So another line waits for a round of each storming line and one bounded run of softirqs, and no line
//! can keep the softirqs from their turn.
//!
//! Mirrors `kernel/irq/handle.c` (`__handle_irq_event_percpu`) and `kernel/irq/chip.c` (the flow handlers).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use nix::errno::Errno;

use super::action::Action;
use super::dispatch::Shared;
use super::handler::ThreadedIrqReturn;
use super::hold::may_wait_for;
use super::line::{LineSource, ServedBy};
use super::spurious::{Clock, Spurious, Verdict};
use super::state::{Owed, State, Taken};
use super::stats::Counters;
use super::threaded::is_thread_of;
use crate::cycles::get_cycles;
use crate::sync::WaitQueue;
use crate::sync::context::{self, Level};
use crate::sync::facade::Snapshot;
use crate::sys::schedstat::run_delay;

/// What unhandled interrupts are timed from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
const CLOCK: Clock = Clock { now: || START.elapsed(), run_delay };

type GoneHook = Box<dyn Fn(Errno) + Send + Sync>;

/// What all clones of an [`IrqLine`](super::IrqLine) share. The kernel's `struct irq_desc`.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) source: Box<dyn LineSource>,
    pub(super) served_by: ServedBy,
    pub(super) state: State,
    pub(super) chain: Snapshot<Arc<Action>>,
    /// Woken when a round ends, and when a thread function does, for `synchronize`.
    pub(super) idle: WaitQueue,
    /// Thread functions that were asked to run and have not ended.
    pub(super) threads_active: AtomicUsize,
    /// Rounds that thread functions have dealt with.
    pub(super) threads_handled: AtomicU64,
    pub(super) counters: Counters,
    pub(super) gone: OnceLock<GoneHook>,
    spurious: Spurious,
    requests: Mutex<()>,
}

impl Line {
    pub(super) fn new(name: String, source: Box<dyn LineSource>, dispatcher: Weak<Shared>) -> Self {
        Self {
            name,
            source,
            served_by: ServedBy::from_pointee(dispatcher),
            state: State::new(),
            chain: Snapshot::new(),
            idle: WaitQueue::new(),
            threads_active: AtomicUsize::new(0),
            threads_handled: AtomicU64::new(0),
            counters: Counters::default(),
            gone: OnceLock::new(),
            spurious: Spurious::default(),
            requests: Mutex::new(()),
        }
    }

    /// The dispatcher, if it has not ended.
    pub(super) fn dispatcher(&self) -> Option<Arc<Shared>> {
        self.served_by.load().upgrade()
    }

    /// Requests and releases of a line take turns, so that "first" and "last" are true.
    pub(super) fn turn_of_requests(&self) -> MutexGuard<'_, ()> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The descriptor is readable, or has an error: take what came in and walk the chain. Runs on the dispatcher
    /// only.
    pub(super) fn service(&self, dispatcher: &Shared, error: bool) {
        let _delivering = dispatcher.hold.deliver();
        if error && self.source.error_is_loss() {
            return self.die(Errno::ENODEV);
        }
        let events = match self.source.take() {
            Ok(0) => return,
            Ok(events) => events,
            Err(errno) => return self.die(errno),
        };
        self.counters.taken(events);
        match self.state.fired(self.source.masks_itself()) {
            Taken::Run => self.round(dispatcher),
            Taken::Merged => self.counters.merged(),
            Taken::Kept | Taken::Dropped => {}
        }
    }

    /// Runs the round that became due when the line was unmasked. Runs on the dispatcher only.
    pub(super) fn resend(&self, dispatcher: &Shared) {
        let _delivering = dispatcher.hold.deliver();
        if self.state.resend() {
            self.round(dispatcher);
        }
    }

    /// Asks the handlers of a line that is shut off. Runs on the dispatcher only. Whether it is to be polled
    /// again.
    pub(super) fn poll(&self, dispatcher: &Shared) -> bool {
        if !self.state.is_shut_off() || self.state.is_dead() {
            return false;
        }
        let _delivering = dispatcher.hold.deliver();
        if self.state.poll() {
            self.counters.polled();
            self.walk();
            self.end_of_round();
        }
        true
    }

    fn round(&self, dispatcher: &Shared) {
        if let Some(verdict) = self.walk() {
            let handled = self.threads_handled.load(Ordering::Relaxed);
            if self.spurious.note(verdict, handled, CLOCK) {
                self.shut_off(dispatcher);
            }
        }
        self.end_of_round();
    }

    fn end_of_round(&self) {
        self.settle(self.state.leave());
        self.idle.wake_all();
    }

    /// Asks every handler, in hard interrupt context. `None` if one panicked.
    fn walk(&self) -> Option<Verdict> {
        let start = get_cycles();
        let walked = catch_unwind(AssertUnwindSafe(|| {
            let _context = context::enter(Level::HardIrq);
            self.chain.read(|chain| self.ask(chain))
        }));
        let Ok(verdict) = walked else {
            tracing::error!(line = %self.name, "a handler panicked; the line is shut down");
            self.die(Errno::EIO);
            return None;
        };
        let wanted = verdict.handled || verdict.woken;
        self.counters.round(wanted, get_cycles().wrapping_sub(start));
        Some(verdict)
    }

    fn ask(&self, chain: &[Arc<Action>]) -> Verdict {
        let mut verdict = Verdict::default();
        for action in chain.iter().filter(|action| !action.has_left()) {
            match action.call() {
                ThreadedIrqReturn::None => {}
                ThreadedIrqReturn::Handled => verdict.handled = true,
                ThreadedIrqReturn::WakeThread => {
                    verdict.woken = true;
                    self.wake_thread(action);
                }
            }
        }
        verdict
    }

    fn wake_thread(&self, action: &Action) {
        match action.thread() {
            Some(thread) => thread.wake(self, action.flags),
            None if action.first_time_without_thread() => tracing::warn!(
                line = %self.name, handler = %action.name,
                "a handler asks for its thread, and has none: a bug of the driver"
            ),
            None => {}
        }
    }

    /// More interrupts than the rule allows were wanted by nobody.
    fn shut_off(&self, dispatcher: &Shared) {
        let handlers: Vec<String> =
            self.chain.read(|chain| chain.iter().map(|action| action.name.clone()).collect());
        tracing::error!(
            line = %self.name, handlers = %handlers.join(", "),
            "nobody cared for its interrupts; the line is shut off, and polled from now on"
        );
        self.counters.shut_off();
        self.state.shut_off();
        // A device that is gone needs no masking.
        let _ = self.source.mask();
        dispatcher.poll_lines();
    }

    /// Ends a shut-off, and starts the count anew.
    pub(super) fn reenable(&self) {
        self.spurious.reset();
        self.settle(self.state.reenable());
    }

    /// Does what a transition of the state says is owed.
    pub(super) fn settle(&self, owed: Owed) {
        match owed {
            Owed::Nothing => {}
            Owed::Unmask => self.unmask_source(),
            Owed::Resend => {
                if let Some(dispatcher) = self.dispatcher() {
                    dispatcher.resend();
                }
            }
            Owed::Unbalanced => {
                tracing::error!(line = %self.name, "unmask without a mask: a bug of the driver");
            }
        }
    }

    fn unmask_source(&self) {
        if let Err(errno) = self.source.unmask() {
            self.die(errno);
        }
    }

    /// The device is gone, or can no longer be trusted: no round runs any more.
    pub(super) fn die(&self, errno: Errno) {
        if !self.state.die() {
            return;
        }
        if let Some(dispatcher) = self.dispatcher() {
            dispatcher.forget(self);
        }
        if let Some(hook) = self.gone.get() {
            hook(errno);
        }
    }

    /// Waits until no handler runs, unless on the dispatcher, which cannot wait for itself.
    #[track_caller]
    pub(super) fn synchronize_handlers(&self) {
        self.wait_while(|| self.state.is_active());
    }

    /// As `synchronize_handlers`, and until no thread function is due or runs, unless in one of this line.
    #[track_caller]
    pub(super) fn synchronize(&self) {
        let threads = !is_thread_of(self);
        // The handlers first: the last of them may still have woken a thread.
        self.wait_while(|| {
            self.state.is_active() || (threads && self.threads_active.load(Ordering::SeqCst) != 0)
        });
    }

    #[track_caller]
    fn wait_while(&self, busy: impl Fn() -> bool) {
        let dispatcher = self.served_by.load();
        if dispatcher.upgrade().is_some_and(|dispatcher| dispatcher.is_current_thread()) {
            return;
        }
        let _context = may_wait_for(&dispatcher);
        self.idle.wait_until(|| !busy());
    }
}
