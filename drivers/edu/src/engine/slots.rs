//! The jobs of an engine: a place for each, from its request to its result. Plain values; no locks, no device.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use uio_core::error::Errno;

/// What the owner of a job asks for its result with. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(NonZeroU64);

impl Ticket {
    /// As a plain number, never 0.
    pub(crate) fn get(self) -> u64 {
        self.0.get()
    }

    /// What [`get`](Self::get) gave; `None` for 0.
    pub(crate) fn from_raw(raw: u64) -> Option<Self> {
        NonZeroU64::new(raw).map(Self)
    }

    /// The low half is the place, the high half counts.
    fn index(self) -> usize {
        // CAST: the low half.
        self.get() as u32 as usize
    }
}

enum State<J> {
    Free,
    Waiting(J),
    Running(J),
    Done(Result<J, Errno>),
}

struct Slot<J> {
    ticket: Option<Ticket>,
    /// Whether somebody will ask for the result.
    wanted: bool,
    state: State<J>,
}

/// See the [module](self).
pub(crate) struct Slots<J> {
    slots: Vec<Slot<J>>,
    free: Vec<usize>,
    /// Those that wait, in order of arrival.
    order: VecDeque<usize>,
    running: Option<usize>,
    /// Tickets given out.
    serial: u32,
}

impl<J> Default for Slots<J> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            running: None,
            serial: 0,
        }
    }
}

impl<J> Slots<J> {
    /// Queues a job behind the others.
    pub(crate) fn insert(&mut self, job: J) -> Ticket {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { ticket: None, wanted: false, state: State::Free });
            // So that giving a place back never allocates.
            self.free.reserve(self.slots.len());
            self.slots.len() - 1
        });
        self.serial = self.serial.wrapping_add(1).max(1);
        let raw = u64::from(self.serial) << 32 | index as u64;
        let ticket = Ticket(NonZeroU64::new(raw).unwrap_or(NonZeroU64::MAX));
        self.slots[index] = Slot { ticket: Some(ticket), wanted: true, state: State::Waiting(job) };
        self.order.push_back(index);
        ticket
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.order.len()
    }

    /// Whether one runs.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Makes the one that waits longest the one that runs, if none does. Whether there is a new one.
    pub(crate) fn begin_next(&mut self) -> bool {
        if self.running.is_some() {
            return false;
        }
        let Some(index) = self.order.pop_front() else { return false };
        let slot = &mut self.slots[index];
        slot.state = match std::mem::replace(&mut slot.state, State::Free) {
            State::Waiting(job) => State::Running(job),
            other => other,
        };
        self.running = Some(index);
        true
    }

    /// Calls `act` on the job that runs.
    pub(crate) fn with_running(
        &mut self,
        act: impl FnOnce(&mut J) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        match self.running.map(|index| &mut self.slots[index].state) {
            Some(State::Running(job)) => act(job),
            _ => Ok(()),
        }
    }

    /// The job that runs has ended so, if one runs.
    pub(crate) fn end_running(&mut self, result: Result<(), Errno>) {
        let Some(index) = self.running.take() else { return };
        self.end(index, result);
    }

    /// All that wait end with `errno`.
    pub(crate) fn fail_waiting(&mut self, errno: Errno) {
        while let Some(index) = self.order.pop_front() {
            self.end(index, Err(errno));
        }
    }

    /// The result, once; `EAGAIN` before there is one, `EIO` for a ticket that is none.
    pub(crate) fn claim(&mut self, ticket: Ticket) -> Result<J, Errno> {
        let index = self.find(ticket).ok_or(Errno::EIO)?;
        if !matches!(self.slots[index].state, State::Done(_)) {
            return Err(Errno::EAGAIN);
        }
        match self.release(index) {
            State::Done(result) => result,
            _ => Err(Errno::EIO),
        }
    }

    pub(crate) fn is_done(&self, ticket: Ticket) -> bool {
        self.find(ticket).is_some_and(|index| matches!(self.slots[index].state, State::Done(_)))
    }

    /// Takes a job away that waits; one that runs is detached, and a result dropped. `true` if it waited.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> bool {
        let Some(at) =
            self.order.iter().position(|&index| self.slots[index].ticket == Some(ticket))
        else {
            self.detach(ticket);
            return false;
        };
        if let Some(index) = self.order.remove(at) {
            self.release(index);
        }
        true
    }

    /// The result is dropped as soon as there is one.
    pub(crate) fn detach(&mut self, ticket: Ticket) {
        let Some(index) = self.find(ticket) else { return };
        self.slots[index].wanted = false;
        if matches!(self.slots[index].state, State::Done(_)) {
            self.release(index);
        }
    }

    fn end(&mut self, index: usize, result: Result<(), Errno>) {
        let slot = &mut self.slots[index];
        slot.state = match std::mem::replace(&mut slot.state, State::Free) {
            State::Waiting(job) | State::Running(job) => State::Done(result.map(|()| job)),
            other => other,
        };
        if !slot.wanted {
            self.release(index);
        }
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        let index = ticket.index();
        (self.slots.get(index)?.ticket == Some(ticket)).then_some(index)
    }

    /// Makes a place free, and gives out what was in it.
    fn release(&mut self, index: usize) -> State<J> {
        self.slots[index].ticket = None;
        self.free.push(index);
        std::mem::replace(&mut self.slots[index].state, State::Free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator of numbers, the same each time (Knuth's MMIX).
    fn next(state: &mut u64) -> usize {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // CAST: the upper bits are the good ones.
        (*state >> 33) as usize
    }

    #[test]
    fn every_job_ends_once_or_was_taken_away_before_it_began() {
        let (mut slots, mut state, mut owned) = (Slots::default(), 1, Vec::new());
        let (mut asked, mut ended) = (0, 0);
        for _ in 0..20_000 {
            match next(&mut state) % 6 {
                0 => {
                    owned.push((slots.insert(asked), asked));
                    asked += 1;
                }
                1 | 2 => drop(slots.begin_next()),
                3 => slots.end_running(Ok(())),
                4 if !owned.is_empty() => {
                    let (ticket, job) = owned.swap_remove(next(&mut state) % owned.len());
                    match slots.claim(ticket) {
                        Ok(claimed) => {
                            assert_eq!(claimed, job);
                            assert_eq!(slots.claim(ticket).unwrap_err(), Errno::EIO, "only once");
                            ended += 1;
                        }
                        Err(errno) => {
                            assert_eq!(errno, Errno::EAGAIN);
                            owned.push((ticket, job));
                        }
                    }
                }
                5 if !owned.is_empty() => {
                    let (ticket, _) = owned.swap_remove(next(&mut state) % owned.len());
                    if slots.abandon(ticket) {
                        assert_eq!(slots.claim(ticket).unwrap_err(), Errno::EIO);
                    }
                }
                _ => {}
            }
        }
        assert!(ended > 500, "{ended} of {asked}");
        while slots.is_running() || slots.begin_next() {
            slots.end_running(Ok(()));
        }
        owned.iter().for_each(|(ticket, job)| assert_eq!(slots.claim(*ticket), Ok(*job)));
        assert_eq!(slots.free.len(), slots.slots.len(), "every place is free again");
    }
}
