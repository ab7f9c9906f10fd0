//! [`hold_delivery`]: no handler starts while it is held. What `local_irq_save` is to a processor.
//!
//! # Vocabulary
//!
//! - **delivering**: the dispatcher serves a line; its handlers may run.
//! - **held**: somebody keeps it from starting to. Counts, so holds nest and overlap.
//!
//! # States
//!
//! ```text
//!           deliver                    last hold released
//!   idle ─────────────▶ delivering      held ───────────▶ idle
//!    │  ▲                  │ │           ▲
//!    │  └──── done ────────┘ │ hold      │ hold
//!    │                       ▼           │
//!    │          delivering and held ─────┘ done: the holder that waits gets on
//!    └───────── hold ──────────────────▶ held: a dispatcher that wants to deliver waits
//! ```
//!
//! # Why no handler runs beside a holder
//!
//! Both share one word. The dispatcher sets *delivering* only by a compare-and-swap that finds no hold; a
//! holder counts itself first and then waits while *delivering* is set. Whichever comes first in the order of
//! the word, the other sees it. The loom model holds this.
//!
//! # What differs from the kernel
//!
//! `local_irq_save` is about the processor that the caller runs on. Here the part of the processor is played
//! by the dispatcher that the caller belongs to: a dispatcher's own thread, its `ksoftirqd` and nobody else.
//! A thread that belongs to none has no "local" dispatcher and holds them all, which is one in most programs;
//! [`IrqLine::hold_delivery`](super::IrqLine::hold_delivery) holds the one that matters. Interrupts that come
//! in meanwhile wait in their descriptors, none is lost. Softirqs are not held: see
//! [`Softirqs::bh_disable`](crate::softirq::Softirqs::bh_disable).

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::{self, Rc};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::dispatch::Shared;
use crate::sync::WaitQueue;
use crate::sync::context::{self, Level, LevelGuard};
use crate::sync::facade::atomic::{AtomicU32, Ordering};
use crate::sync::lockdep::{self, Key, Kind};

const DELIVERING: u32 = 1 << 31;

/// How often a holder looks before it sleeps: most handlers are shorter than a wake-up.
#[cfg(not(loom))]
const SPINS: usize = 200;

/// The state word of one dispatcher, and those who wait for it.
#[derive(Debug)]
pub(crate) struct Hold {
    word: AtomicU32,
    /// Woken when a delivery that somebody waits for is done.
    done: WaitQueue,
    /// Woken when the last hold is released.
    released: WaitQueue,
}

impl Hold {
    pub(super) fn new() -> Self {
        Self { word: AtomicU32::new(0), done: WaitQueue::new(), released: WaitQueue::new() }
    }

    /// Waits until nothing is held, and keeps holders waiting until the guard is dropped. Dispatcher only.
    pub(super) fn deliver(&self) -> Delivering<'_> {
        while !self.try_deliver() {
            self.released.wait_until_unchecked(|| self.word.load(Ordering::SeqCst) == 0);
        }
        Delivering(self)
    }

    fn try_deliver(&self) -> bool {
        // Acquire: pairs with `release`; handlers see what was done while delivery was held.
        self.word.compare_exchange(0, DELIVERING, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    fn count(&self) -> bool {
        self.word.fetch_add(1, Ordering::SeqCst) & DELIVERING != 0
    }

    fn wait_for_delivery(&self) {
        let over = || self.word.load(Ordering::SeqCst) & DELIVERING == 0;
        #[cfg(not(loom))]
        if (0..SPINS).any(|_| {
            std::hint::spin_loop();
            over()
        }) {
            return;
        }
        // A bounded wait for a handler, which may not sleep.
        self.done.wait_until_unchecked(over);
    }

    fn release(&self) {
        if self.word.fetch_sub(1, Ordering::SeqCst) & !DELIVERING == 1 {
            self.released.wake_all();
        }
    }
}

/// The dispatcher serves a line.
pub(super) struct Delivering<'a>(&'a Hold);

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        if self.0.word.fetch_and(!DELIVERING, Ordering::SeqCst) != DELIVERING {
            self.0.done.wake_all();
        }
    }
}

thread_local! {
    /// The dispatcher that this thread belongs to: it is its thread or its `ksoftirqd`.
    static CURRENT: RefCell<Weak<Shared>> = const { RefCell::new(Weak::new()) };
}

/// Every dispatcher that was started, for threads that belong to none.
static DISPATCHERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Makes the calling thread one of `dispatcher`'s.
pub(crate) fn belong_to(dispatcher: &Weak<Shared>) {
    CURRENT.with_borrow_mut(|current| current.clone_from(dispatcher));
}

/// Says that there is one more dispatcher.
pub(super) fn announce(dispatcher: &Arc<Shared>) {
    let mut all = DISPATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|known| known.strong_count() > 0);
    all.push(Arc::downgrade(dispatcher));
}

/// Whether the calling thread is one of any dispatcher's.
pub(crate) fn belongs() -> bool {
    CURRENT.with_borrow(|current| current.strong_count() > 0)
}

