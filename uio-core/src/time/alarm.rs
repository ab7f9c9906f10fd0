//! [`Alarm`]: what the timer bases ask of the dispatcher and its softirqs, all in this one place: to be woken
//! at a point on a clock, and to run then as a bottom half.
//!
//! An alarm is a timerfd that the dispatcher serves as an interrupt line of its own, as a kernel has a line
//! for its clock event device. The line's handler notes that it rang and raises the vector of the base, which
//! then runs what has expired as any softirq runs: on the way back from the lines, or in `ksoftirqd`.
//!
//! ```text
//!   base: set(at) ──▶ timerfd ──▶ dispatcher ──▶ handler: note, raise ──▶ softirq: take the note, expire, set
//! ```
//!
//! # Why nothing is forgotten
//!
//! Whoever has work for the base stores the note (release) and then raises the vector. The run of the vector
//! begins with the swap of the pending bits that reads from that raise, and takes the note (swap) after it: so
//! it sees every note whose raise it answers, and a note that comes later has a raise of its own. That a raised
//! vector runs, whoever disables softirqs or hands them over meanwhile, is shown in `softirq/gate.rs`. A base
//! that stops at its bound notes and raises likewise.
//!
//! Several bases of a dispatcher share a vector; each looks at its own note.
//!
//! A timerfd that is not told apart by reading is not read: arming it anew takes back what had expired, and
//! the dispatcher's epoll is edge-triggered.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::irq::{Dispatcher, Flags, Handler, IrqLine, IrqReturn, LineSource, Registration};
use crate::softirq::{Softirqs, Vector};
use crate::sync::WaitQueue;
use crate::sys::clock::ClockId;
use crate::sys::timerfd::{AlarmFd, Rang};

/// Time that one run of a base may take before others get their turn: `MAX_SOFTIRQ_TIME`. What is left then
/// runs in the next round, and so in `ksoftirqd`.
pub(super) const MAX_TIME: Duration = Duration::from_millis(2);

/// A base that runs as a softirq when there is work for it.
pub(super) trait Expire: Send + Sync {
    fn alarm(&self) -> &Alarm;

    /// Runs what has expired, within a bound, and says whether work is left. `rang`: the timerfd has expired.
    fn expire(&self, rang: bool) -> bool;
}

/// Lets `base` run with its vector, for as long as the dispatcher lives.
pub(super) fn attach<B: Expire + 'static>(base: &Arc<B>) -> Result<()> {
    let member = Arc::clone(base);
    let alarm = base.alarm();
    // PANIC: not reached; the caller has the dispatcher, which keeps its softirqs.
    let softirqs = alarm.bell.softirqs.upgrade().expect("the dispatcher lives");
    softirqs.join(alarm.bell.vector, move || run(&*member))
}

fn run(base: &impl Expire) {
    let bell = &base.alarm().bell;
    // The load keeps the bases that only share the vector from paying for a locked instruction.
    if !bell.noted.load(Ordering::Relaxed) || !bell.noted.swap(false, Ordering::AcqRel) {
        return;
    }
    if base.expire(bell.rang.swap(false, Ordering::AcqRel)) {
        base.alarm().run_soon();
    }
}

/// The bell of one alarm: the line's source, and its handler.
struct Bell {
    fd: AlarmFd,
    /// There is work for the base.
    noted: AtomicBool,
    /// The timerfd has expired. Stored before the note.
    rang: AtomicBool,
    clock_sets: AtomicU64,
    softirqs: Weak<Softirqs>,
    vector: Vector,
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

    fn note_that_it_rang(&self) {
        self.rang.store(true, Ordering::Relaxed);
        self.note();
    }

    /// Pairs with the swap in `run`.
    fn note(&self) {
        self.noted.store(true, Ordering::Release);
    }
}

impl Handler for Bell {
    fn handle(&self) -> IrqReturn {
        self.note_that_it_rang();
        if let Some(softirqs) = self.softirqs.upgrade() {
            softirqs.raise_irqoff(self.vector);
        }
        IrqReturn::Handled
    }
}

/// Wakes the dispatcher at a point on a clock, and has the base run there.
pub(super) struct Alarm {
    bell: Arc<Bell>,
    sets: AtomicU64,
    _line: Registration,
}

impl Alarm {
    /// An alarm for a base that runs with `vector`.
    pub(super) fn open(
        dispatcher: &Dispatcher,
        vector: Vector,
        name: &str,
        clock: ClockId,
    ) -> Result<Self> {
        let fd = AlarmFd::open(clock)
            .map_err(|errno| Error::new(errno, "cannot make a timerfd for", name))?;
        let bell = Arc::new(Bell {
            fd,
            noted: AtomicBool::new(false),
            rang: AtomicBool::new(false),
            clock_sets: AtomicU64::new(0),
            // Weak: the softirqs own the base.
            softirqs: Arc::downgrade(&Softirqs::attach(dispatcher)),
            vector,
        });
        let line = IrqLine::new(name, Box::new(Source(Arc::clone(&bell))), dispatcher);
        let handler: Arc<dyn Handler> = bell.clone();
        Ok(Self {
            bell,
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
        self.bell.note_that_it_rang();
        self.raise();
    }

    /// Makes the base run though the timerfd has not expired. May be called anywhere.
    pub(super) fn run_soon(&self) {
        self.bell.note();
        self.raise();
    }

    fn raise(&self) {
        if let Some(softirqs) = self.bell.softirqs.upgrade() {
            softirqs.raise(self.bell.vector);
        }
    }

    /// System calls made so far to arm it.
    pub(super) fn sets(&self) -> u64 {
        self.sets.load(Ordering::Relaxed)
    }

    /// How often the clock was seen to be set.
    pub(super) fn clock_sets(&self) -> u64 {
        self.bell.clock_sets.load(Ordering::Relaxed)
    }

    /// Whether the caller is the dispatcher or runs its softirqs: it cannot wait for them.
    pub(super) fn is_own_thread(&self) -> bool {
        self.bell.softirqs.upgrade().is_some_and(|softirqs| softirqs.is_own_thread())
    }

    /// Waits on `queue` until `over`, or nobody is there any more to bring that about.
    pub(super) fn wait_until(&self, queue: &WaitQueue, over: impl Fn() -> bool) {
        if let Some(softirqs) = self.bell.softirqs.upgrade() {
            softirqs.wait_until(queue, over);
        }
    }
}
