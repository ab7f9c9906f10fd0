//! [`Jiffies`]: the coarse clock of timeouts, [`HZ`] ticks a second.
//!
//! # Vocabulary
//!
//! - **jiffy**: a tick of 1/[`HZ`] s. One type serves for points and spans, as in the kernel: a span is a
//!   difference of points, and `now_jiffies() + msecs_to_jiffies(200)` is a point.
//! - **wrap**: the count ends at 2^64 and begins anew. Points are therefore never compared by `<`; a point is
//!   [after](Jiffies::is_after) another if it is less than half the range ahead of it.
//!
//! # Why 1000
//!
//! The kernel asks for a low `HZ` because each tick is an interrupt. Here there is no tick: the timer base
//! arms one timerfd for its next expiry. So the finest of the kernel's usual choices costs nothing, converts
//! to milliseconds exactly, and makes the wheel's first level one millisecond.
//!
//! The count is taken from the monotonic clock with the kernel's own start value, so it is the number that a
//! kernel built with `HZ=1000` would show, alike in all processes; and a driver that cuts it down to 32 bits
//! sees the wrap five minutes after boot, as in the kernel.
//!
//! Mirrors `include/linux/jiffies.h` and `kernel/time/time.c`.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::sys::clock::{ClockId, now_ns, tick_ns};

/// Jiffies in a second. See the module (its first lines) for the choice.
pub const HZ: u64 = 1000;

/// Nanoseconds in a jiffy.
pub const TICK_NSEC: u64 = 1_000_000_000 / HZ;

/// The count at boot: five minutes before its low 32 bits wrap.
#[doc(alias = "INITIAL_JIFFIES")]
const INITIAL: u64 = 0_u32.wrapping_sub(300 * HZ as u32) as u64;

/// A point or a span of the coarse clock, in ticks of 1/[`HZ`] s. It wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Jiffies(u64);

/// The longest span that is still "after": longer ones are cut down to it.
pub const MAX_JIFFY_OFFSET: Jiffies = Jiffies((i64::MAX as u64 >> 1) - 1);

impl Jiffies {
    /// The count itself.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The count itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether this point is later than `other`.
    #[doc(alias = "time_after")]
    pub const fn is_after(self, other: Self) -> bool {
        // CAST: the sign of the difference says who is ahead, across the wrap too.
        (other.0.wrapping_sub(self.0) as i64) < 0
    }

    /// Whether this point is earlier than `other`.
    #[doc(alias = "time_before")]
    pub const fn is_before(self, other: Self) -> bool {
        other.is_after(self)
    }

    /// Whether this point is `other` or later.
    #[doc(alias = "time_after_eq")]
    pub const fn is_after_eq(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i64) >= 0
    }

    /// Whether this point is `other` or earlier.
    #[doc(alias = "time_before_eq")]
    pub const fn is_before_eq(self, other: Self) -> bool {
        other.is_after_eq(self)
    }

    /// Whether this point is in `from ..= to`.
    #[doc(alias = "time_in_range")]
    pub const fn is_in_range(self, from: Self, to: Self) -> bool {
        self.is_after_eq(from) && self.is_before_eq(to)
    }

    /// The nanosecond of the monotonic clock at which this point begins; 0 for those before boot.
    pub(super) fn starts_at_ns(self) -> i64 {
        // CAST: the point's distance from boot, which may be negative.
        let ticks = self.0.wrapping_sub(INITIAL) as i64;
        ticks.max(0).saturating_mul(TICK_NSEC as i64)
    }

    /// The time until this point begins; zero if it has.
    pub(crate) fn time_left(self) -> Duration {
        let ns = self.starts_at_ns().saturating_sub(now_ns(ClockId::Monotonic));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }
}

/// The current jiffy. No system call where the kernel has a vDSO for the monotonic clock.
#[doc(alias = "jiffies")]
#[inline]
pub fn now_jiffies() -> Jiffies {
    at_ns(now_ns(ClockId::Monotonic))
}

/// The jiffy at the kernel's last tick: [`now_jiffies`] or some before, at a fifth of its cost. For what only has
/// to be about right.
#[inline]
pub(crate) fn recent_jiffies() -> Jiffies {
    at_ns(tick_ns())
}

#[inline]
fn at_ns(monotonic: i64) -> Jiffies {
    // CAST: the monotonic clock is never negative.
    Jiffies((monotonic as u64 / TICK_NSEC).wrapping_add(INITIAL))
}

fn clamped(count: u64) -> Jiffies {
    Jiffies(count.min(MAX_JIFFY_OFFSET.0))
}

/// Milliseconds to jiffies, rounded up; at most [`MAX_JIFFY_OFFSET`].
#[must_use]
pub fn msecs_to_jiffies(msecs: u64) -> Jiffies {
    clamped(msecs.div_ceil(1000 / HZ))
}

/// Microseconds to jiffies, rounded up.
#[must_use]
pub fn usecs_to_jiffies(usecs: u64) -> Jiffies {
    clamped(usecs.div_ceil(1_000_000 / HZ))
}

/// Nanoseconds to jiffies, rounded **down**: the kernel's, too, differs here from its siblings. For a timeout,
/// which must not be early, convert a [`Duration`].
#[must_use]
pub fn nsecs_to_jiffies(nsecs: u64) -> Jiffies {
    clamped(nsecs / TICK_NSEC)
}

/// A span in milliseconds, rounded up; at most `u64::MAX`.
#[must_use]
pub fn jiffies_to_msecs(span: Jiffies) -> u64 {
    span.0.saturating_mul(1000 / HZ)
}

/// A span in microseconds; at most `u64::MAX`.
#[must_use]
pub fn jiffies_to_usecs(span: Jiffies) -> u64 {
    span.0.saturating_mul(1_000_000 / HZ)
}

/// A span in nanoseconds; at most `u64::MAX`.
#[must_use]
pub fn jiffies_to_nsecs(span: Jiffies) -> u64 {
    span.0.saturating_mul(TICK_NSEC)
}

impl From<Duration> for Jiffies {
    /// Rounded up, so that a timeout is never early; at most [`MAX_JIFFY_OFFSET`].
    fn from(span: Duration) -> Self {
        let ticks = span.as_nanos().div_ceil(u128::from(TICK_NSEC));
        clamped(u64::try_from(ticks).unwrap_or(u64::MAX))
    }
}

impl From<Jiffies> for Duration {
    /// Exact.
    fn from(span: Jiffies) -> Self {
        // CAST: less than a second, in nanoseconds.
        Self::new(span.0 / HZ, (span.0 % HZ * TICK_NSEC) as u32)
    }
}

impl Add for Jiffies {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.wrapping_add(span.0))
    }
}

impl Sub for Jiffies {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

impl AddAssign for Jiffies {
    fn add_assign(&mut self, span: Self) {
        *self = *self + span;
    }
}

impl SubAssign for Jiffies {
    fn sub_assign(&mut self, span: Self) {
        *self = *self - span;
    }
}

impl fmt::Display for Jiffies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// The conversions divide by these.
const _: () = assert!(HZ <= 1000 && 1000 % HZ == 0);

#[cfg(all(test, not(loom)))]
mod tests;
