//! Kernel threads: named threads that are asked to stop, and can be parked.
//!
//! # Vocabulary
//!
//! - **created**: the thread exists and waits to be woken; its function has not started.
//! - **woken**: told to go on, be it from its creation or from a sleep in [`schedule`].
//! - **parked**: out of the way in [`parkme`], until it is unparked or stopped. Nothing of it is lost.
//! - **stopped**: asked to return; [`Kthread::stop`] waits for that and hands out the result.
//!
//! # States
//!
//! ```text
//!            wake                     should_park: parkme
//!  created ────────▶ running ────────────────────────────────▶ parked
//!    │                │   ▲                                      │
//!    │ stop           │   └──────────────────────────────────────┘
//!    │                │ the function returns     unpark, or stop
//!    ▼                ▼
//!  ended: EINTR     ended: its result
//! ```
//!
//! The function looks at [`should_stop`] and [`should_park`] wherever it can leave off, and sleeps in
//! [`schedule`], [`schedule_timeout`] or [`wait_until`], which end when it is asked for something.
//!
//! # Why no request is lost
//!
//! A request sets its bit and then unparks the thread, whose token holds until the thread sleeps next. So a
//! thread that has looked before the bit was set does not fall asleep over it.
//!
//! Mirrors `include/linux/kthread.h` and `kernel/kthread.c`. The kernel's `wake_up_process` is
//! [`Kthread::wake`].

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::unistd::{Pid, gettid};

use crate::error::{Errno, Error, Result};
use crate::sync::context::might_sleep;
use crate::sync::sleep;
use crate::sys::sched;

pub use crate::sys::sched::{CpuSet, Scheduler};

/// The thread is there and knows its number.
const BORN: u32 = 1 << 0;
/// It may leave its creation.
const WOKEN: u32 = 1 << 1;
const SHOULD_PARK: u32 = 1 << 2;
const PARKED: u32 = 1 << 3;
const SHOULD_STOP: u32 = 1 << 4;
/// Its function has returned, or will never start.
const ENDED: u32 = 1 << 5;

/// How often [`wait_until`] looks around without being woken; any time will do.
#[cfg(not(loom))]
const LONG: Duration = Duration::from_secs(3600);

struct Shared {
    name: String,
    tid: OnceLock<Pid>,
    bits: AtomicU32,
    /// Held while bits change, so that nobody who waits for `changed` misses it.
    turn: Mutex<()>,
    changed: Condvar,
}

/// What became of the function.
enum Outcome<T> {
    NeverStarted,
    Returned(T),
    Panicked,
}

/// A thread and the right to stop it. Dropping it stops the thread and waits, as [`stop`](Self::stop) does.
///
/// `T` is what the function returns; in the kernel it is an `int`.
#[doc(alias = "task_struct")]
pub struct Kthread<T = ()> {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Outcome<T>>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// Makes a thread that will run `function` when it is [woken](Kthread::wake).
///
/// It is called `name` in `ps`, which shows 15 bytes. It is of the ordinary scheduling class and may run on
/// every CPU of the process, whatever its creator is and may.
///
/// # Errors
///
/// `EINVAL` if the name has a NUL byte; `EAGAIN` if the system has no thread left.
#[doc(alias = "kthread_create")]
pub fn create<T: Send + 'static>(
    name: impl Into<String>,
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<Kthread<T>> {
    might_sleep();
    let name = name.into();
    if name.contains('\0') {
        return Err(Error::invalid("cannot create thread", name.escape_debug(), "NUL in its name"));
    }
    let shared = Arc::new(Shared {
        name: name.clone(),
        tid: OnceLock::new(),
        bits: AtomicU32::new(0),
        turn: Mutex::new(()),
        changed: Condvar::new(),
    });
    let own = Arc::clone(&shared);
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || life(&own, function))
        .map_err(|error| Error::from_io(&error, "cannot create thread", &shared.name))?;
    shared.wait_for(BORN);
    Ok(Kthread { shared, thread: Some(thread) })
}

/// As [`create`], and wakes it.
///
/// # Errors
///
/// Those of [`create`].
#[doc(alias = "kthread_run")]
pub fn run<T: Send + 'static>(
    name: impl Into<String>,
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<Kthread<T>> {
    let thread = create(name, function)?;
    thread.wake();
    Ok(thread)
}

fn life<T>(shared: &Arc<Shared>, function: impl FnOnce() -> T) -> Outcome<T> {
    CURRENT.set(Some(Arc::clone(shared)));
    sched::forget_inherited();
    let _ = shared.tid.set(gettid());
    shared.change(BORN, 0);
    shared.wait_for(WOKEN | SHOULD_STOP);
    // One that was woken runs, even if it is to stop at once: it may have something to undo.
    let outcome = if shared.has(WOKEN) { call(shared, function) } else { Outcome::NeverStarted };
    shared.change(ENDED, PARKED);
    outcome
}

