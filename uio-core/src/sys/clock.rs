//! The kernel's clocks: read one, sleep until a point on one.
//!
//! The ABI: `clock_gettime(2)`, `clock_nanosleep(2)`. Points are nanoseconds since the clock's own zero.

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockNanosleepFlags, clock_gettime, clock_nanosleep};

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

/// What the clock shows, in nanoseconds. No system call where the kernel has a vDSO for it.
#[inline]
pub(crate) fn now_ns(clock: ClockId) -> i64 {
    // PANIC: not reached; every kernel since 2.6.39 has these three clocks, and the pointer is good.
    let now = clock_gettime(clock.raw()).expect("the kernel has the clock");
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

/// What the monotonic clock showed at the kernel's last tick, in nanoseconds: behind by a tick at most (1 to
/// 10 ms, as the kernel was built), never ahead, and cheap, since no counter is read. Not a system call anywhere.
#[inline]
pub(crate) fn tick_ns() -> i64 {
    // PANIC: as above; since 2.6.32.
    let now = clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE).expect("the kernel has it");
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
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
