//! Waiting for time to pass: [`sleep`] and its relatives give the processor away, [`udelay`] and [`ndelay`]
//! do not.
//!
//! | wait | in a top or bottom half | by |
//! | --- | --- | --- |
//! | up to 10 us | yes | [`udelay`], [`ndelay`] |
//! | any, length as good as it gets | no | [`fsleep`] |
//! | some milliseconds or more | no | [`sleep`], [`sleep_interruptible`] |
//!
//! None returns early; all are measured on the monotonic clock.
//!
//! Mirrors `include/linux/delay.h`, `kernel/time/sleep_timeout.c`, and `rust/kernel/time/delay.rs`.

use std::time::Duration;

use nix::errno::Errno;

use super::clock::{Instant, Monotonic};
use super::jiffies::TICK_NSEC;
use crate::sync::context::might_sleep;
use crate::sys::clock::{ClockId, sleep_until};

/// Up to here, going to sleep takes longer than the wait.
const LONGEST_SPIN: Duration = Duration::from_micros(10);
/// From here on, a whole millisecond more is at most a quarter of the wait: `USLEEP_RANGE_UPPER_BOUND`.
const SHORTEST_COARSE: Duration = Duration::from_nanos(TICK_NSEC << 2);

/// Sleeps for `span` at least, whatever signals come.
///
/// # Panics
///
/// In debug builds, where the caller may not sleep; so do all that sleep here.
#[doc(alias = "msleep")]
#[track_caller]
pub fn sleep(span: Duration) {
    might_sleep();
    let until = Instant::<Monotonic>::now() + span;
    while sleep_or_remaining(until).is_some() {}
}

/// Sleeps for `span`, or until a signal has been handled by this thread: returns what was left of the span,
/// zero if nothing was.
#[doc(alias = "msleep_interruptible")]
#[must_use = "the sleep may have been cut short"]
#[track_caller]
pub fn sleep_interruptible(span: Duration) -> Duration {
    might_sleep();
    sleep_or_remaining(Instant::now() + span).unwrap_or(Duration::ZERO)
}

/// Sleeps for `span` at least, in the way that suits its length: up to 10 us it spins, below 4 ms it sleeps
/// to the microsecond, above it sleeps for whole milliseconds, rounded up. The kernel's thresholds, from 6.13
/// on.
#[track_caller]
pub fn fsleep(span: Duration) {
    might_sleep();
    if span <= LONGEST_SPIN {
        spin(span);
    } else if span < SHORTEST_COARSE {
        sleep(span);
    } else {
        let millis = span.as_nanos().div_ceil(1_000_000);
        sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)));
    }
}

/// Spins for `usecs` microseconds at least. May be called anywhere; more than some ten is bad manners.
pub fn udelay(usecs: u64) {
    spin(Duration::from_micros(usecs));
}

/// Spins for `nsecs` nanoseconds at least; reading the clock takes some tens by itself.
pub fn ndelay(nsecs: u64) {
    spin(Duration::from_nanos(nsecs));
}

fn spin(span: Duration) {
    let until = Instant::<Monotonic>::now() + span;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// Sleeps until then; if a signal was first, the time that is left.
fn sleep_or_remaining(until: Instant<Monotonic>) -> Option<Duration> {
    match sleep_until(ClockId::Monotonic, until.as_nanos()) {
        Ok(()) => None,
        Err(Errno::EINTR) => {
            let left = until.saturating_duration_since(Instant::now());
            (!left.is_zero()).then_some(left)
        }
        // PANIC: not reached; the clock exists and the point is in range.
        Err(errno) => panic!("cannot sleep on the monotonic clock: {errno}"),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sys::clock::interrupter;

    /// Signals the sleeper until it is done.
    fn interrupted<R: Send>(sleeper: impl FnOnce() -> R + Send) -> R {
        let done = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::SeqCst;
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                tell.send(interrupter()).unwrap();
                let result = sleeper();
                done.store(true, order);
                result
            });
            let interrupt = told.recv().unwrap();
            while !done.load(order) {
                interrupt();
                std::thread::sleep(Duration::from_millis(1));
            }
            sleeper.join().unwrap()
        })
    }

    #[test]
    fn no_wait_is_early() {
        let waits: [fn(Duration); 5] = [
            sleep,
            fsleep,
            |span| assert_eq!(sleep_interruptible(span), Duration::ZERO),
            |span| udelay(span.as_micros() as u64),
            |span| ndelay(span.as_nanos() as u64),
        ];
        for wait in waits {
            for micros in [0, 3, 10, 11, 900, 4100] {
                let (span, start) = (Duration::from_micros(micros), Instant::<Monotonic>::now());
                wait(span);
                assert!(start.elapsed() >= span, "{span:?}");
            }
        }
    }

    #[test]
    fn msleep_interruptible_returns_what_is_left_when_a_signal_comes() {
        let hour = Duration::from_secs(3600);
        let left = interrupted(|| sleep_interruptible(hour));
        assert!(left > hour / 2 && left <= hour, "{left:?}");
    }

    #[test]
    fn msleep_sleeps_on_when_a_signal_comes() {
        let span = Duration::from_millis(20);
        let slept = interrupted(|| {
            let start = Instant::<Monotonic>::now();
            sleep(span);
            start.elapsed()
        });
        assert!(slept >= span, "{slept:?}");
    }

    #[test]
    fn fsleep_from_four_milliseconds_on_sleeps_whole_ones() {
        let start = Instant::<Monotonic>::now();
        fsleep(Duration::from_micros(4001));
        assert!(start.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    #[cfg(debug_assertions)]
    fn those_that_sleep_are_caught_in_a_bottom_half_and_those_that_spin_are_not() {
        use crate::sync::context::{Level, enter};
        let _softirq = enter(Level::Softirq);
        udelay(1);
        ndelay(1);
        let interruptible = |span| assert_eq!(sleep_interruptible(span), span);
        for wait in [sleep as fn(Duration), fsleep, interruptible] {
            assert!(std::panic::catch_unwind(|| wait(Duration::ZERO)).is_err());
        }
    }
}