fn call<T>(shared: &Shared, function: impl FnOnce() -> T) -> Outcome<T> {
    parkme();
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(result) => Outcome::Returned(result),
        Err(_) => {
            tracing::error!(thread = %shared.name, "a kernel thread panicked");
            Outcome::Panicked
        }
    }
}

/// Whether the calling kernel thread has been asked to stop: it should return soon.
///
/// `false` on a thread that is none.
#[doc(alias = "kthread_should_stop")]
pub fn should_stop() -> bool {
    current_has(SHOULD_STOP)
}

/// Whether the calling kernel thread has been asked to park: it should put itself in order and call
/// [`parkme`]. `false` on a thread that is none.
#[doc(alias = "kthread_should_park")]
pub fn should_park() -> bool {
    current_has(SHOULD_PARK)
}

/// Parks the calling kernel thread while it is asked to; otherwise returns at once.
#[doc(alias = "kthread_parkme")]
pub fn parkme() {
    let Some(shared) = CURRENT.with_borrow(Clone::clone) else { return };
    let mut turn = shared.turn.lock().unwrap();
    while shared.has(SHOULD_PARK) {
        shared.bits.fetch_or(PARKED, Ordering::AcqRel);
        shared.changed.notify_all();
        turn = shared.changed.wait(turn).unwrap();
    }
    shared.bits.fetch_and(!PARKED, Ordering::AcqRel);
}

/// Sleeps until the calling thread is woken, asked to stop, to park or not to. May return early: look again.
///
/// A wake-up that came since the last sleep makes it return at once, so that none is lost between a look and
/// the sleep. This is `set_current_state(TASK_INTERRUPTIBLE)` and `schedule()` in one.
pub fn schedule() {
    might_sleep();
    if !should_stop() {
        let _asleep = sleep::sleeping();
        thread::park();
    }
}

/// As [`schedule`], for `timeout` at the most. Returns what is left of it, zero if it is over.
pub fn schedule_timeout(timeout: Duration) -> Duration {
    might_sleep();
    let start = Instant::now();
    if !should_stop() {
        let _asleep = sleep::sleeping();
        thread::park_timeout(timeout);
    }
    timeout.saturating_sub(start.elapsed())
}

/// Sleeps on `queue` until `condition` holds, or the calling thread is asked to stop or park. Says whether
/// the condition holds.
///
/// The kernel's `wait_event_interruptible(queue, condition || kthread_should_stop())`.
#[cfg(not(loom))]
pub fn wait_until(queue: &crate::sync::WaitQueue, mut condition: impl FnMut() -> bool) -> bool {
    might_sleep();
    let mut holds = false;
    let mut done = || {
        // Once is enough: a condition may take what it finds.
        holds = holds || condition();
        holds || current_has(SHOULD_STOP | SHOULD_PARK)
    };
    // The form with a deadline looks again whenever the thread is unparked, by whomever.
    while queue.wait_until_timeout(LONG, &mut done) == crate::sync::WaitResult::TimedOut {}
    holds
}

fn current_has(bits: u32) -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|shared| shared.has(bits)))
}

impl<T> Kthread<T> {
    /// Starts the thread, or wakes it from [`schedule`].
    #[doc(alias = "wake_up_process")]
    pub fn wake(&self) {
        self.request(WOKEN, 0);
    }

    /// Asks the thread to return, unparks and wakes it, waits until it has ended, and returns its result.
    ///
    /// # Errors
    ///
    /// - `EINTR` if it was never woken: its function has not run;
    /// - `ENOTRECOVERABLE` if the function panicked;
    /// - `EDEADLK` if the caller is the thread itself, which is asked to stop all the same.
    #[doc(alias = "kthread_stop")]
    pub fn stop(mut self) -> Result<T> {
        let failed = |errno, cause| {
            Error::new(errno, "cannot stop thread", &self.shared.name).with_cause(cause)
        };
        let ended = |outcome| match outcome {
            Some(Outcome::Returned(result)) => Ok(result),
            Some(Outcome::NeverStarted) => Err(failed(Errno::EINTR, "it was never started")),
            Some(Outcome::Panicked) => Err(failed(Errno::ENOTRECOVERABLE, "it panicked")),
            None => Err(failed(Errno::EDEADLK, "it cannot wait for itself")),
        };
        let thread = self.thread.take();
        ended(end(&self.shared, thread))
    }

