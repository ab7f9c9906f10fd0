//! VTIME: how long a read may wait for its bytes.
//!
//! A read that waits is tried again at each wake-up and does not know when it began; so an open file has a
//! [`Waiting`] from the first trial that found too little to the one that ends. The tasklet wakes the readers when
//! its time is over. One that a signal ended leaves its wait behind: that is forgotten [`STALE`] after its end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How late a reader that was woken may be.
const STALE: Duration = Duration::from_secs(1);

/// The wait of an open file.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    until: Instant,
    /// Bytes that were there when it began: the time begins anew with each that comes.
    seen: usize,
    /// The readers have been woken for it.
    told: bool,
}

/// The waits of a node, by the handle of the open file.
#[derive(Debug, Default)]
pub(crate) struct Timeouts(HashMap<u64, Waiting>);

impl Timeouts {
    /// A read found `seen` bytes, too few, and may wait for `time`. Whether that is over.
    pub(crate) fn is_over(
        &mut self,
        handle: u64,
        seen: usize,
        time: Duration,
        now: Instant,
    ) -> bool {
        let waiting = self.0.get(&handle).filter(|it| it.seen == seen && now < it.until + STALE);
        if waiting.is_some_and(|it| now >= it.until) {
            self.0.remove(&handle);
            return true;
        }
        if waiting.is_none() {
            self.0.insert(handle, Waiting { until: now + time, seen, told: false });
        }
        false
    }

    /// The read got its bytes, or the file was closed.
    pub(crate) fn end(&mut self, handle: u64) {
        self.0.remove(&handle);
    }

    /// Whether a time is over that nobody was told of.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let due = |it: &&mut Waiting| !it.told && now >= it.until;
        let mut any = false;
        for waiting in self.0.values_mut().filter(due) {
            waiting.told = true;
            any = true;
        }
        any
    }

    /// When the next one is over.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().filter(|it| !it.told).map(|it| it.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(100);

    #[test]
    fn a_read_waits_for_its_time_and_once() {
        let (mut timeouts, begin) = (Timeouts::default(), Instant::now());
        assert!(!timeouts.is_over(7, 0, TIME, begin));
        assert_eq!(timeouts.next(), Some(begin + TIME));
        assert!(!timeouts.is_over(7, 0, TIME, begin + TIME / 2));
        assert!(timeouts.expire(begin + TIME) && !timeouts.expire(begin + TIME));
        assert!(timeouts.is_over(7, 0, TIME, begin + TIME));
        assert!(!timeouts.is_over(7, 0, TIME, begin + TIME), "the next read has its own time");
    }

    #[test]
    fn each_byte_gives_new_time() {
        let (mut timeouts, begin) = (Timeouts::default(), Instant::now());
        assert!(!timeouts.is_over(7, 1, TIME, begin));
        assert!(!timeouts.is_over(7, 2, TIME, begin + TIME), "one more came");
        assert!(timeouts.is_over(7, 2, TIME, begin + 2 * TIME));
    }

    #[test]
    fn a_wait_that_a_signal_ended_is_forgotten() {
        let (mut timeouts, begin) = (Timeouts::default(), Instant::now());
        assert!(!timeouts.is_over(7, 0, TIME, begin));
        assert!(!timeouts.is_over(7, 0, TIME, begin + TIME + STALE));
    }
}
