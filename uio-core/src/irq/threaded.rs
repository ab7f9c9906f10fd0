//! [`ThreadedRegistration`]: a handler whose work is done in a thread. The kernel's `request_threaded_irq`.
//!
//! # Vocabulary
//!
//! - **primary handler**: asked on the dispatcher, as any handler; says whether the thread is needed.
//! - **thread function**: runs in `irq/NAME`, where it may sleep.
//! - **run**: the thread function is asked to run. However often it was asked before it started, it runs once;
//!   asked while it runs, it runs once more.
//! - **hold**: a `ONESHOT` handler keeps its line masked from the wake-up to the end of the run.
//!
//! # States of the thread
//!
//! ```text
//!          wake (+ hold)             takes run                  returns, not asked again
//!   asleep ─────────────▶ run, hold ───────────▶ hold: runs ───────────────────────────▶ asleep
//!                             ▲                     │ asked again       (releases the hold)
//!                             └─────────────────────┘ (keeps the hold)
//! ```
//!
//! # Why the line is never unmasked too early, nor left masked
//!
//! *Run* and *hold* share one word. The dispatcher takes a hold of the line before it sets the two, and gives
//! it back if *hold* was set: one hold of the line for each time the bit goes up. The thread takes the bit
//! down only by a compare-and-swap that finds *run* clear, and then releases the hold. So the line is released
//! once for each hold, and never while a run is due. The loom model holds this.
//!
//! Mirrors `irq_thread`, `__irq_wake_thread` and `irq_finalize_oneshot` (`kernel/irq/{manage,handle}.c`).

mod word;

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};

use nix::errno::Errno;

use super::action::Action;
use super::flow::Line;
use super::handler::{Flags, IrqReturn, ThreadedHandler, ThreadedIrqReturn};
use super::line::IrqLine;
use super::registration::Claim;
use super::thread::{ThreadOptions, spawn};
use crate::error::{Error, Result};
use word::{Ended, Word};

/// The thread of one threaded handler, as the dispatcher sees it.
pub(super) struct IrqThread {
    word: Word,
    thread: OnceLock<Thread>,
}

thread_local! {
    /// The line whose thread function this thread is for.
    static LINE: Cell<*const Line> = const { Cell::new(std::ptr::null()) };
}

/// Whether the calling thread is for thread functions of `line`.
pub(super) fn is_thread_of(line: &Line) -> bool {
    std::ptr::eq(LINE.get(), line)
}