    /// Asks the thread to park, wakes it, and waits until it has. A thread that was not started yet parks
    /// before its function. On the thread itself it only sets the request.
    ///
    /// # Errors
    ///
    /// `ENOSYS` if the thread has ended; `EBUSY` if it has been asked to already.
    #[doc(alias = "kthread_park")]
    pub fn park(&self) -> Result<()> {
        let failed = |errno, cause| {
            Err(Error::new(errno, "cannot park thread", &self.shared.name).with_cause(cause))
        };
        if self.shared.has(SHOULD_PARK) {
            return failed(Errno::EBUSY, "it was asked to already");
        }
        self.request(SHOULD_PARK | WOKEN, 0);
        if self.is_current() {
            return Ok(());
        }
        might_sleep();
        self.shared.wait_for(PARKED | ENDED);
        if self.shared.has(ENDED) {
            return failed(Errno::ENOSYS, "it has ended");
        }
        Ok(())
    }

    /// Lets a parked thread go on.
    #[doc(alias = "kthread_unpark")]
    pub fn unpark(&self) {
        self.request(0, SHOULD_PARK);
    }

    /// Changes how the thread is scheduled.
    ///
    /// # Errors
    ///
    /// `EPERM` if the caller may not, `EINVAL` for a priority that the class does not have, `ESRCH` if the
    /// thread has ended.
    #[doc(alias = "sched_setscheduler")]
    #[doc(alias = "set_user_nice")]
    pub fn set_scheduler(&self, scheduler: Scheduler) -> Result<()> {
        self.with_tid(|tid| sched::set_scheduler(tid, scheduler)).map_err(|errno| {
            let act = "cannot set the scheduling class of thread";
            let error = Error::new(errno, act, &self.shared.name);
            match errno {
                Errno::EPERM => error.with_hint("run as root, or with CAP_SYS_NICE"),
                _ => error,
            }
        })
    }

    /// Keeps the thread on these CPUs.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the system has none of them or the process may use none, `ESRCH` if the thread has ended.
    #[doc(alias = "kthread_bind_mask")]
    #[doc(alias = "set_cpus_allowed_ptr")]
    pub fn set_affinity(&self, cpus: &CpuSet) -> Result<()> {
        self.with_tid(|tid| sched::set_affinity(tid, cpus)).map_err(|errno| {
            let error = Error::new(errno, "cannot set the CPUs of thread", &self.shared.name);
            match errno {
                Errno::EINVAL => error.with_cause(format!("none of {cpus:?} can be used")),
                _ => error,
            }
        })
    }

    /// The name it was given; `ps` shows 15 bytes of it.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its number, as `ps -L` shows it.
    pub fn tid(&self) -> i32 {
        self.shared.tid.get().map_or(0, |tid| tid.as_raw())
    }

    /// Whether its function has returned.
    pub fn has_ended(&self) -> bool {
        self.shared.has(ENDED)
    }

    fn request(&self, set: u32, clear: u32) {
        self.shared.change(set, clear);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    fn is_current(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.thread().id() == thread::current().id())
    }

    /// Calls `act` with the number of the thread, which cannot end meanwhile: the number stays its own.
    fn with_tid(&self, act: impl FnOnce(Pid) -> Result<(), Errno>) -> Result<(), Errno> {
        let _turn = self.shared.turn.lock().unwrap();
        match self.shared.tid.get() {
            Some(&tid) if !self.shared.has(ENDED) => act(tid),
            _ => Err(Errno::ESRCH),
        }
    }
}

/// Asks a thread to end and waits for it. `None` if it is the caller.
fn end<T>(shared: &Shared, thread: Option<JoinHandle<Outcome<T>>>) -> Option<Outcome<T>> {
    let thread = thread?;
    shared.change(SHOULD_STOP, SHOULD_PARK);
    thread.thread().unpark();
    if thread.thread().id() == thread::current().id() {
        return None;
    }
    if !thread::panicking() {
        might_sleep();
    }
    Some(thread.join().unwrap_or(Outcome::Panicked))
}

impl Shared {
    fn has(&self, bits: u32) -> bool {
        self.bits.load(Ordering::Acquire) & bits != 0
    }

    fn change(&self, set: u32, clear: u32) {
        let _turn = self.turn.lock().unwrap();
        self.bits.fetch_and(!clear, Ordering::AcqRel);
        self.bits.fetch_or(set, Ordering::AcqRel);
        self.changed.notify_all();
    }

    /// Waits until one of `bits` is set.
    fn wait_for(&self, bits: u32) {
        let turn = self.turn.lock().unwrap();
        drop(self.changed.wait_while(turn, |()| !self.has(bits)).unwrap());
    }
}

impl<T> Drop for Kthread<T> {
    fn drop(&mut self) {
        let _ = end(&self.shared, self.thread.take());
    }
}

impl<T> fmt::Debug for Kthread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kthread")
            .field("name", &self.shared.name)
            .field("tid", &self.tid())
            .field("parked", &self.shared.has(PARKED))
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
