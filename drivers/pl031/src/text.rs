//! What the node says to `cat`, and what it understands from `echo`.
//!
//! | written | |
//! | --- | --- |
//! | `2026-11-21T12:00:00` | sets the time; a blank in the place of the `T`, and a `Z` at the end, may be |
//! | `@1795262400` | the same, in seconds since 1970 |
//! | `+5` | arms the alarm, for 5 seconds from now |
//! | `alarm 2026-11-21T12:00:05`, `alarm @1795262405`, `alarm +5` | arms the alarm |
//! | `alarm off` | disarms it |

use uio_core::error::Errno;

use crate::calendar::Tm;

/// A read with at least this room is told in text; one with less is that of a program, and gets a word.
///
/// Programs read an `unsigned long`, or an `int`. `cat`, `head` and shells offer a page or more.
pub(crate) const TEXT_FROM: usize = 64;

/// The longest line that is looked at.
const LONGEST: usize = 64;

/// A time that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Seconds since 1970.
    At(u32),
    /// Seconds from now.
    In(u32),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Set the time, in seconds since 1970.
    SetTime(u32),
    /// Arm the alarm.
    Arm(When),
    /// Disarm it.
    Disarm,
}

/// Why a line is not followed: for the client, and for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) Errno, pub(crate) &'static str);

const UNKNOWN: Refusal = Refusal(
    Errno::EINVAL,
    "write 2026-11-21T12:00:00 or @SECONDS to set the time, +SECONDS to set the alarm, or `alarm` with one of these or `off`",
);
const NO_DATE: Refusal = Refusal(Errno::EINVAL, "there is no such date or time of day");
const TOO_LATE: Refusal =
    Refusal(Errno::ERANGE, "the clock has 32 bits: it goes from 1970 to 2106-02-07T06:28:15");

/// Understands one line, with or without its end.
pub(crate) fn parse(data: &[u8]) -> Result<Command, Refusal> {
    let text = data.get(..data.len().min(LONGEST)).and_then(|data| str::from_utf8(data).ok());
    let line = text.filter(|_| data.len() <= LONGEST).ok_or(UNKNOWN)?.trim();
    let Some(alarm) = line.strip_prefix("alarm") else {
        return match when(line)? {
            When::At(time) => Ok(Command::SetTime(time)),
            later => Ok(Command::Arm(later)),
        };
    };
    match alarm.strip_prefix(' ').ok_or(UNKNOWN)?.trim() {
        "off" => Ok(Command::Disarm),
        time => when(time).map(Command::Arm),
    }
}

fn when(text: &str) -> Result<When, Refusal> {
    if let Some(seconds) = text.strip_prefix('+') {
        return number(seconds).map(When::In);
    }
    match text.strip_prefix('@') {
        Some(seconds) => number(seconds).map(When::At),
        None => date(text).map(When::At),
    }
}

fn number(digits: &str) -> Result<u32, Refusal> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UNKNOWN);
    }
    digits.parse().map_err(|_| TOO_LATE)
}

/// `2026-11-21T12:00:00`: the digits and what is between them stand at fixed places.
fn date(text: &str) -> Result<u32, Refusal> {
    let bytes = text.strip_suffix('Z').unwrap_or(text).as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b' '),
        mark => byte == mark,
    };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return Err(UNKNOWN);
    }
    let digits = |from: usize, to: usize| {
        bytes[from..to].iter().fold(0, |number, digit| number * 10 + i32::from(digit - b'0'))
    };
    let tm = Tm {
        year: digits(0, 4) - 1900,
        mon: digits(5, 7) - 1,
        mday: digits(8, 10),
        hour: digits(11, 13),
        min: digits(14, 16),
        sec: digits(17, 19),
        ..Tm::default()
    };
    u32::try_from(tm.to_time().ok_or(NO_DATE)?).map_err(|_| TOO_LATE)
}

/// The first line of a file: the time.
pub(crate) fn time_line(time: u32) -> String {
    format!("{}\n", Tm::from_time(time))
}

/// A later one: alarms that rang since the last, and the time of the latest.
pub(crate) fn alarm_line(count: u64, at: u32) -> String {
    let at = Tm::from_time(at);
    if count == 1 { format!("{at} alarm\n") } else { format!("{at} {count} alarms\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u32 = 1_795_262_400;

    #[test]
    fn each_form_is_understood_with_and_without_the_end_of_the_line() {
        for (line, command) in [
            ("2026-11-21T12:00:00\n", Command::SetTime(NOON)),
            ("2026-11-21 12:00:00", Command::SetTime(NOON)),
            (" 2026-11-21T12:00:00Z \n", Command::SetTime(NOON)),
            ("@1795262400\n", Command::SetTime(NOON)),
            ("@0", Command::SetTime(0)),
            ("2106-02-07T06:28:15", Command::SetTime(u32::MAX)),
            ("+5\n", Command::Arm(When::In(5))),
            ("alarm +0", Command::Arm(When::In(0))),
            ("alarm 2026-11-21T12:00:00\n", Command::Arm(When::At(NOON))),
            ("alarm  @1795262400", Command::Arm(When::At(NOON))),
            ("alarm off\n", Command::Disarm),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_einval_and_what_is_out_of_range_erange() {
        for line in [
            "",
            "\n",
            "now",
            "12:00",
            "1795262400",
            "-5",
            "+",
            "+5s",
            "+ 5",
            "@",
            "@-1",
            "@1.5",
            "2026-11-21",
            "2026-11-21T12:00",
            "2026-11-21t12:00:00",
            "26-11-21T12:00:00",
            "2026/11/21T12:00:00",
            "2026-11-21T12:00:00+01:00",
            "alarm",
            "alarmoff",
            "alarm on",
            "alarm 5",
            "+5\n+6",
            "2026-11-21T12:00:00 and a line that is far longer than any date can be",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(UNKNOWN), "{line:?}");
        }
        assert_eq!(parse(b"\xFF\xFE"), Err(UNKNOWN));
        for line in [
            "2026-02-30T12:00:00",
            "2026-13-01T00:00:00",
            "2026-11-21T24:00:00",
            "2026-11-21T12:60:00",
            "1969-12-31T23:59:59",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(NO_DATE), "{line:?}");
        }
        for line in ["2106-02-07T06:28:16", "9999-12-31T23:59:59", "@4294967296", "+99999999999"] {
            assert_eq!(parse(line.as_bytes()), Err(TOO_LATE), "{line:?}");
        }
    }

    #[test]
    fn the_time_line_can_be_written_back() {
        assert_eq!(time_line(NOON), "2026-11-21T12:00:00\n");
        assert_eq!(parse(time_line(NOON).as_bytes()), Ok(Command::SetTime(NOON)));
    }

    #[test]
    fn every_line_fits_where_text_is_given() {
        assert_eq!(alarm_line(1, NOON), "2026-11-21T12:00:00 alarm\n");
        assert_eq!(alarm_line(3, NOON), "2026-11-21T12:00:00 3 alarms\n");
        assert!(alarm_line(u64::MAX, u32::MAX).len() <= TEXT_FROM);
    }
}
