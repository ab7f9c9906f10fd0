//! Reading the clocks: [`Instant`], a point on one of [`Monotonic`], [`RealTime`] and [`BootTime`].
//!
//! The clock is part of the type, so that points of different clocks cannot be mixed. A span between two
//! points is a [`Duration`]. Neighbours: `hrtimer` expires at such points; `jiffies` counts coarser ones.
//!
//! Mirrors `include/linux/timekeeping.h` (`ktime_get` and its relatives) and `rust/kernel/time.rs`.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use crate::sys::clock::ClockId;
use crate::sys::clock::now_ns;

/// A clock of the kernel, as a type.
pub trait ClockSource: sealed::Sealed + Copy + fmt::Debug + Ord + Send + Sync + 'static {
    /// Which one.
    const ID: ClockId;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! clocks {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name;
        impl sealed::Sealed for $name {}
        impl ClockSource for $name {
            const ID: ClockId = ClockId::$name;
        }
    )*};
}

clocks! {
    /// `CLOCK_MONOTONIC`: from boot, without the time the machine was suspended; never set.
    Monotonic;
    /// `CLOCK_REALTIME`: the wall clock, from 1970; is set now and then.
    RealTime;
    /// `CLOCK_BOOTTIME`: from boot, with the time the machine was suspended; never set.
    BootTime;
}

/// A point on the clock `C`, in nanoseconds since its zero. The kernel's `ktime_t`, when it is a point.
#[doc(alias = "ktime_t")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant<C> {
    ns: i64,
    clock: PhantomData<C>,
}

impl<C: ClockSource> Instant<C> {
    /// The last point that can be told, 292 years after the clock's zero: in effect, never.
    #[doc(alias = "KTIME_MAX")]
    pub const MAX: Self = Self::from_nanos(i64::MAX);

    /// What the clock shows.
    #[inline]
    pub fn now() -> Self {
        Self::from_nanos(now_ns(C::ID))
    }

    /// The point `ns` nanoseconds after the clock's zero.
    #[doc(alias = "ns_to_ktime")]
    pub const fn from_nanos(ns: i64) -> Self {
        Self { ns, clock: PhantomData }
    }

    /// Nanoseconds since the clock's zero.
    #[doc(alias = "ktime_to_ns")]
    pub const fn as_nanos(self) -> i64 {
        self.ns
    }

    /// How long ago it was; zero for a point to come.
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }

    /// The span from `earlier` to this; zero if that is not earlier.
    #[doc(alias = "ktime_sub")]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        let ns = self.ns.saturating_sub(earlier.ns);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }
}

impl Instant<RealTime> {
    /// The same point, for the rest of the world.
    pub fn to_system_time(self) -> SystemTime {
        let span = Duration::from_nanos(self.ns.unsigned_abs());
        if self.ns < 0 { UNIX_EPOCH - span } else { UNIX_EPOCH + span }
    }
}

/// Nanoseconds of a span, as far as a point can be moved.
pub(super) fn span_ns(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

impl<C: ClockSource> Add<Duration> for Instant<C> {
    type Output = Self;

    /// The point later by `span`; [`MAX`](Self::MAX) if it cannot be told (`ktime_add_safe`).
    fn add(self, span: Duration) -> Self {
        Self::from_nanos(self.ns.saturating_add(span_ns(span)))
    }
}

impl<C: ClockSource> Sub<Duration> for Instant<C> {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self::from_nanos(self.ns.saturating_sub(span_ns(span)))
    }
}

impl<C: ClockSource> fmt::Debug for Instant<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} ns)", C::ID, self.ns)
    }
}

/// Reads the monotonic clock.
#[inline]
pub fn ktime_get() -> Instant<Monotonic> {
    Instant::now()
}

/// Reads the wall clock.
#[inline]
pub fn ktime_get_real() -> Instant<RealTime> {
    Instant::now()
}

/// Reads the clock that also counts the time suspended.
#[inline]
pub fn ktime_get_boottime() -> Instant<BootTime> {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clocks_never_go_back() {
        let (monotonic, boot) = (ktime_get(), ktime_get_boottime());
        for _ in 0..1000 {
            assert!(ktime_get() >= monotonic && ktime_get_boottime() >= boot);
        }
        assert!(
            boot.as_nanos() >= monotonic.as_nanos(),
            "boot time counts all that monotonic does"
        );
    }

    #[test]
    fn the_real_time_clock_is_the_wall_clock() {
        let wall = SystemTime::now();
        let ours = ktime_get_real().to_system_time();
        assert!(ours.duration_since(wall).is_ok_and(|apart| apart < Duration::from_secs(60)));
    }

    #[test]
    fn points_saturate_and_never_wrap() {
        let late = Instant::<Monotonic>::from_nanos(i64::MAX - 1);
        assert_eq!(late + Duration::from_secs(1), Instant::MAX);
        assert_eq!(late + Duration::MAX, Instant::MAX);
        let now = ktime_get();
        assert_eq!(now.saturating_duration_since(now + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((now + Duration::from_secs(1)).saturating_duration_since(now).as_secs(), 1);
    }
}
