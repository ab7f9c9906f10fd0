//! Functions that run after a grace period, on a thread of their own.
//!
//! The thread (`rcu`) is started by the first call and stays. It takes all functions that are there, waits for
//! one grace period for all of them, and runs them in order, as softirqs: they may not sleep. Functions in the
//! list before [`barrier`]'s own have run when that one does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::section::{DOMAIN, is_reading};
use crate::sync::completion::Completion;
use crate::sync::context::{Level, enter};
use crate::sync::wait::WaitQueue;

type Function = Box<dyn FnOnce() + Send>;

static FUNCTIONS: Mutex<Vec<Function>> = Mutex::new(Vec::new());
static READY: WaitQueue = WaitQueue::new();
static STARTED: AtomicBool = AtomicBool::new(false);

/// Runs `function` once every section that began before this call has ended. Never waits; may be called
/// anywhere, in a section too. It allocates.
///
/// The function must not sleep; one that panics is reported and hurts no other.
#[doc(alias = "call_rcu")]
pub fn call(function: impl FnOnce() + Send + 'static) {
    FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(function));
    start();
    READY.wake_all();
}

/// Sleeps until every function that was given to [`call`] before has run.
///
/// # Panics
///
/// In a section, whose end the functions wait for.
#[track_caller]
#[doc(alias = "rcu_barrier")]
pub fn barrier() {
    assert!(!is_reading(), "rcu::barrier in a section of rcu::read_lock would wait for itself");
    crate::sync::context::might_sleep();
    let done = Arc::new(Completion::new());
    let last = Arc::clone(&done);
    call(move || last.complete());
    done.wait();
}

/// Sees to it that the thread is there. Where the system has none left, the functions wait for the next call.
fn start() {
    if STARTED.swap(true, Ordering::AcqRel) {
        return;
    }
    if let Err(error) = thread::Builder::new().name("rcu".to_owned()).spawn(serve) {
        tracing::error!(%error, "cannot start the thread that runs after grace periods");
        STARTED.store(false, Ordering::Release);
    }
}

fn serve() {
    loop {
        let mut functions = Vec::new();
        READY.wait_until(|| {
            functions = take();
            !functions.is_empty()
        });
        DOMAIN.synchronize();
        functions.into_iter().for_each(run);
    }
}

fn take() -> Vec<Function> {
    std::mem::take(&mut *FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn run(function: Function) {
    let _softirq = enter(Level::Softirq);
    if catch_unwind(AssertUnwindSafe(function)).is_err() {
        tracing::error!("a function of rcu::call panicked");
    }
}
