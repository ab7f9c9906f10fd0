//! The checker at work: what a thread holds, and what each acquisition is checked against.
//!
//! A thread's own locks are in a thread-local. What all threads have learnt is in one [`Graph`] behind a mutex
//! of `std`, a leaf, asked only where a lock is taken under another one, or in a context that its lock has not
//! been seen in.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::graph::{Access, Class, Context, Graph, Usage};
use super::{Kind, Policy, Report, Rule};
use crate::sync::context::{self, Level};

static GRAPH: Mutex<Graph> = Mutex::new(Graph::new());
static PANIC: AtomicU8 = AtomicU8::new(0);

thread_local! {
    static HELD: RefCell<Vec<Holding>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(1) };
    /// Set while a report is on its way: the log may take locks of its own.
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// A lock that a thread holds, or is about to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holding {
    pub(super) class: Class,
    pub(super) kind: Kind,
    pub(super) place: &'static Location<'static>,
    id: u64,
}

/// What a lock carries: its class, and in which contexts it was seen.
#[derive(Debug)]
pub(crate) struct Key {
    made: &'static Location<'static>,
    kind: Kind,
    /// The number of the class, zero until it is known. A cache, as is the next.
    class: AtomicU32,
    seen: AtomicU8,
}

/// What a guard carries: says, when it is dropped, that the lock is held no more.
#[derive(Debug)]
pub(crate) struct Held {
    id: u64,
    thread_bound: PhantomData<*const ()>,
}

impl Key {
    /// The key of a lock that is made where this is called.
    #[track_caller]
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { made: Location::caller(), kind, class: AtomicU32::new(0), seen: AtomicU8::new(0) }
    }

    /// The lock is going to be taken, however long it takes. Said before the wait, so that a deadlock is
    /// reported before it happens.
    #[track_caller]
    pub(crate) fn acquire(&self, subclass: u8) -> Held {
        self.enter(Taking { subclass, ..WAITING }, Location::caller())
    }

    /// As [`acquire`](Self::acquire), together with others who read.
    #[track_caller]
    pub(crate) fn acquire_shared(&self) -> Held {
        self.enter(Taking { access: Access::Shared, ..WAITING }, Location::caller())
    }

    /// What this lock protects is read without it, by one who waits as long as somebody writes. The lock is
    /// not held then; and who interrupts such a reader makes it read again, and does not hold it up.
    #[track_caller]
    pub(crate) fn awaited(&self) {
        let taking = Taking { access: Access::Shared, holds: false, ..WAITING };
        drop(self.enter(taking, Location::caller()));
    }

    /// The lock was taken by an attempt that did not wait.
    #[track_caller]
    pub(crate) fn acquired(&self) -> Held {
        self.enter(Taking { waits: false, ..WAITING }, Location::caller())
    }

    /// As [`acquired`](Self::acquired), together with others who read.
    #[track_caller]
    pub(crate) fn acquired_shared(&self) -> Held {
        let taking = Taking { waits: false, access: Access::Shared, ..WAITING };
        self.enter(taking, Location::caller())
    }

    fn enter(&self, taking: Taking, place: &'static Location<'static>) -> Held {
        if REPORTING.try_with(Cell::get).unwrap_or(true) {
            return Held { id: 0, thread_bound: PhantomData };
        }
        let id = NEXT.replace(NEXT.get() + 1);
        let holding = Holding { class: self.class(taking.subclass), kind: self.kind, place, id };
        if taking.waits {
            self.check_place(&holding);
            check_order(&holding);
        }
        if self.kind == Kind::Spin {
            self.check_contexts(&holding, taking);
        }
        // A thread that is past its last locals is not watched any more.
        let _ = HELD.try_with(|held| held.borrow_mut().push(holding));
        Held { id, thread_bound: PhantomData }
    }

    fn class(&self, subclass: u8) -> Class {
        if self.kind.section().is_some() {
            return Class::NONE;
        }
        // Relaxed: whoever finds zero asks the graph, which knows.
        match self.class.load(Ordering::Relaxed) {
            number if number != 0 && subclass == 0 => Class::numbered(number),
            _ => {
                let class = graph().class(self.made, subclass);
                if subclass == 0 {
                    self.class.store(class.number(), Ordering::Relaxed);
                }
                class
            }
        }
    }

    fn check_place(&self, holding: &Holding) {
        if self.kind == Kind::Sleep {
            check_sleep_at(holding.place);
        }
    }

    fn check_contexts(&self, holding: &Holding, taking: Taking) {
        for context in contexts(taking).into_iter().flatten() {
            let usage = Usage { context, access: taking.access };
            // Relaxed: whoever misses the bit asks the graph once more. It stands for the subclass 0.
            let seen = taking.subclass == 0
                && self.seen.fetch_or(usage.bit(), Ordering::Relaxed) & usage.bit() != 0;
            if !seen {
                publish(graph().used(holding.class, usage, holding.place));
            }
        }
    }
}