impl IrqThread {
    fn start(
        line: &Arc<Line>,
        name: &str,
        handler: Arc<dyn ThreadedHandler>,
        options: &ThreadOptions,
    ) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let this = Arc::new(Self { word: Word::new(), thread: OnceLock::new() });
        let (own, line) = (Arc::clone(&this), Arc::clone(line));
        let thread = spawn(&format!("irq/{name}"), options, move || own.main(&line, &*handler))?;
        let _ = this.thread.set(thread.thread().clone());
        Ok((this, thread))
    }

    /// Asks for a run. Called by the dispatcher, while the line is active.
    pub(super) fn wake(&self, line: &Line, flags: Flags) {
        let oneshot = flags.contains(Flags::ONESHOT);
        // Before the word, so that `synchronize` never sees a run that it does not count.
        line.threads_active.fetch_add(1, Ordering::SeqCst);
        if oneshot {
            line.state.hold();
        }
        let before = self.word.wake(oneshot);
        if before.held {
            // Nothing follows from this: the line is active, and the end of the round does what is owed.
            line.settle(line.state.release());
        }
        if before.due {
            line.threads_active.fetch_sub(1, Ordering::SeqCst);
        } else if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Tells the thread to end, after a run that is due.
    fn stop(&self) {
        self.word.stop();
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn main(&self, line: &Line, handler: &dyn ThreadedHandler) {
        LINE.set(line);
        // The starter may not have stored it yet; both store the same.
        let _ = self.thread.set(thread::current());
        loop {
            if self.word.take() {
                self.run(line, handler);
            } else if self.word.is_stopped() {
                return;
            } else {
                thread::park();
            }
        }
    }

    fn run(&self, line: &Line, handler: &dyn ThreadedHandler) {
        match catch_unwind(AssertUnwindSafe(|| handler.handle_threaded())) {
            Ok(IrqReturn::Handled) => {
                line.threads_handled.fetch_add(1, Ordering::Relaxed);
            }
            Ok(IrqReturn::None) => {}
            Err(_) => {
                tracing::error!(line = %line.name, "a thread function panicked; the line is shut down");
                line.die(Errno::EIO);
            }
        }
        if self.word.end() == Ended::Release {
            line.settle(line.state.release());
        }
        line.threads_active.fetch_sub(1, Ordering::SeqCst);
        line.idle.wake_all();
    }
}

/// A threaded handler on the chain of a line, from its construction until its drop.
///
/// # Guarantees
///
/// Those of [`Registration`](super::Registration); and when the drop returns, the thread has ended. It runs
/// what it was asked for before that. Exceptions: a drop on the dispatcher's own thread waits for neither, a
/// drop in the thread function does not wait for itself.
pub struct ThreadedRegistration {
    claim: Claim,
    thread: Option<(Arc<IrqThread>, JoinHandle<()>)>,
}

impl ThreadedRegistration {
    /// Puts `handler` at the end of the line's chain with a thread called `irq/NAME`.
    ///
    /// # Errors
    ///
    /// Those of [`Registration::request`](super::Registration::request), and
    /// - `EINVAL` if the handler has no primary one of its own and `flags` lack [`Flags::ONESHOT`]: nothing
    ///   would keep the device quiet until the thread has run;
    /// - what the system says when the thread is started.
    #[doc(alias = "request_threaded_irq")]
    #[track_caller]
    pub fn request(
        line: &IrqLine,
        flags: Flags,
        name: impl Into<String>,
        handler: Arc<dyn ThreadedHandler>,
    ) -> Result<Self> {
        Self::request_with(line, flags, name, handler, &ThreadOptions::default())
    }

    /// As [`request`](Self::request), with a place and a scheduling class for the thread.
    ///
    /// # Errors
    ///
    /// Those of `request`; also `EPERM` for a class that the caller may not use.
    #[track_caller]
    pub fn request_with(
        line: &IrqLine,
        flags: Flags,
        name: impl Into<String>,
        handler: Arc<dyn ThreadedHandler>,
        options: &ThreadOptions,
    ) -> Result<Self> {
        let name = name.into();
        if !handler.has_primary() && !flags.contains(Flags::ONESHOT) {
            return Err(Error::invalid(
                "cannot request interrupt line",
                line.name(),
                format!("{name} has no primary handler, and would be woken for ever"),
            )
            .with_hint("request it with Flags::ONESHOT, or say has_primary if it has its own"));
        }
        let (own, thread) = IrqThread::start(&line.line, &name, Arc::clone(&handler), options)?;
        let action = Action::threaded(name, flags, handler, Some(Arc::clone(&own)));
        match Claim::request(line, action) {
            Ok(claim) => Ok(Self { claim, thread: Some((own, thread)) }),
            Err(error) => {
                own.stop();
                let _ = thread.join();
                Err(error)
            }
        }
    }

    /// Waits until neither a handler of the line nor a thread function runs or is due.
    ///
    /// On the dispatcher's own thread it returns at once; in a thread function of the line it waits for
    /// handlers alone.
    #[doc(alias = "synchronize_irq")]
    #[track_caller]
    pub fn synchronize(&self) {
        self.claim.line.line.synchronize();
    }

    /// Takes the handler off the chain and waits, as the drop does.
    #[doc(alias = "free_irq")]
    #[track_caller]
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for ThreadedRegistration {
    fn drop(&mut self) {
        self.claim.leave();
        // Pairs with the compare-and-swap in `State::fired`; see `Registration`.
        fence(Ordering::SeqCst);
        self.claim.line.line.synchronize_handlers();
        let Some((own, thread)) = self.thread.take() else { return };
        own.stop();
        let line = &self.claim.line.line;
        let cannot_wait = is_thread_of(line)
            || line.dispatcher().is_some_and(|dispatcher| dispatcher.is_current_thread());
        if !cannot_wait {
            // It catches what a driver's code throws; nothing else can fail.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ThreadedRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadedRegistration")
            .field("claim", &self.claim)
            .field("has_thread", &self.thread.is_some())
            .finish()
    }
}

type Primary = Box<dyn Fn() -> ThreadedIrqReturn + Send + Sync>;
type ThreadFn = Box<dyn Fn() -> IrqReturn + Send + Sync>;

/// The two functions of [`request_threaded_irq`].
struct Functions {
    primary: Option<Primary>,
    thread_fn: Option<ThreadFn>,
}

impl ThreadedHandler for Functions {
    fn handle(&self) -> ThreadedIrqReturn {
        self.primary.as_ref().map_or(ThreadedIrqReturn::WakeThread, |primary| primary())
    }

    fn handle_threaded(&self) -> IrqReturn {
        self.thread_fn.as_ref().map_or(IrqReturn::None, |thread_fn| thread_fn())
    }

    fn has_primary(&self) -> bool {
        self.primary.is_some()
    }
}

/// The kernel's call, argument by argument, for those who come from C. [`ThreadedRegistration::request`] is the
/// same with one type for both functions, and cannot be called wrongly in the last way below.
///
/// # Errors
///
/// Those of [`ThreadedRegistration::request`], and `EINVAL` if both functions are missing. A `primary` that
/// says `WakeThread` without a `thread_fn` is reported once, and the interrupt counts as unhandled.
#[track_caller]
pub fn request_threaded_irq(
    line: &IrqLine,
    primary: Option<Primary>,
    thread_fn: Option<ThreadFn>,
    flags: Flags,
    name: impl Into<String>,
) -> Result<ThreadedRegistration> {
    let has_thread = thread_fn.is_some();
    if primary.is_none() && !has_thread {
        return Err(Error::invalid(
            "cannot request interrupt line",
            line.name(),
            "there is neither a primary handler nor a thread function",
        ));
    }
    let functions: Arc<dyn ThreadedHandler> = Arc::new(Functions { primary, thread_fn });
    if has_thread {
        return ThreadedRegistration::request(line, flags, name, functions);
    }
    let action = Action::threaded(name.into(), flags, functions, None);
    Ok(ThreadedRegistration { claim: Claim::request(line, action)?, thread: None })
}
