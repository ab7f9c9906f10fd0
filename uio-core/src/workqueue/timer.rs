//! The thread that queues delayed work: a heap of deadlines, and one sleep until the first.
//!
//! The heap knows where in it each item is, so that a deadline is moved or taken out without a search, and
//! none is left behind; and it has room for every item there is, so that arming allocates nothing.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use super::delayed::{self, DelayTimer};
use super::work::Inner;
use crate::error::Result;
use crate::kthread::{self, Kthread};
use crate::sync::facade::atomic::Ordering;

/// The slot of an item that is not in the heap.
const NONE: usize = usize::MAX;
/// Room that is made at a time.
const STEP: usize = 64;

pub(super) static THREAD: TimerThread = TimerThread {
    state: Mutex::new(State { heap: Vec::new(), items: 0 }),
    changed: Condvar::new(),
    thread: Mutex::new(None),
};

pub(super) struct TimerThread {
    state: Mutex<State>,
    /// The first deadline has become earlier.
    changed: Condvar,
    thread: Mutex<Option<Kthread>>,
}

struct State {
    heap: Vec<Entry>,
    /// Items that may be in it.
    items: usize,
}

struct Entry {
    expires: Instant,
    work: Arc<Inner>,
}

/// Starts the thread, once.
pub(super) fn start() -> Result<()> {
    let mut thread = THREAD.thread.lock().unwrap();
    if thread.is_none() {
        *thread = Some(kthread::run("kworker/timer", || THREAD.run())?);
    }
    Ok(())
}

impl TimerThread {
    /// Runs as long as the process.
    fn run(&self) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            match state.heap.first().map(|first| first.expires) {
                Some(first) if first <= now => {
                    let due = state.remove(0);
                    drop(state);
                    delayed::expire(&due.work, due.expires);
                    drop(due);
                    state = self.state();
                }
                Some(first) => state = self.changed.wait_timeout(state, first - now).unwrap().0,
                None => state = self.changed.wait(state).unwrap(),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl DelayTimer for TimerThread {
    fn reserve(&self) {
        let mut state = self.state();
        state.items += 1;
        if state.heap.capacity() < state.items {
            let more = state.items - state.heap.len() + STEP;
            state.heap.reserve(more);
        }
    }

    fn release(&self) {
        self.state().items -= 1;
    }

    fn arm(&self, work: &Arc<Inner>, expires: Instant) {
        let mut state = self.state();
        match slot(work) {
            NONE => state.push(Entry { expires, work: Arc::clone(work) }),
            at => {
                state.heap[at].expires = expires;
                state.settle(at);
            }
        }
        let is_first = slot(work) == 0;
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
    }

    fn disarm(&self, work: &Arc<Inner>) {
        let mut state = self.state();
        if slot(work) != NONE {
            // The caller has the item, so that it is not freed here.
            drop(state.remove(slot(work)));
        }
    }
}

/// Where in the heap an item is. Changed under the lock of the heap.
fn slot(work: &Inner) -> usize {
    work.timer_slot.load(Ordering::Relaxed)
}

impl State {
    fn push(&mut self, entry: Entry) {
        self.heap.push(entry);
        self.settle(self.heap.len() - 1);
    }

    fn remove(&mut self, at: usize) -> Entry {
        let entry = self.heap.swap_remove(at);
        entry.work.timer_slot.store(NONE, Ordering::Relaxed);
        if at < self.heap.len() {
            self.settle(at);
        }
        entry
    }

    /// Puts the entry at `at` in its place, up or down.
    fn settle(&mut self, at: usize) {
        let mut at = at;
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        loop {
            let children = [2 * at + 1, 2 * at + 2];
            let earlier = children.into_iter().filter(|&child| child < self.heap.len());
            let Some(child) = earlier.min_by_key(|&child| self.heap[child].expires) else { break };
            if !self.is_before(child, at) {
                break;
            }
            self.swap(at, child);
            at = child;
        }
        self.note(at);
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        self.heap[a].expires < self.heap[b].expires
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&self, at: usize) {
        self.heap[at].work.timer_slot.store(at, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn item() -> Arc<Inner> {
        Inner::new("test".to_owned(), Arc::new(|| ()), false)
    }

    proptest! {
        /// Whatever is put in, moved and taken out: the earliest is first, and each item knows its slot.
        #[test]
        fn the_heap_has_the_earliest_first(steps in prop::collection::vec((0..16_usize, 0..3_u8, 0..1000_u64), 0..200)) {
            let start = Instant::now();
            let items: Vec<_> = (0..16).map(|_| item()).collect();
            let mut state = State { heap: Vec::new(), items: 0 };
            let mut model = std::collections::HashMap::new();
            for (which, act, delay) in steps {
                let (work, expires) = (&items[which], start + Duration::from_millis(delay));
                match (act, slot(work)) {
                    (0, NONE) => {}
                    (0, at) => {
                        prop_assert_eq!(Some(state.remove(at).expires), model.remove(&which));
                    }
                    (_, NONE) => {
                        state.push(Entry { expires, work: Arc::clone(work) });
                        model.insert(which, expires);
                    }
                    (_, at) => {
                        state.heap[at].expires = expires;
                        state.settle(at);
                        model.insert(which, expires);
                    }
                }
                prop_assert_eq!(state.heap.first().map(|first| first.expires), model.values().min().copied());
                prop_assert!(state.heap.iter().enumerate().all(|(at, entry)| slot(&entry.work) == at));
                prop_assert_eq!(state.heap.len(), model.len());
            }
        }
    }
}