/// How a lock is taken.
#[derive(Debug, Clone, Copy)]
struct Taking {
    subclass: u8,
    /// However long it takes; else it was an attempt.
    waits: bool,
    /// Others may have to wait for it.
    holds: bool,
    access: Access,
}

const WAITING: Taking = Taking { subclass: 0, waits: true, holds: true, access: Access::Exclusive };

/// In which contexts the calling thread takes a lock now.
fn contexts(taking: Taking) -> [Option<Context>; 2] {
    let level = context::current_level();
    let delivery_on = taking.holds && level != Level::HardIrq && !is_in(Kind::DeliveryHeld);
    // Who holds delivery has, in the kernel, no softirq beside it.
    let bottom_halves_on =
        level == Level::Task && delivery_on && !is_in(Kind::BottomHalvesDisabled);
    let inside = match level {
        // An attempt cannot spin for ever.
        _ if !taking.waits => None,
        Level::HardIrq => Some(Context::TopHalf),
        Level::Softirq => Some(Context::BottomHalf),
        Level::Task => None,
    };
    let outside = bottom_halves_on.then_some(Context::BottomHalvesOn);
    [inside.or(outside), delivery_on.then_some(Context::DeliveryOn)]
}

/// Whether the calling thread is in a section of this kind.
fn is_in(section: Kind) -> bool {
    let held =
        |held: &RefCell<Vec<Holding>>| held.borrow().iter().any(|holding| holding.kind == section);
    HELD.try_with(held).unwrap_or(false)
}

impl Kind {
    /// What a section is called; none for a lock.
    fn section(self) -> Option<&'static str> {
        match self {
            Self::Rcu => Some("rcu::read_lock"),
            Self::DeliveryHeld => Some("held delivery"),
            Self::BottomHalvesDisabled => Some("disabled bottom halves"),
            Self::Spin | Self::Sleep => None,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            // The last one is taken off first, most of the time.
            if let Some(at) = held.iter().rposition(|holding| holding.id == self.id) {
                held.remove(at);
            }
        });
    }
}

fn check_order(taken: &Holding) {
    if taken.class == Class::NONE {
        return;
    }
    let before = holdings(|held| held.class != Class::NONE);
    for held in &before {
        publish(graph().ordered(held, taken));
    }
}

/// The caller is about to sleep, or might be.
#[track_caller]
pub(crate) fn check_sleep() {
    check_sleep_at(Location::caller());
}

/// The caller tries a mutex: it does not wait, and yet only a thread may.
#[track_caller]
pub(crate) fn check_trylock() {
    check_level_at(Location::caller());
}

fn check_level_at(place: &'static Location<'static>) {
    let level = context::current_level();
    if level != Level::Task {
        let entered = context::entered_at().unwrap_or(place);
        let text =
            format!("sleeping lock or call at {place} in {level:?} context (entered at {entered})");
        publish(graph().found(Rule::Sleep, [place, entered], text));
    }
}

fn check_sleep_at(place: &'static Location<'static>) {
    check_level_at(place);
    for held in holdings(|held| held.kind != Kind::Sleep) {
        let what = held.kind.section().unwrap_or("a spin lock");
        let text =
            format!("sleeping lock or call at {place} under {what} (taken at {})", held.place);
        publish(graph().found(Rule::Sleep, [place, held.place], text));
    }
}

/// The caller is about to disable bottom halves, and to wait for one that runs: it may want a lock that is held
/// with delivery. In the kernel enabling them again is the bug.
#[track_caller]
pub(crate) fn check_bh_disable() {
    let place = Location::caller();
    for held in holdings(|held| held.kind == Kind::DeliveryHeld) {
        let text = format!(
            "bottom halves are disabled at {place} with delivery held (since {}); disable them first",
            held.place
        );
        publish(graph().found(Rule::BottomHalves, [place, held.place], text));
    }
}

/// Those of the thread's locks that matter; none, without an allocation, in the common case.
fn holdings(matters: impl Fn(&Holding) -> bool) -> Vec<Holding> {
    let held = |held: &RefCell<Vec<Holding>>| {
        held.borrow().iter().filter(|holding| matters(holding)).copied().collect()
    };
    HELD.try_with(held).unwrap_or_default()
}

fn graph() -> MutexGuard<'static, Graph> {
    GRAPH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a new finding known. Called without the graph's lock: the log and the panic may do what they like.
fn publish(report: Option<Report>) {
    let Some(report) = report else { return };
    REPORTING.set(true);
    tracing::error!(rule = ?report.rule, "{report}");
    REPORTING.set(false);
    if PANIC.load(Ordering::Relaxed) != 0 && !std::thread::panicking() {
        panic!("{report}");
    }
}

pub(super) fn set_policy(policy: Policy) {
    PANIC.store(u8::from(policy == Policy::Panic), Ordering::Relaxed);
}

pub(super) fn reports() -> Vec<Report> {
    graph().reports().to_vec()
}
