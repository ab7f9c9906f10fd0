//! Waiting for a register: [`read_poll_timeout`] sleeps between the reads, [`read_poll_timeout_atomic`] spins.
//!
//! Every such wait has an end. It ends at once when the device is gone, whether the access says so or the register
//! reads all ones, which is what a bus yields where nothing answers: a device that was pulled out is not waited for,
//! and is not taken for one that has every bit set, the awaited one among them.
//!
//! ```
//! use std::time::Duration;
//! use uio_core::io::{Io, IoMem};
//! use uio_core::time::read_poll_timeout;
//!
//! uio_core::register! {
//!     /// Status of the port.
//!     pub Status(u32) @ 0x04, ro {
//!         /// The reset is done.
//!         0:0 READY: bool;
//!     }
//! }
//!
//! fn wait_ready(io: &IoMem<0x10>) -> Result<Status, uio_core::Errno> {
//!     let (every, at_most) = (Duration::from_micros(10), Duration::from_millis(100));
//!     read_poll_timeout(|| io.try_read::<Status>(), |it| it.get(Status::READY), every, at_most)
//! }
//! ```
//!
//! They stand here and not beside the registers, since they sleep and read clocks. They allocate nothing.
//!
//! Mirrors `include/linux/iopoll.h` and `rust/kernel/io/poll.rs`.

use std::time::Duration;

use nix::errno::Errno;

use super::clock::{Instant, Monotonic};
use super::delay::{fsleep, ndelay};
use crate::io::{AccessError, Register, Word};
use crate::sync::context::might_sleep;

/// What a wait looks at: an integer, a [`register!`](crate::register), or a `bool`.
pub trait Polled {
    /// Whether nothing answered. A `bool` does not show it: it is for what may well read all ones, memory or a FIFO.
    fn is_all_ones(&self) -> bool;
}

macro_rules! polled {
    ($($int:ty)*) => {$(
        impl Polled for $int {
            fn is_all_ones(&self) -> bool {
                *self == <$int>::MAX
            }
        }
    )*};
}

polled!(u8 u16 u32 u64);

impl Polled for bool {
    fn is_all_ones(&self) -> bool {
        false
    }
}

impl<R: Register> Polled for R {
    fn is_all_ones(&self) -> bool {
        self.into_raw() == R::Raw::ONES
    }
}

/// Reads by `op` until `cond` holds for the value, and returns that. Between two reads it sleeps for `sleep`; it
/// looks a last time after `timeout`, so that a thread that was not run in time is not taken for a slow device.
///
/// # Errors
///
/// - `ENODEV` if the device is gone, or the value is all ones;
/// - `ETIMEDOUT` if the condition does not hold after `timeout`;
/// - `EINVAL` if the access is refused.
///
/// # Panics
///
/// In debug builds, where the caller may not sleep.
#[doc(alias("readl_poll_timeout", "readx_poll_timeout"))]
#[track_caller]
pub fn read_poll_timeout<T: Polled>(
    mut op: impl FnMut() -> Result<T, AccessError>,
    mut cond: impl FnMut(&T) -> bool,
    sleep: Duration,
    timeout: Duration,
) -> Result<T, Errno> {
    might_sleep();
    let deadline = Instant::<Monotonic>::now() + timeout;
    loop {
        let last = Instant::now() > deadline;
        let value = read(&mut op)?;
        if cond(&value) {
            return Ok(value);
        }
        if last {
            return Err(Errno::ETIMEDOUT);
        }
        if sleep.is_zero() {
            std::hint::spin_loop();
        } else {
            fsleep(sleep);
        }
    }
}

/// Reads by `op` until `cond` holds for the value, `retry` times at most, and spins for `delay` in between: for top
/// and bottom halves, and there for microseconds only.
///
/// # Errors
///
/// - `ENODEV` if the device is gone, or the value is all ones;
/// - `ETIMEDOUT` if the condition has not held in `retry` reads;
/// - `EINVAL` if the access is refused.
#[doc(alias = "readl_poll_timeout_atomic")]
pub fn read_poll_timeout_atomic<T: Polled>(
    mut op: impl FnMut() -> Result<T, AccessError>,
    mut cond: impl FnMut(&T) -> bool,
    delay: Duration,
    retry: usize,
) -> Result<T, Errno> {
    let nanoseconds = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    for _ in 0..retry {
        let value = read(&mut op)?;
        if cond(&value) {
            return Ok(value);
        }
        ndelay(nanoseconds);
    }
    Err(Errno::ETIMEDOUT)
}

