//! The time: read, set, refused.

use pl031_model::Options;
use uio_core::error::Errno;

use super::bench::{Bench, NOON, OWNER, RD_TIME, SET_TIME, bytes, tm};

#[test]
fn the_time_is_that_of_the_clock() {
    let bench = Bench::new();
    assert_eq!(bench.client.words(RD_TIME), tm(12, 0, 0));
    bench.world.advance(3661);
    assert_eq!(bench.client.words(RD_TIME), tm(13, 1, 1));
}

#[test]
fn the_time_is_set_and_goes_on_from_there() {
    let bench = Bench::new();
    bench.client.ioctl(SET_TIME, &bytes(&tm(18, 30, 0))).unwrap();
    assert_eq!(bench.world.time(), NOON + 6 * 3600 + 1800);
    bench.world.advance(1);
    assert_eq!(bench.client.words(RD_TIME), tm(18, 30, 1));
}

#[test]
fn a_date_that_there_is_not_is_einval_and_one_beyond_the_counter_erange() {
    let bench = Bench::new();
    let set = |words: [i32; 9]| bench.client.ioctl(SET_TIME, &bytes(&words));
    // 30 February, 24:00, before 1970.
    assert_eq!(set([0, 0, 12, 30, 1, 126, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(set([0, 0, 24, 1, 1, 126, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(set([0, 0, 12, 1, 1, 69, 0, 0, 0]), Err(Errno::EINVAL));
    // The counter ends at 2106-02-07T06:28:15.
    assert_eq!(set([16, 28, 6, 7, 1, 206, 0, 0, 0]), Err(Errno::ERANGE));
    assert_eq!(bench.world.time(), NOON, "nothing was changed");
    set([15, 28, 6, 7, 1, 206, 0, 0, 0]).unwrap();
    assert_eq!(bench.world.time(), u32::MAX);
}

#[test]
fn root_and_the_owner_of_the_daemon_may_set_the_time_and_others_may_not() {
    let bench = Bench::new();
    let noon = bytes(&tm(12, 0, 0));
    for user in [0, OWNER] {
        let client = bench.client.with_user(user);
        client.ioctl(SET_TIME, &noon).unwrap();
        client.write("2026-11-21T12:00:00\n").unwrap();
    }
    let other = bench.client.with_user(OWNER + 1);
    assert_eq!(other.ioctl(SET_TIME, &noon), Err(Errno::EACCES));
    assert_eq!(other.write("@5\n"), Err(Errno::EACCES));
    assert_eq!(other.words(RD_TIME), tm(12, 0, 0));
    other.write("+5\n").unwrap();
}

#[test]
fn a_line_sets_the_time_and_one_that_is_not_understood_changes_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.client.write("2026-11-21T18:30:00\n"), Ok(20));
    assert_eq!(bench.client.words(RD_TIME), tm(18, 30, 0));
    assert_eq!(bench.client.write("@1795262400\n"), Ok(12));
    assert_eq!(bench.world.time(), NOON);
    for line in ["now\n", "1795262400\n", "2026-02-30T00:00:00\n", "\n"] {
        assert_eq!(bench.client.write(line), Err(Errno::EINVAL), "{line:?}");
    }
    assert_eq!(bench.client.write("2107-01-01T00:00:00\n"), Err(Errno::ERANGE));
    assert_eq!(bench.world.time(), NOON);
}

#[test]
fn a_clock_that_stands_is_started() {
    let bench = Bench::with(Options { start: 5, started: false, ..Options::default() });
    bench.world.advance(10);
    assert_eq!(bench.world.time(), 15);
}

#[test]
fn what_the_clock_cannot_is_refused_as_the_kernel_does() {
    let bench = Bench::new();
    // RTC_UIE_ON, RTC_PIE_ON.
    for cmd in [0x7003, 0x7005] {
        assert_eq!(bench.client.ioctl(cmd, &[]), Err(Errno::EINVAL), "{cmd:#x}");
    }
    // RTC_UIE_OFF, RTC_PIE_OFF.
    for cmd in [0x7004, 0x7006] {
        assert_eq!(bench.client.ioctl(cmd, &[]), Ok(vec![]), "{cmd:#x}");
    }
    // RTC_IRQP_READ, RTC_EPOCH_READ, RTC_VL_READ, RTC_WIE_ON, TCGETS.
    for cmd in [0x8008_700B, 0x8008_700D, 0x8004_7013, 0x700F, 0x5401] {
        assert_eq!(bench.client.ioctl(cmd, &[]), Err(Errno::ENOTTY), "{cmd:#x}");
    }
    // RTC_IRQP_SET, RTC_EPOCH_SET.
    for cmd in [0x4008_700C, 0x4008_700E] {
        assert_eq!(bench.client.ioctl(cmd, &[0; 8]), Err(Errno::ENOTTY), "{cmd:#x}");
    }
}
