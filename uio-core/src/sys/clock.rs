//! The kernel's clocks: read one, sleep until a point on one.
//!
//! The ABI: `clock_gettime(2)`, `clock_nanosleep(2)`. Points are nanoseconds since the clock's own zero.
//!
//! Clocks are read through `libc`: nix's form is called out of line and gives its result back through memory, which
//! takes more than half as long as the vDSO does.

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockNanosleepFlags, clock_nanosleep};

/// Which clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClockId {
    /// `CLOCK_MONOTONIC`: from boot, without the time the machine was suspended; never set.
    Monotonic,
    /// `CLOCK_REALTIME`: the wall clock, from 1970; is set now and then.
    RealTime,
    /// `CLOCK_BOOTTIME`: from boot, with the time the machine was suspended; never set.
    BootTime,
}

impl ClockId {
    fn raw(self) -> nix::time::ClockId {
        match self {
            Self::Monotonic => nix::time::ClockId::CLOCK_MONOTONIC,
            Self::RealTime => nix::time::ClockId::CLOCK_REALTIME,
            Self::BootTime => nix::time::ClockId::CLOCK_BOOTTIME,
        }
    }
}

/// A point on a clock, for the kernel. What is before its zero becomes the first nanosecond after: to
/// `timerfd_settime`, zero means never.
pub(super) fn timespec(at_ns: i64) -> TimeSpec {
    let at_ns = at_ns.max(1);
    TimeSpec::new(at_ns / 1_000_000_000, at_ns % 1_000_000_000)
}

#[expect(unsafe_code, reason = "a system call that writes through a pointer")]
#[inline]
fn read(clock: libc::clockid_t) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for the write.
    let outcome = unsafe { libc::clock_gettime(clock, &raw mut now) };
    // Not reached; the clocks that are asked for here are in every kernel since 2.6.39, and the pointer is good.
    debug_assert_eq!(outcome, 0, "the kernel has no clock {clock}");
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// What the clock shows, in nanoseconds. No system call where the kernel has a vDSO for it.
#[inline]
pub(crate) fn now_ns(clock: ClockId) -> i64 {
    read(match clock {
        ClockId::Monotonic => libc::CLOCK_MONOTONIC,
        ClockId::RealTime => libc::CLOCK_REALTIME,
        ClockId::BootTime => libc::CLOCK_BOOTTIME,
    })
}

/// What the monotonic clock showed at the kernel's last tick, in nanoseconds: behind by a tick at most (1 to
/// 10 ms, as the kernel was built), never ahead, and cheap: no counter is read, and so no system call is made where
/// the counter would need one.
#[inline]
pub(crate) fn tick_ns() -> i64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// Sleeps until the clock shows `at_ns` or later.
///
/// # Errors
///
/// `EINTR` if a signal was handled first.
pub(crate) fn sleep_until(clock: ClockId, at_ns: i64) -> Result<(), Errno> {
    let flags = ClockNanosleepFlags::TIMER_ABSTIME;
    clock_nanosleep(clock.raw(), flags, &timespec(at_ns)).map(drop)
}

/// Makes SIGUSR1 interrupt and do nothing else, and gives a way to send it to the calling thread.
#[cfg(test)]
#[expect(unsafe_code, reason = "a handler is installed, and a thread named")]
pub(crate) fn interrupter() -> impl Fn() + Send {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("SIGUSR1 can be handled");
    // SAFETY: has no preconditions.
    let (process, thread) = (std::process::id(), unsafe { libc::gettid() });
    move || {
        // SAFETY: a plain system call on numbers; a thread that has ended is an error.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
    }
}