fn read<T: Polled>(op: &mut impl FnMut() -> Result<T, AccessError>) -> Result<T, Errno> {
    match op() {
        Ok(value) if value.is_all_ones() => Err(Errno::ENODEV),
        other => Ok(other?),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Yields the values one after the other, then the last again and again; and counts.
    fn register<'a>(
        values: &'a [u32],
        reads: &'a mut usize,
    ) -> impl FnMut() -> Result<u32, AccessError> + 'a {
        move || {
            *reads += 1;
            Ok(values[(*reads - 1).min(values.len() - 1)])
        }
    }

    #[test]
    fn the_value_that_meets_the_condition_is_returned() {
        let mut reads = 0;
        let op = register(&[0, 2, 7], &mut reads);
        assert_eq!(read_poll_timeout(op, |it| it & 1 == 1, Duration::from_micros(1), HOUR), Ok(7));
        assert_eq!(reads, 3);
        let mut reads = 0;
        let op = register(&[0, 2, 7], &mut reads);
        assert_eq!(read_poll_timeout_atomic(op, |it| *it == 7, Duration::ZERO, 3), Ok(7));
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_not_before() {
        let (span, start) = (Duration::from_millis(5), Instant::<Monotonic>::now());
        let mut reads = 0;
        let op = register(&[0], &mut reads);
        let result = read_poll_timeout(op, |it| *it == 1, Duration::from_micros(100), span);
        assert_eq!(result, Err(Errno::ETIMEDOUT));
        assert!(start.elapsed() >= span && reads > 1);
    }

    #[test]
    fn a_thread_that_was_late_looks_once_more() {
        let mut reads = 0;
        let op = register(&[0, 1], &mut reads);
        let late = Duration::from_millis(2);
        assert_eq!(read_poll_timeout(op, |it| *it == 1, late, Duration::from_millis(1)), Ok(1));
        assert_eq!(reads, 2);
    }

    #[test]
    fn a_device_that_is_gone_is_not_waited_for() {
        for answer in [Err(AccessError::Gone), Ok(u32::MAX)] {
            let mut reads = 0;
            let mut op = || {
                reads += 1;
                answer
            };
            assert_eq!(read_poll_timeout(&mut op, |_| true, HOUR, HOUR), Err(Errno::ENODEV));
            let atomic = read_poll_timeout_atomic(&mut op, |_| true, HOUR, 1000);
            assert_eq!((atomic, reads), (Err(Errno::ENODEV), 2));
        }
    }

    #[test]
    fn a_bool_and_a_register_can_be_waited_for() {
        crate::register! {
            pub(crate) State(u8) @ 0x00, ro { 0:0 READY: bool; }
        }
        let yes = read_poll_timeout(|| Ok(true), |it| *it, HOUR, HOUR);
        assert_eq!(yes, Ok(true));
        let ready = |it: &State| it.get(State::READY);
        let state = read_poll_timeout_atomic(|| Ok(State::new(3)), ready, HOUR, 1);
        assert_eq!(state, Ok(State::new(3)));
        let gone = read_poll_timeout_atomic(|| Ok(State::new(0xFF)), ready, HOUR, 1);
        assert_eq!(gone, Err(Errno::ENODEV));
    }

    #[test]
    fn the_atomic_form_reads_as_often_as_it_may() {
        let mut reads = 0;
        let op = register(&[0], &mut reads);
        let result = read_poll_timeout_atomic(op, |it| *it == 1, Duration::from_nanos(1), 10);
        assert_eq!((result, reads), (Err(Errno::ETIMEDOUT), 10));
    }

    #[test]
    fn a_refused_access_is_a_bug_and_ends_the_wait() {
        let refused = AccessError::Misaligned { offset: 1, width: 4 };
        let result = read_poll_timeout(|| Err::<u32, _>(refused), |_| true, HOUR, HOUR);
        assert_eq!(result, Err(Errno::EINVAL));
    }

    #[test]
    #[cfg(debug_assertions)]
    fn the_form_that_sleeps_is_caught_in_a_bottom_half_and_the_other_is_not() {
        use crate::sync::context::{Level, enter};
        let _softirq = enter(Level::Softirq);
        assert_eq!(read_poll_timeout_atomic(|| Ok(true), |it| *it, HOUR, 1), Ok(true));
        let sleeps = || read_poll_timeout(|| Ok(true), |it| *it, HOUR, HOUR);
        assert!(std::panic::catch_unwind(sleeps).is_err());
    }
}
