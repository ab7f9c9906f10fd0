//! Interrupting a thread that waits: what a pending signal is to a task of the kernel.
//!
//! # Vocabulary
//!
//! - **[`Interrupt`]**: the handle with which others interrupt one thread. Every thread has one.
//! - **pending**: raised and not yet flushed. While it is, an interruptible wait does not sleep: it ends with
//!   [`Interrupted`], unless what it waits for is there. It stays so until the thread itself
//!   [flushes](flush_signals) it, as a signal does until it is dealt with.
//!
//! ```text
//!               raise (anyone)
//!   quiet ────────────────────────▶ pending ──▶ every interruptible wait returns Interrupted
//!     ▲                               │
//!     └───────────────────────────────┘
//!          flush_signals (the thread)
//! ```
//!
//! These are no POSIX signals: those go to the process, and the code that runs for them may do next to
//! nothing. Whoever ends a thread (`kthread::stop`, a session that is told INTERRUPT) raises this one instead.
//!
//! # Why no interrupt is lost
//!
//! The interrupter stores *pending* and then unparks the thread; the thread loads *pending* and then parks. If
//! the load misses the store, the token of the unpark is still to come, or waits already: the park returns,
//! and having taken the token it sees the store. See `loom_no_interrupt_is_lost` in the models of `wait`.
//!
//! Mirrors `signal_pending`, `flush_signals` and `wake_up_process` (`include/linux/sched/signal.h`,
//! `kernel/sched/core.c`).

use std::fmt;

use nix::errno::Errno;

use super::facade::atomic::{AtomicBool, Ordering};
use super::facade::{Arc, parking, thread_local};

/// The wait was interrupted before it had what it waited for: `-ERESTARTSYS`, to a client `EINTR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted while waiting")]
pub struct Interrupted;

impl From<Interrupted> for Errno {
    fn from(_: Interrupted) -> Self {
        Self::EINTR
    }
}

/// The handle with which one thread is interrupted. Clones are handles of the same thread.
#[derive(Clone)]
pub struct Interrupt(Arc<Token>);

struct Token {
    pending: AtomicBool,
    thread: parking::Thread,
}

thread_local! {
    static OWN: Interrupt = Interrupt(Arc::new(Token {
        pending: AtomicBool::new(false),
        thread: parking::current(),
    }));
}

impl Interrupt {
    /// The calling thread's own, to be handed to those who may interrupt it.
    pub fn current() -> Self {
        OWN.with(Self::clone)
    }

    /// Makes the interrupt pending, and ends an interruptible wait that the thread is in. Never sleeps; may be
    /// called anywhere. Raised twice is raised once.
    #[doc(alias = "send_sig")]
    pub fn raise(&self) {
        // Release, with the unpark: pairs with the load in `is_pending`.
        self.0.pending.store(true, Ordering::Release);
        self.0.thread.unpark();
    }

    /// Makes the thread test once more what it waits for, whatever the queue; changes nothing else.
    #[doc(alias = "wake_up_process")]
    pub fn wake(&self) {
        self.0.thread.unpark();
    }

    /// Whether it was raised and not flushed since.
    pub fn is_pending(&self) -> bool {
        self.0.pending.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("pending", &self.is_pending()).finish_non_exhaustive()
    }
}

/// Whether an interrupt is pending for the calling thread.
#[inline]
pub fn signal_pending() -> bool {
    // A thread that is past its last locals is not interrupted any more.
    OWN.try_with(Interrupt::is_pending).unwrap_or(false)
}

/// Takes the calling thread's pending interrupt, if there is one, and says whether there was.
pub fn flush_signals() -> bool {
    OWN.try_with(|own| own.0.pending.swap(false, Ordering::AcqRel)).unwrap_or(false)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_stays_pending_until_its_thread_flushes_it() {
        let own = Interrupt::current();
        assert!(!signal_pending());
        own.raise();
        own.raise();
        assert!(signal_pending() && own.is_pending());
        assert!(flush_signals());
        assert!(!flush_signals() && !signal_pending());
    }

    #[test]
    fn an_interrupt_is_one_threads_own() {
        Interrupt::current().raise();
        assert!(!std::thread::spawn(signal_pending).join().unwrap());
        assert!(flush_signals());
    }

    #[test]
    fn interrupted_is_eintr_to_a_client() {
        assert_eq!(Errno::from(Interrupted), Errno::EINTR);
    }
}
