//! Who waits on a queue: the entries, in the order in which they came.
//!
//! Each entry has a ticket. A wake-up serves the tickets that were out when it began, so that a thread which
//! wakes, finds its condition false and queues itself again is not woken over and over by one wake-up.

use std::collections::VecDeque;
use std::task::Waker;

use super::super::facade::atomic::{AtomicBool, Ordering};
use super::super::facade::{Arc, Mutex, parking};
use super::super::park::Sleep;

/// How an entry wants to be woken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// `WQ_FLAG_EXCLUSIVE`: one of these at a time, all of the others.
    pub(super) exclusive: bool,
    pub(super) sleep: Sleep,
}

/// Which sleepers a wake-up is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// `TASK_NORMAL`.
    Any,
    /// `TASK_INTERRUPTIBLE`.
    Interruptible,
}

/// One wake-up on its way through a list: whom it may still take off.
pub(super) struct Pass {
    which: Which,
    /// Those that are not exclusive, all of them.
    shared: bool,
    /// So many of the exclusive ones.
    exclusive: usize,
    /// Tickets from here on came after it began; known from the first look on.
    end: Option<u64>,
}

impl Pass {
    pub(super) fn new(shared: bool, exclusive: usize, which: Which) -> Self {
        Self { which, shared, exclusive, end: None }
    }

    /// Whether it has no more to take.
    pub(super) fn is_over(&self) -> bool {
        !self.shared && self.exclusive == 0
    }
}

/// What wakes an entry up.
pub(super) enum Sleeper {
    Thread(parking::Thread),
    Task(Mutex<Option<Waker>>),
}

pub(super) struct Entry {
    sleeper: Sleeper,
    woken: AtomicBool,
    kind: Kind,
}

impl Entry {
    pub(super) fn new(sleeper: Sleeper, kind: Kind) -> Self {
        Self { sleeper, woken: AtomicBool::new(false), kind }
    }

    /// Whether a wake-up took it off the list.
    pub(super) fn is_woken(&self) -> bool {
        // Acquire: pairs with the store in `wake`.
        self.woken.load(Ordering::Acquire)
    }

    /// The waker to call from now on. Whoever calls this looks at [`is_woken`](Self::is_woken) afterwards: a
    /// wake-up that had the old waker has set it by then.
    pub(super) fn set_waker(&self, waker: &Waker) {
        if let Sleeper::Task(slot) = &self.sleeper {
            let mut slot = slot.lock().unwrap();
            if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
                *slot = Some(waker.clone());
            }
        }
    }

    /// Called without any lock: a waker may do what it likes.
    pub(super) fn wake(&self) {
        // Release: the woken one sees what was written before the wake-up.
        self.woken.store(true, Ordering::Release);
        match &self.sleeper {
            Sleeper::Thread(thread) => thread.unpark(),
            Sleeper::Task(slot) => {
                let waker = slot.lock().unwrap().take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }

    fn is_meant(&self, which: Which) -> bool {
        which == Which::Any || self.kind.sleep == Sleep::Interruptible
    }
}

/// Entries and their tickets. Both lists are sorted by ticket.
pub(super) struct List {
    shared: VecDeque<(u64, Arc<Entry>)>,
    exclusive: VecDeque<(u64, Arc<Entry>)>,
    next: u64,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { shared: VecDeque::new(), exclusive: VecDeque::new(), next: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.shared.len() + self.exclusive.len()
    }

    pub(super) fn push(&mut self, entry: &Arc<Entry>) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.side(entry.kind.exclusive).push_back((ticket, Arc::clone(entry)));
        ticket
    }

    /// Takes off the next entry that a wake-up reaches: first those that are not exclusive.
    pub(super) fn next(&mut self, pass: &mut Pass) -> Option<Arc<Entry>> {
        let end = *pass.end.get_or_insert(self.next);
        if pass.shared {
            let entry = self.pop(false, pass.which, end);
            // What comes later is not its own; so a side that is empty is done with.
            pass.shared = !self.shared.is_empty() && entry.is_some();
            pass.exclusive = if self.exclusive.is_empty() { 0 } else { pass.exclusive };
            if entry.is_some() {
                return entry;
            }
        }
        pass.exclusive = pass.exclusive.checked_sub(1)?;
        let entry = self.pop(true, pass.which, end);
        pass.exclusive = if self.exclusive.is_empty() { 0 } else { pass.exclusive };
        entry
    }

    /// Takes off the first entry of one side that the wake-up is meant for and whose ticket is before `end`.
    fn pop(&mut self, exclusive: bool, which: Which, end: u64) -> Option<Arc<Entry>> {
        let side = self.side(exclusive);
        let at = side.iter().position(|(_, entry)| entry.is_meant(which))?;
        if side[at].0 >= end {
            return None;
        }
        side.remove(at).map(|(_, entry)| entry)
    }

    /// Takes one entry off; `false` if a wake-up took it already.
    pub(super) fn remove(&mut self, exclusive: bool, ticket: u64) -> bool {
        let side = self.side(exclusive);
        match side.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            Ok(at) => side.remove(at).is_some(),
            Err(_) => false,
        }
    }

    fn side(&mut self, exclusive: bool) -> &mut VecDeque<(u64, Arc<Entry>)> {
        if exclusive { &mut self.exclusive } else { &mut self.shared }
    }
}
