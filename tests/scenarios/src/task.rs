//! A call that may block, on a thread of its own, so that the story can look at it and has a deadline.

use std::os::unix::thread::JoinHandleExt;
use std::panic::resume_unwind;
use std::thread::{Builder, JoinHandle};

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;

use crate::wait;

/// Stack of a task: a story may have a thousand of them.
const STACK_BYTES: usize = 128 * 1024;

/// Something that runs beside the story.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<T>);

/// Runs `call` beside the story.
///
/// # Panics
///
/// If there is no thread for it.
pub fn spawn<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    let thread = Builder::new().stack_size(STACK_BYTES).spawn(call);
    Task(thread.expect("a thread"))
}

impl<T> Task<T> {
    /// Waits for its result.
    ///
    /// # Panics
    ///
    /// When the deadline passes, or if it panicked.
    pub fn finish(self, what: &str) -> T {
        wait::until(what, || self.0.is_finished());
        self.0.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Whether it has its result.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Sends a signal to its thread.
    ///
    /// # Panics
    ///
    /// If there is no such thread any more.
    pub fn signal(&self, signal: Signal) {
        pthread_kill(self.0.as_pthread_t(), signal).expect("it runs");
    }
}
