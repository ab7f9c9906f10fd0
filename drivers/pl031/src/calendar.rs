//! Dates: [`Tm`], the kernel's `struct rtc_time` (`include/uapi/linux/rtc.h`), and seconds since 1970 in UTC.
//!
//! Mirrors `rtc_time64_to_tm`, `rtc_tm_to_time64` and `rtc_valid_tm` of `drivers/rtc/lib.c`. Years are those of the
//! Gregorian calendar, from 1970 on; there are no leap seconds.

use std::fmt;

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// Bytes of a `struct rtc_time`: nine ints.
pub(crate) const TM_BYTES: usize = 9 * size_of::<i32>();

/// Days before each month of a year that is not a leap year.
const DAYS_BEFORE: [i32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// A date and time of day, in UTC. The fields are those of `struct rtc_time`, and in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tm {
    /// 0 to 59.
    pub(crate) sec: i32,
    /// 0 to 59.
    pub(crate) min: i32,
    /// 0 to 23.
    pub(crate) hour: i32,
    /// Day of the month, from 1.
    pub(crate) mday: i32,
    /// Month, from 0.
    pub(crate) mon: i32,
    /// Years since 1900.
    pub(crate) year: i32,
    /// Day of the week, Sunday is 0. Not looked at when a time is set.
    pub(crate) wday: i32,
    /// Day of the year, from 0. Not looked at when a time is set.
    pub(crate) yday: i32,
    /// 0: UTC has no summer time. Not looked at when a time is set.
    pub(crate) isdst: i32,
}

fn is_leap(year: i32) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

/// Days from the beginning of `year` to that of its month `mon`, 0 to 11.
fn days_before(year: i32, mon: i32) -> Option<i32> {
    let days = usize::try_from(mon).ok().and_then(|mon| DAYS_BEFORE.get(mon))?;
    Some(days + i32::from(mon > 1 && is_leap(year)))
}

fn days_of_year(year: i32) -> i32 {
    if is_leap(year) { 366 } else { 365 }
}

/// Days of the month `mon`, 0 to 11.
fn days_of_month(year: i32, mon: i32) -> Option<i32> {
    let begin = days_before(year, mon)?;
    Some(days_before(year, mon + 1).unwrap_or(days_of_year(year)) - begin)
}

/// Days from the beginning of the year 1 to that of `year`.
fn days_to(year: i32) -> i64 {
    let past = i64::from(year) - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

/// Days from 1 January 1970 to that of `year`.
fn days_from_1970(year: i32) -> i64 {
    days_to(year) - days_to(1970)
}

impl Tm {
    /// The date of `time`, in seconds since 1970.
    #[doc(alias = "rtc_time64_to_tm")]
    pub(crate) fn from_time(time: u32) -> Self {
        let (days, second) = (i64::from(time) / DAY, i64::from(time) % DAY);
        // CAST: 32 bits of seconds are less than 50,000 days, and a day has less than 100,000 seconds.
        let (days, second) = (days as i32, second as i32);
        // A year has at least 365 days, so this is the year or a later one.
        let mut year = 1970 + days / 365;
        while days_from_1970(year) > i64::from(days) {
            year -= 1;
        }
        // CAST: a day of a year.
        let yday = days - days_from_1970(year) as i32;
        let begins_by = |mon: &i32| days_before(year, *mon).is_some_and(|begin| begin <= yday);
        let mon = (0..12).rev().find(begins_by).unwrap_or(0);
        Self {
            sec: second % 60,
            min: second / 60 % 60,
            hour: second / 3600,
            mday: yday - days_before(year, mon).unwrap_or(0) + 1,
            mon,
            year: year - 1900,
            // 1 January 1970 was a Thursday.
            wday: (days + 4) % 7,
            yday,
            isdst: 0,
        }
    }

    /// Whether there is such a date, from 1970 on.
    #[doc(alias = "rtc_valid_tm")]
    pub(crate) fn is_valid(&self) -> bool {
        let Some(year) = self.year.checked_add(1900).filter(|year| *year >= 1970) else {
            return false;
        };
        let Some(days) = days_of_month(year, self.mon) else { return false };
        (1..=days).contains(&self.mday)
            && (0..24).contains(&self.hour)
            && (0..60).contains(&self.min)
            && (0..60).contains(&self.sec)
    }

    /// Seconds since 1970, of a date that [is one](Self::is_valid); `None` for any other.
    #[doc(alias = "rtc_tm_to_time64")]
    pub(crate) fn to_time(self) -> Option<i64> {
        if !self.is_valid() {
            return None;
        }
        let year = self.year + 1900;
        let day = days_before(year, self.mon)? + self.mday - 1;
        let second = (self.hour * 60 + self.min) * 60 + self.sec;
        Some((days_from_1970(year) + i64::from(day)) * DAY + i64::from(second))
    }

    /// As the kernel hands it in; `None` if the bytes are too few.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = [0; 9];
        for (word, bytes) in words.iter_mut().zip(bytes.get(..TM_BYTES)?.chunks_exact(4)) {
            *word = i32::from_ne_bytes(bytes.try_into().ok()?);
        }
        let [sec, min, hour, mday, mon, year, wday, yday, isdst] = words;
        Some(Self { sec, min, hour, mday, mon, year, wday, yday, isdst })
    }

    /// As the kernel takes it.
    pub(crate) fn to_bytes(self) -> [u8; TM_BYTES] {
        let Self { sec, min, hour, mday, mon, year, wday, yday, isdst } = self;
        let mut bytes = [0; TM_BYTES];
        let words = [sec, min, hour, mday, mon, year, wday, yday, isdst];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// As ISO 8601 has it, without a zone: `2026-11-21T12:00:00`.
impl fmt::Display for Tm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, mon) = (self.year + 1900, self.mon + 1);
        write!(f, "{year:04}-{mon:02}-{:02}T", self.mday)?;
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.min, self.sec)
    }
}

#[cfg(test)]
mod tests;
