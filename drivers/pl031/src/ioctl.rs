//! The ioctls of `include/uapi/linux/rtc.h`, as `rtc_dev_ioctl` of `drivers/rtc/dev.c` and `rtc_set_alarm` of
//! `drivers/rtc/interface.c` carry them out.
//!
//! All tell the size of their argument, so they work on CUSE and FUSE nodes alike.

use uio_core::chardev::{File, IoctlArg, IoctlCmd};
use uio_core::error::Errno;

use crate::calendar::{TM_BYTES, Tm};
use crate::clock::Alarm;
use crate::rtc::Rtc;

const RTC_AIE_ON: u32 = 0x7001;
const RTC_AIE_OFF: u32 = 0x7002;
const RTC_UIE_ON: u32 = 0x7003;
const RTC_UIE_OFF: u32 = 0x7004;
const RTC_PIE_ON: u32 = 0x7005;
const RTC_PIE_OFF: u32 = 0x7006;
const RTC_ALM_SET: u32 = 0x4024_7007;
const RTC_ALM_READ: u32 = 0x8024_7008;
const RTC_RD_TIME: u32 = 0x8024_7009;
const RTC_SET_TIME: u32 = 0x4024_700A;
const RTC_WKALM_SET: u32 = 0x4028_700F;
const RTC_WKALM_RD: u32 = 0x8028_7010;

/// `struct rtc_wkalrm`: two bytes, a gap, and a `struct rtc_time`.
const WKALM_BYTES: usize = WKALM_TIME + TM_BYTES;
const WKALM_ENABLED: usize = 0;
const WKALM_TIME: usize = 4;

/// Seconds of a day.
const DAY: u32 = 24 * 60 * 60;

/// Carries out an ioctl.
pub(crate) fn serve(
    rtc: &Rtc,
    file: &File,
    cmd: IoctlCmd,
    arg: &mut IoctlArg<'_>,
) -> Result<(), Errno> {
    match cmd.0 {
        RTC_RD_TIME => {
            let time = rtc.with(|clock| Ok(clock.time()?))?;
            put(arg.output, &Tm::from_time(time).to_bytes())
        }
        RTC_SET_TIME => {
            rtc.may_set(file)?;
            let time = seconds(tm(arg.input)?)?;
            rtc.with(|clock| clock.set_time(time))
        }
        RTC_ALM_READ => put(arg.output, &Tm::from_time(alarm(rtc)?.at).to_bytes()),
        RTC_ALM_SET => set_time_of_day(rtc, tm(arg.input)?),
        RTC_WKALM_RD => put(arg.output, &wkalm(alarm(rtc)?)),
        RTC_WKALM_SET => {
            let armed = *arg.input.get(WKALM_ENABLED).ok_or(Errno::EINVAL)? != 0;
            let at = seconds(tm(arg.input.get(WKALM_TIME..).unwrap_or(&[]))?)?;
            rtc.with(|clock| Ok(clock.set_alarm(Alarm { at, armed })?))
        }
        RTC_AIE_ON | RTC_AIE_OFF => rtc.with(|clock| Ok(clock.enable_alarm(cmd.0 == RTC_AIE_ON)?)),
        // A clock that has neither says so, and lets them be switched off.
        RTC_UIE_ON | RTC_PIE_ON => Err(Errno::EINVAL),
        RTC_UIE_OFF | RTC_PIE_OFF => Ok(()),
        // The epoch, the rate of periodic interrupts, the battery, the fine tuning: not of this clock.
        _ => Err(Errno::ENOTTY),
    }
}

/// The next time that it is this time of day, as for RTC_ALM_SET. It is armed by RTC_AIE_ON.
fn set_time_of_day(rtc: &Rtc, asked: Tm) -> Result<(), Errno> {
    rtc.with(|clock| {
        let now = clock.time()?;
        let today = Tm::from_time(now);
        let Tm { mday, mon, year, .. } = today;
        let then = seconds(Tm { mday, mon, year, ..asked })?;
        let at = if then < now { then.checked_add(DAY).ok_or(Errno::ERANGE)? } else { then };
        Ok(clock.set_alarm(Alarm { at, armed: false })?)
    })
}

fn alarm(rtc: &Rtc) -> Result<Alarm, Errno> {
    // The clock is asked too, so that one that is gone says so.
    rtc.with(|clock| {
        clock.time()?;
        Ok(clock.alarm())
    })
}

/// `pending` is 0, as it is in the kernel: an alarm that rang is off.
fn wkalm(alarm: Alarm) -> [u8; WKALM_BYTES] {
    let mut bytes = [0; WKALM_BYTES];
    bytes[WKALM_ENABLED] = alarm.armed.into();
    bytes[WKALM_TIME..].copy_from_slice(&Tm::from_time(alarm.at).to_bytes());
    bytes
}

fn tm(input: &[u8]) -> Result<Tm, Errno> {
    Tm::from_bytes(input).ok_or(Errno::EINVAL)
}

/// `EINVAL` if there is no such date, `ERANGE` if the counter does not reach it.
fn seconds(tm: Tm) -> Result<u32, Errno> {
    let time = tm.to_time().ok_or(Errno::EINVAL)?;
    u32::try_from(time).map_err(|_| Errno::ERANGE)
}

fn put(output: &mut [u8], bytes: &[u8]) -> Result<(), Errno> {
    output.get_mut(..bytes.len()).ok_or(Errno::EINVAL)?.copy_from_slice(bytes);
    Ok(())
}
