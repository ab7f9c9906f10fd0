//! A timerfd: a descriptor that becomes readable at a point on a clock.
//!
//! The ABI (`fs/timerfd.c`): `timerfd_settime` with `TFD_TIMER_ABSTIME` arms it once, and takes back what had
//! expired before; a read of 8 bytes takes the number of expiries. With `TFD_TIMER_CANCEL_ON_SET`, on the
//! real-time clock, it also becomes readable when somebody sets the clock, and the read says `ECANCELED`.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::timerfd::{Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd;

use super::clock::{ClockId, timespec};

/// What a readable timerfd has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rang {
    /// Nothing: it was armed anew since.
    Nothing,
    /// Its point has been reached.
    Expired,
    /// The clock was set.
    ClockSet,
}

/// One timerfd.
#[derive(Debug)]
pub(crate) struct AlarmFd {
    fd: TimerFd,
    clock: ClockId,
}

impl AlarmFd {
    /// Makes a timerfd that is not armed. The one place where timerfds are made.
    pub(crate) fn open(clock: ClockId) -> Result<Self, Errno> {
        use nix::sys::timerfd::ClockId as Raw;
        let raw = match clock {
            ClockId::Monotonic => Raw::CLOCK_MONOTONIC,
            ClockId::RealTime => Raw::CLOCK_REALTIME,
            ClockId::BootTime => Raw::CLOCK_BOOTTIME,
        };
        let fd = TimerFd::new(raw, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { fd, clock })
    }

    /// Whether a set clock is told apart, so that it takes a read to know why it rang.
    pub(crate) fn tells_of_set_clock(&self) -> bool {
        self.clock == ClockId::RealTime
    }

    /// Arms it for the point `at_ns` of its clock, in place of the point before. One system call.
    ///
    /// # Errors
    ///
    /// `ECANCELED` if the clock was set since the last look; it is armed all the same.
    pub(crate) fn arm(&self, at_ns: i64) -> Result<(), Errno> {
        let mut flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
        if self.tells_of_set_clock() {
            flags |= TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        }
        self.fd.set(Expiration::OneShot(timespec(at_ns)), flags)
    }

    /// Takes what made it readable. One system call.
    pub(crate) fn read(&self) -> Result<Rang, Errno> {
        match unistd::read(&self.fd, &mut [0; 8]) {
            Ok(_) => Ok(Rang::Expired),
            Err(Errno::EAGAIN) => Ok(Rang::Nothing),
            Err(Errno::ECANCELED) => Ok(Rang::ClockSet),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for AlarmFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::clock::now_ns;
    use super::*;

    fn wait_for(fd: &AlarmFd) -> Rang {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match fd.read().unwrap() {
                Rang::Nothing => assert!(Instant::now() < deadline, "the alarm did not ring"),
                rang => return rang,
            }
        }
    }

    #[test]
    fn an_alarm_rings_at_its_point_and_not_before() {
        for clock in [ClockId::Monotonic, ClockId::RealTime, ClockId::BootTime] {
            let fd = AlarmFd::open(clock).unwrap();
            let at = now_ns(clock) + 2_000_000;
            fd.arm(at).unwrap();
            assert_eq!(wait_for(&fd), Rang::Expired);
            assert!(now_ns(clock) >= at, "{clock:?}");
        }
    }

    #[test]
    fn a_point_before_the_clocks_zero_is_now_and_not_never() {
        let fd = AlarmFd::open(ClockId::Monotonic).unwrap();
        fd.arm(-5).unwrap();
        assert_eq!(wait_for(&fd), Rang::Expired);
    }

    #[test]
    fn arming_anew_takes_back_what_had_rung() {
        let fd = AlarmFd::open(ClockId::Monotonic).unwrap();
        fd.arm(1).unwrap();
        fd.arm(now_ns(ClockId::Monotonic) + 3_600_000_000_000).unwrap();
        assert_eq!(fd.read().unwrap(), Rang::Nothing);
    }
}
