//! Telling whoever counts running threads that this one goes to sleep.
//!
//! The kernel's scheduler tells the work queues when a worker sleeps (`wq_worker_sleeping`), so that another
//! can be started in its stead. Here the sleeping primitives of this crate say so themselves: a thread that
//! is counted installs a hook, and they hold a [`sleeping`] guard while they sleep. For every other thread
//! that costs a load.

use std::cell::Cell;
use std::marker::PhantomData;

/// What a hook is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    /// The thread is about to sleep.
    Sleeps,
    /// It is awake again.
    Wakes,
}

thread_local! {
    static HOOK: Cell<Option<fn(Transition)>> = const { Cell::new(None) };
}

/// Calls `hook` whenever the calling thread goes to sleep or wakes, from now on. It may be called inside
/// another such pair: sleeps nest.
pub(crate) fn install(hook: fn(Transition)) {
    HOOK.set(Some(hook));
}

/// Marks the calling thread as asleep until the guard is dropped.
#[inline]
pub(crate) fn sleeping() -> Sleeping {
    let hook = HOOK.get();
    if let Some(hook) = hook {
        hook(Transition::Sleeps);
    }
    Sleeping { hook, thread_bound: PhantomData }
}

/// See [`sleeping`]. Bound to its thread.
pub(crate) struct Sleeping {
    hook: Option<fn(Transition)>,
    thread_bound: PhantomData<*const ()>,
}

impl Drop for Sleeping {
    #[inline]
    fn drop(&mut self) {
        if let Some(hook) = self.hook {
            hook(Transition::Wakes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static ASLEEP: Cell<i32> = const { Cell::new(0) };
    }

    #[test]
    fn the_hook_is_told_of_every_sleep_of_its_thread_and_of_no_other() {
        let count = |transition| {
            ASLEEP.set(ASLEEP.get() + if transition == Transition::Sleeps { 1 } else { -1 });
        };
        std::thread::spawn(move || {
            drop(sleeping());
            install(count);
            let outer = sleeping();
            let inner = sleeping();
            assert_eq!(ASLEEP.get(), 2);
            drop(inner);
            drop(outer);
            assert_eq!(ASLEEP.get(), 0);
        })
        .join()
        .unwrap();
    }
}
