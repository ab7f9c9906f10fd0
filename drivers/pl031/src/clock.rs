//! [`Clock`]: the registers, and the one alarm that they can have.
//!
//! Mirrors what the kernel has in `drivers/rtc/interface.c` (the alarm as a timer of the RTC core) over
//! `drivers/rtc/rtc-pl031.c`.
//!
//! # Vocabulary
//!
//! - **alarm**: a time, and whether it is **armed**. It is armed by RTC_AIE_ON, RTC_WKALM_SET or `echo +5`.
//! - it **rings** once: when its time has come, or at once if that was before. Then it is not armed any more.
//!
//! ```text
//!   off ── arm ──▶ armed ── the time has come ──▶ rings ──▶ off
//!    ▲               │ ▲                                     
//!    └── disarm ─────┘ └── another alarm, another time: armed anew
//! ```
//!
//! # No alarm is lost, and none rings twice
//!
//! The comparator raises the interrupt when RTCDR *becomes* what is in RTCMR. A value that is written a moment too
//! late is met again in 136 years. So [`arm`](Clock::arm) masks, writes RTCMR, clears what was raised, and only then
//! looks at the time. If that is still before the alarm, the comparator has its value in time, and RTCRIS keeps what it
//! raises from here on until somebody clears it; else the alarm rings here and now, and its interrupt stays masked.
//!
//! Whether an alarm rings is decided by the time alone, under the lock, and whoever decides it takes it away: so it
//! rings once, whether the bottom half, a change of the clock or the next alarm finds it first. The interrupt says
//! only when to look; the top half, which clears it without the lock, may clear that of a later alarm with it, and
//! has the bottom half look afterwards. One that comes before its time (an emulator whose own clock was set back)
//! has the alarm armed anew.

use uio_core::error::Errno;
use uio_core::io::{AccessError, Io, IoRegion};

use crate::regs::{Rtccr, Rtcdr, Rtcicr, Rtcimsc, Rtclr, Rtcmr};

/// How often RTCDR is read until it shows what RTCLR was told: the manual says two cycles of the bus.
const LOAD_TRIALS: usize = 64;
/// By how much it may be later, in seconds: whoever looks may have been kept from it.
const LOAD_LATE: u32 = 3600;

/// When the clock rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// Seconds since 1970.
    pub(crate) at: u32,
    pub(crate) armed: bool,
}

/// See the [module](self).
pub(crate) struct Clock {
    regs: IoRegion,
    alarm: Alarm,
    /// Alarms that rang so far.
    rung: u64,
    /// The time of the last of them.
    rang_at: u32,
}

impl Clock {
    /// Starts the clock, if it stands. An alarm that was armed before and is still to come stays so, as in
    /// `rtc_initialize_alarm`: its owner may have been replaced. Whether the clock runs.
    pub(crate) fn adopt(regs: IoRegion) -> Result<(Self, bool), AccessError> {
        if !regs.try_read::<Rtccr>()?.get(Rtccr::START) {
            regs.try_write(Rtccr::default().with(Rtccr::START, true))?;
        }
        let runs = regs.try_read::<Rtccr>()?.get(Rtccr::START);
        let at = regs.try_read::<Rtcmr>()?.raw();
        let unmasked = regs.try_read::<Rtcimsc>()?.get(Rtcimsc::ALARM);
        let alarm = Alarm { at, armed: false };
        let mut clock = Self { regs, alarm, rung: 0, rang_at: 0 };
        clock.hush()?;
        if unmasked && clock.time()? < at {
            clock.alarm.armed = true;
            clock.arm()?;
        }
        Ok((clock, runs))
    }

    /// The time.
    pub(crate) fn time(&self) -> Result<u32, AccessError> {
        Ok(self.regs.try_read::<Rtcdr>()?.raw())
    }

    /// The alarm that was set last.
    pub(crate) fn alarm(&self) -> Alarm {
        self.alarm
    }

    /// How many alarms rang so far.
    pub(crate) fn rung(&self) -> u64 {
        self.rung
    }

    /// The time of the last one that rang.
    pub(crate) fn rang_at(&self) -> u32 {
        self.rang_at
    }

    /// Sets the time. An alarm that is armed stays so, and rings at once if its time is over then.
    ///
    /// # Errors
    ///
    /// `EIO` if the clock does not take it.
    pub(crate) fn set_time(&mut self, time: u32) -> Result<(), Errno> {
        self.ring_if_due()?;
        self.regs.try_write(Rtclr::new(time))?;
        self.await_load(time)?;
        if self.alarm.armed && self.alarm.at <= time {
            self.ring()?;
        } else if self.alarm.armed {
            self.arm()?;
        }
        Ok(())
    }

    /// Sets the alarm. One that was armed and whose time has come rings before; else it is forgotten.
    pub(crate) fn set_alarm(&mut self, alarm: Alarm) -> Result<(), AccessError> {
        self.ring_if_due()?;
        self.alarm = alarm;
        if alarm.armed {
            return self.arm();
        }
        self.hush()?;
        self.regs.try_write(Rtcmr::new(alarm.at))
    }

    /// Arms the alarm that was set, or disarms it.
    pub(crate) fn enable_alarm(&mut self, armed: bool) -> Result<(), AccessError> {
        if self.alarm.armed == armed {
            return Ok(());
        }
        self.set_alarm(Alarm { armed, ..self.alarm })
    }

    /// There was an interrupt.
    pub(crate) fn service(&mut self) -> Result<(), AccessError> {
        self.ring_if_due()?;
        // Not its time yet, or nobody's: the interrupt was for nothing.
        if self.alarm.armed { self.arm() } else { self.hush() }
    }

    /// The clock interrupts no more. The time goes on, and what is in RTCMR stays.
    pub(crate) fn quiesce(&mut self) -> Result<(), AccessError> {
        self.alarm.armed = false;
        self.hush()
    }

    /// Has the alarm, which is armed, ring at its time. See the [module](self).
    fn arm(&mut self) -> Result<(), AccessError> {
        // Masked, so that one that is for now does not interrupt.
        self.regs.try_write(Rtcimsc::default())?;
        self.regs.try_write(Rtcmr::new(self.alarm.at))?;
        self.clear()?;
        if self.alarm.at <= self.time()? {
            return self.ring();
        }
        self.regs.try_write(Rtcimsc::default().with(Rtcimsc::ALARM, true))
    }

    fn ring_if_due(&mut self) -> Result<(), AccessError> {
        if self.alarm.armed && self.alarm.at <= self.time()? { self.ring() } else { Ok(()) }
    }

    fn ring(&mut self) -> Result<(), AccessError> {
        self.alarm.armed = false;
        self.rung += 1;
        self.rang_at = self.alarm.at;
        self.hush()
    }

    /// Masks the interrupt and takes back what was raised.
    fn hush(&self) -> Result<(), AccessError> {
        self.regs.try_write(Rtcimsc::default())?;
        self.clear()
    }

    fn clear(&self) -> Result<(), AccessError> {
        self.regs.try_write(Rtcicr::default().with(Rtcicr::ALARM, true))
    }

    /// Waits until the clock shows what it was told: an alarm would be held against the old time else.
    fn await_load(&self, time: u32) -> Result<(), Errno> {
        for _ in 0..LOAD_TRIALS {
            if self.time()?.wrapping_sub(time) <= LOAD_LATE {
                return Ok(());
            }
        }
        Err(Errno::EIO)
    }
}
