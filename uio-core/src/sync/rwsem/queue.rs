//! Who is in, and who waits: the state of a [`RwSemaphore`](super::RwSemaphore), without its data.

use std::collections::VecDeque;
use std::fmt;

use crate::sync::facade::{Arc, Mutex, const_fn};
use crate::sync::park::{Deadline, Parked, Sleep, Woken};
use crate::sync::task::Interrupted;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

pub(super) struct Queue {
    state: Mutex<State>,
}

struct State {
    readers: usize,
    writer: bool,
    waiters: VecDeque<(Access, Arc<Parked>)>,
}

impl Queue {
    const_fn! {
        pub(super) fn new() -> Self {
            let state = State { readers: 0, writer: false, waiters: VecDeque::new() };
            Self { state: Mutex::new(state) }
        }
    }

    /// Goes in, if those who are in allow it and nobody waits.
    pub(super) fn try_enter(&self, access: Access) -> bool {
        self.state.lock().unwrap().try_enter(access)
    }

    /// Goes in when its turn has come.
    pub(super) fn enter(&self, access: Access, sleep: Sleep) -> Result<(), Interrupted> {
        let place = {
            let mut state = self.state.lock().unwrap();
            if state.try_enter(access) {
                return Ok(());
            }
            let place = Parked::current();
            state.waiters.push_back((access, Arc::clone(&place)));
            place
        };
        if place.sleep(sleep, Deadline::NEVER) == Woken::Granted || !self.give_up(&place) {
            return Ok(());
        }
        Err(Interrupted)
    }

    /// Goes out, and lets in whose turn it is.
    pub(super) fn leave(&self, access: Access) {
        let mut state = self.state.lock().unwrap();
        match access {
            Access::Read => state.readers -= 1,
            Access::Write => state.writer = false,
        }
        state.admit();
    }

    /// The writer that is in goes on as a reader.
    pub(super) fn downgrade(&self) {
        let mut state = self.state.lock().unwrap();
        state.writer = false;
        state.readers = 1;
        state.admit();
    }

    /// Waits no longer; `false` if it was let in meanwhile.
    fn give_up(&self, place: &Arc<Parked>) -> bool {
        let mut state = self.state.lock().unwrap();
        let before = state.waiters.len();
        state.waiters.retain(|(_, waiter)| !Arc::ptr_eq(waiter, place));
        let left = state.waiters.len() != before;
        // A writer that leaves may have kept readers behind it waiting.
        state.admit();
        left
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().unwrap().waiters.len()
    }
}

impl State {
    fn try_enter(&mut self, access: Access) -> bool {
        let enters = self.waiters.is_empty() && self.allows(access);
        if enters {
            self.count_in(access);
        }
        enters
    }

    fn allows(&self, access: Access) -> bool {
        !self.writer && (access == Access::Read || self.readers == 0)
    }

    fn count_in(&mut self, access: Access) {
        match access {
            Access::Read => self.readers += 1,
            Access::Write => self.writer = true,
        }
    }

    /// Lets in whoever stands at the front and is allowed to.
    fn admit(&mut self) {
        while let Some(&(access, _)) =
            self.waiters.front().filter(|(access, _)| self.allows(*access))
        {
            self.count_in(access);
            if let Some((_, waiter)) = self.waiters.pop_front() {
                waiter.grant();
            }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock().unwrap();
        f.debug_struct("Queue")
            .field("readers", &state.readers)
            .field("writer", &state.writer)
            .field("waiting", &state.waiters.len())
            .finish()
    }
}
