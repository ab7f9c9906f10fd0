//! Dates against a model that counts days one by one, over the whole range of the chip's counter.

use proptest::prelude::*;

use super::*;

/// A calendar that only knows what comes after a day.
struct Day {
    year: i32,
    mon: i32,
    mday: i32,
    wday: i32,
    yday: i32,
}

impl Day {
    fn first() -> Self {
        Self { year: 1970, mon: 0, mday: 1, wday: 4, yday: 0 }
    }

    fn length(&self) -> i32 {
        let leap = self.year % 400 == 0 || (self.year % 100 != 0 && self.year % 4 == 0);
        match self.mon {
            1 if leap => 29,
            1 => 28,
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        }
    }

    fn next(&mut self) {
        (self.wday, self.yday, self.mday) = ((self.wday + 1) % 7, self.yday + 1, self.mday + 1);
        if self.mday > self.length() {
            (self.mday, self.mon) = (1, self.mon + 1);
        }
        if self.mon == 12 {
            (self.mon, self.year, self.yday) = (0, self.year + 1, 0);
        }
    }
}

#[test]
fn every_day_of_the_counter_is_that_of_the_calendar_and_leads_back() {
    let mut day = Day::first();
    for number in 0..=u32::MAX / 86_400 {
        let second = number.wrapping_mul(7919) % 86_400;
        // The last day is not whole.
        let Some(time) = (number * 86_400).checked_add(second) else { break };
        let tm = Tm::from_time(time);
        let date = (tm.year + 1900, tm.mon, tm.mday, tm.wday, tm.yday);
        assert_eq!(date, (day.year, day.mon, day.mday, day.wday, day.yday), "day {number}");
        assert_eq!((tm.hour * 60 + tm.min) * 60 + tm.sec, second as i32);
        assert_eq!(tm.to_time(), Some(time.into()));
        day.next();
    }
    assert!(day.year == 2106 && day.mon == 1, "the counter ends in February 2106");
}

#[test]
fn the_ends_of_the_counter() {
    assert_eq!(Tm::from_time(0).to_string(), "1970-01-01T00:00:00");
    assert_eq!(Tm::from_time(u32::MAX).to_string(), "2106-02-07T06:28:15");
    let after = Tm { sec: 16, ..Tm::from_time(u32::MAX) };
    assert_eq!(after.to_time(), Some(1 << 32));
}

#[test]
fn what_is_no_date_has_no_seconds() {
    let good = Tm::from_time(1_709_164_800);
    assert_eq!(good.to_string(), "2024-02-29T00:00:00");
    let wrong = [
        Tm { sec: 60, ..good },
        Tm { sec: -1, ..good },
        Tm { min: 60, ..good },
        Tm { hour: 24, ..good },
        Tm { mday: 0, ..good },
        Tm { mday: 30, ..good },
        Tm { year: 125, ..good },
        Tm { mon: 12, ..good },
        Tm { mon: -1, ..good },
        Tm { year: 69, ..good },
        Tm { year: i32::MAX, ..good },
        Tm { year: i32::MIN, ..good },
    ];
    for tm in wrong {
        assert!(!tm.is_valid() && tm.to_time().is_none(), "{tm:?}");
    }
    assert!(Tm { year: 200, mon: 1, mday: 28, ..good }.is_valid());
    assert!(!Tm { year: 200, ..good }.is_valid(), "2100 is no leap year");
    assert!(Tm { year: 100, ..good }.is_valid(), "2000 is one");
}

#[test]
fn days_of_the_week_and_the_year_are_not_looked_at() {
    let tm = Tm { wday: -1, yday: -1, isdst: -1, ..Tm::from_time(86_400) };
    assert_eq!(tm.to_time(), Some(86_400));
}

#[test]
fn the_bytes_are_nine_ints() {
    let tm = Tm::from_time(1_000_000_000);
    let bytes = tm.to_bytes();
    assert_eq!(bytes.len(), 36);
    assert_eq!(bytes[20..24], 101_i32.to_ne_bytes(), "the year stands sixth");
    assert_eq!(Tm::from_bytes(&bytes), Some(tm));
    assert_eq!(Tm::from_bytes(&bytes[..35]), None);
}

proptest! {
    #[test]
    fn any_second_leads_back_and_the_next_one_is_later(time in any::<u32>()) {
        let tm = Tm::from_time(time);
        prop_assert!(tm.is_valid());
        prop_assert_eq!(tm.to_time(), Some(i64::from(time)));
        if let Some(next) = time.checked_add(1) {
            let fields = |tm: Tm| (tm.year, tm.mon, tm.mday, tm.hour, tm.min, tm.sec);
            prop_assert!(fields(tm) < fields(Tm::from_time(next)));
        }
    }

    #[test]
    fn what_any_client_hands_in_is_a_date_or_refused(bytes in any::<[u8; TM_BYTES]>()) {
        let tm = Tm::from_bytes(&bytes).unwrap();
        prop_assert_eq!(tm.to_time().is_some(), tm.is_valid());
        prop_assert_eq!(tm.to_bytes(), bytes);
    }
}