/// Whether the calling thread is one of `dispatcher`'s.
pub(crate) fn belongs_to(dispatcher: &Weak<Shared>) -> bool {
    CURRENT.with_borrow(|current| current.strong_count() > 0 && current.ptr_eq(dispatcher))
}

/// Checks that the caller may sleep, or is the `ksoftirqd` of `dispatcher`: what runs there could as well run
/// on the dispatcher, where the call returns at once, and a wait for a handler is a short one.
#[track_caller]
pub(crate) fn may_wait_for(dispatcher: &Weak<Shared>) -> Option<LevelGuard> {
    if belongs_to(dispatcher) {
        return Some(context::enter(Level::Task));
    }
    context::might_sleep();
    None
}

/// Keeps handlers from starting until the guard is dropped, and waits for one that runs, unless called from
/// it. Nests.
///
/// `local_irq_save` is about the processor that the caller runs on. Here that is the dispatcher that the
/// caller belongs to (its own thread, its `ksoftirqd`); a thread that belongs to none holds all of them. What
/// is held must be short, and must not wait for anything that a handler does. Softirqs are not held. In debug
/// builds the [checker](crate::sync::lockdep) knows that delivery is held, and reports whoever sleeps then.
#[track_caller]
#[doc(alias = "local_irq_save")]
#[doc(alias = "local_irq_disable")]
pub fn hold_delivery() -> DeliveryHeldGuard {
    let own = CURRENT.with_borrow(Weak::upgrade);
    if own.is_some() {
        return DeliveryHeldGuard::on(own);
    }
    DeliveryHeldGuard::on_all()
}

/// Every dispatcher there was when a thread began to hold them all. Released with the last hold of the thread.
///
/// A hold within a hold shares it and waits for nobody: a dispatcher that was started meanwhile may be in a
/// handler that waits for what the outer hold protects.
struct All(Vec<Arc<Shared>>);

thread_local! {
    /// What this thread holds, if it belongs to no dispatcher.
    static ALL: RefCell<rc::Weak<All>> = const { RefCell::new(rc::Weak::new()) };
}

impl All {
    fn of_this_thread() -> Rc<Self> {
        if let Some(held) = ALL.with_borrow(rc::Weak::upgrade) {
            return held;
        }
        let all: Vec<Arc<Shared>> = {
            let all = DISPATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        all.iter().for_each(hold);
        let all = Rc::new(Self(all));
        ALL.set(Rc::downgrade(&all));
        all
    }
}

impl Drop for All {
    fn drop(&mut self) {
        self.0.iter().for_each(|dispatcher| dispatcher.hold.release());
    }
}

enum Held {
    One(Option<Arc<Shared>>),
    All { _all: Rc<All> },
}

/// Counts one more holder, and waits for a handler that runs.
fn hold(dispatcher: &Arc<Shared>) {
    if dispatcher.hold.count() && !dispatcher.is_current_thread() {
        dispatcher.hold.wait_for_delivery();
    }
}

/// Lets delivery go on when dropped. Bound to its thread. The kernel's `local_irq_restore`.
#[must_use = "delivery goes on when the guard is dropped"]
pub struct DeliveryHeldGuard {
    held: Held,
    _section: lockdep::Held,
    thread_bound: PhantomData<*const ()>,
}

/// What the lock checker knows holds by.
static SECTION: Key = Key::new(Kind::DeliveryHeld);

impl DeliveryHeldGuard {
    #[track_caller]
    pub(super) fn on(dispatcher: Option<Arc<Shared>>) -> Self {
        let section = SECTION.acquire(0);
        dispatcher.iter().for_each(hold);
        Self { held: Held::One(dispatcher), _section: section, thread_bound: PhantomData }
    }

    #[track_caller]
    fn on_all() -> Self {
        let section = SECTION.acquire(0);
        let held = Held::All { _all: All::of_this_thread() };
        Self { held, _section: section, thread_bound: PhantomData }
    }
}

impl Drop for DeliveryHeldGuard {
    fn drop(&mut self) {
        if let Held::One(Some(dispatcher)) = &self.held {
            dispatcher.hold.release();
        }
    }
}

impl fmt::Debug for DeliveryHeldGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryHeldGuard").finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// A dispatcher delivers while another thread holds: never both inside, and both get on.
    #[test]
    fn loom_no_handler_runs_beside_a_holder() {
        loom::model(|| {
            let shared = Arc::new((Hold::new(), AtomicUsize::new(0)));
            let inside = |shared: &(Hold, AtomicUsize)| {
                assert_eq!(shared.1.fetch_add(1, Ordering::Relaxed), 0, "beside each other");
                shared.1.fetch_sub(1, Ordering::Relaxed);
            };
            let dispatcher = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let _delivering = shared.0.deliver();
                    inside(&shared);
                })
            };
            if shared.0.count() {
                shared.0.wait_for_delivery();
            }
            inside(&shared);
            shared.0.release();
            dispatcher.join().unwrap();
        });
    }
}
