//! [`Alarm`]: what the timer bases ask of the dispatcher, all in this one place: to be woken at a point on a
//! clock, and to run then as a bottom half.
//!
//! An alarm is a timerfd that the dispatcher serves as an interrupt line of its own, as a kernel has a line
//! for its clock event device. The line's handler only notes that it rang; the base, an after-hook, sees the
//! note in the same round and runs what has expired, in softirq context.
//!
//! ```text
//!   base: set(at) ──▶ timerfd ──▶ dispatcher ──▶ handler: due ──▶ after-hook: take_due, expire, set(next)
//! ```
//!
//! # Why nothing is forgotten
//!
//! The handler and the hook run on the same thread, the hook after the handler in every round. Whoever notes
//! `due` elsewhere kicks the dispatcher after the note.
//!
//! A timerfd that is not told apart by reading is not read: arming it anew takes back what had expired, and
//! the dispatcher's epoll is edge-triggered.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::irq::{
    AfterHook, Dispatcher, Flags, Handler, IrqLine, IrqReturn, LineSource, Registration, Shared,
};
use crate::sync::context::{self, Level};
use crate::sync::{WaitQueue, WaitResult};
use crate::sys::clock::ClockId;
use crate::sys::timerfd::{AlarmFd, Rang};

/// Time that expiring may take before the lines get their turn: `MAX_SOFTIRQ_TIME`.
const MAX_TIME: Duration = Duration::from_millis(2);
/// Callbacks between two looks at how long it has taken.
const LOOK_EVERY: u32 = 16;
/// How often a wait looks whether the dispatcher is still there to end it.
const DISPATCHER_CHECK: Duration = Duration::from_millis(100);

/// A base that runs on the dispatcher when its alarm has rung.
pub(super) trait Expire: Send + Sync {
    fn alarm(&self) -> &Alarm;

    /// Whether it wants to look in this round though the alarm did not ring.
    fn looks_anyway(&self) -> bool {
        false
    }

    /// Runs what has expired, in softirq context, and says whether work is left.
    fn expire(&self, rang: bool) -> bool;
}

/// The hook of a base.
struct Hook<B>(Arc<B>);

impl<B: Expire> AfterHook for Hook<B> {
    fn run(&self) -> bool {
        let rang = self.0.alarm().take_due();
        if !rang && !self.0.looks_anyway() {
            return false;
        }
        let _softirq = context::enter(Level::Softirq);
        self.0.expire(rang)
    }
}

/// Lets `base` run on the dispatcher, for as long as that lives.
pub(super) fn attach<B: Expire + 'static>(dispatcher: &Dispatcher, base: &Arc<B>) {
    let hook: Arc<dyn AfterHook> = Arc::new(Hook(Arc::clone(base)));
    dispatcher.add_after_hook(&hook);
}

/// The bell of one alarm: the line's source, and its handler.
struct Bell {
    fd: AlarmFd,
    due: AtomicBool,
    clock_sets: AtomicU64,
}

struct Source(Arc<Bell>);

impl LineSource for Source {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    fn take(&self) -> Result<u32, Errno> {
        if !self.0.fd.tells_of_set_clock() {
            return Ok(1);
        }
        match self.0.fd.read()? {
            Rang::Nothing => return Ok(0),
            Rang::Expired => {}
            Rang::ClockSet => self.0.note_clock_set(),
        }
        Ok(1)
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

impl Bell {
    fn note_clock_set(&self) {
        self.clock_sets.fetch_add(1, Ordering::Relaxed);
    }
}

impl Handler for Bell {
    fn handle(&self) -> IrqReturn {
        // Pairs with the swap in `take_due`.
        self.due.store(true, Ordering::Release);
        IrqReturn::Handled
    }
}

/// Wakes the dispatcher at a point on a clock.
pub(super) struct Alarm {
    bell: Arc<Bell>,
    dispatcher: Weak<Shared>,
    sets: AtomicU64,
    _line: Registration,
}

impl Alarm {
    pub(super) fn open(dispatcher: &Dispatcher, name: &str, clock: ClockId) -> Result<Self> {
        let fd = AlarmFd::open(clock)
            .map_err(|errno| Error::new(errno, "cannot make a timerfd for", name))?;
        let bell =
            Arc::new(Bell { fd, due: AtomicBool::new(false), clock_sets: AtomicU64::new(0) });
        let line = IrqLine::new(name, Box::new(Source(Arc::clone(&bell))), dispatcher);
        let handler: Arc<dyn Handler> = bell.clone();
        Ok(Self {
            bell,
            dispatcher: Arc::downgrade(dispatcher.shared()),
            sets: AtomicU64::new(0),
            _line: Registration::request(&line, Flags::empty(), name, handler)?,
        })
    }

    /// Makes it ring at `at_ns` of its clock, at once if that is past. One system call.
    pub(super) fn set(&self, at_ns: i64) {
        self.sets.fetch_add(1, Ordering::Relaxed);
        match self.bell.fd.arm(at_ns) {
            Ok(()) => {}
            Err(Errno::ECANCELED) => self.ring_for_set_clock(),
            // PANIC: not reached; the descriptor is a timerfd and the point is in range.
            Err(errno) => panic!("a timerfd cannot be armed: {errno}"),
        }
    }

    /// The clock was set: what is due has to be looked at again.
    pub(super) fn ring_for_set_clock(&self) {
        self.bell.note_clock_set();
        self.bell.due.store(true, Ordering::Release);
        if let Some(dispatcher) = self.dispatcher.upgrade() {
            dispatcher.kick();
        }
    }

    fn take_due(&self) -> bool {
        // The load keeps the rounds of other lines from paying for a locked instruction.
        self.bell.due.load(Ordering::Relaxed) && self.bell.due.swap(false, Ordering::AcqRel)
    }

    /// System calls made so far to arm it.
    pub(super) fn sets(&self) -> u64 {
        self.sets.load(Ordering::Relaxed)
    }

    /// How often the clock was seen to be set.
    pub(super) fn clock_sets(&self) -> u64 {
        self.bell.clock_sets.load(Ordering::Relaxed)
    }

    /// Whether the caller is the dispatcher, where nothing may be waited for.
    pub(super) fn is_current_thread(&self) -> bool {
        self.dispatcher.upgrade().is_some_and(|dispatcher| dispatcher.is_current_thread())
    }

    /// Waits on `queue` until `over`, or nobody is there any more to bring that about.
    pub(super) fn wait_until(&self, queue: &WaitQueue, over: impl Fn() -> bool) {
        let over = || over() || self.dispatcher.strong_count() == 0;
        while queue.wait_until_timeout(DISPATCHER_CHECK, over) == WaitResult::TimedOut {}
    }
}

/// The bound on one stretch of expiring.
pub(super) struct Budget {
    start: std::time::Instant,
    callbacks: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { start: std::time::Instant::now(), callbacks: 0 }
    }

    /// Whether the lines should have their turn before one more callback.
    pub(super) fn is_spent(&mut self) -> bool {
        self.callbacks += 1;
        self.callbacks.is_multiple_of(LOOK_EVERY) && self.start.elapsed() >= MAX_TIME
    }
}
