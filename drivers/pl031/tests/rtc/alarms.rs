//! Alarms: set, armed, rung once, taken back.

use pl031_model::Options;
use uio_core::error::Errno;
use uio_core::io::Io;

use super::bench::{
    AIE_OFF, AIE_ON, ALM_READ, ALM_SET, Bench, Client, NOON, SET_TIME, Task, WKALM_SET, alarms,
    bare, bytes, drive, tm, wait_until, wkalm,
};

#[test]
fn an_alarm_rings_once_at_its_time_and_is_off_then() {
    let bench = Bench::new();
    bench.client.ioctl(WKALM_SET, &wkalm(true, &tm(12, 0, 10))).unwrap();
    assert_eq!(bench.client.alarm(), (true, tm(12, 0, 10).to_vec()));
    assert!(bench.world.is_unmasked() && bench.world.match_value() == NOON + 10);
    bench.world.advance(9);
    bench.client.assert_silent();
    bench.world.advance(1);
    assert_eq!(bench.client.word(), alarms(1));
    assert_eq!(bench.client.alarm(), (false, tm(12, 0, 10).to_vec()));
    assert!(!bench.world.is_unmasked() && !bench.world.is_raised());
    bench.world.advance(u32::MAX);
    bench.client.assert_silent();
    assert_eq!(bench.world.interrupts(), 1);
}

#[test]
fn an_alarm_for_now_or_before_rings_at_once_and_never_interrupts() {
    let bench = Bench::new();
    for time in [tm(12, 0, 0), tm(11, 59, 59), tm(0, 0, 0)] {
        bench.client.ioctl(WKALM_SET, &wkalm(true, &time)).unwrap();
        assert_eq!(bench.client.word(), alarms(1), "{time:?}");
        assert!(!bench.client.alarm().0 && !bench.world.is_unmasked());
    }
    assert_eq!(bench.world.interrupts(), 0);
}

#[test]
fn an_alarm_that_is_not_enabled_is_kept_and_aie_on_arms_it() {
    let bench = Bench::new();
    bench.client.ioctl(WKALM_SET, &wkalm(false, &tm(12, 0, 10))).unwrap();
    assert_eq!(bench.client.alarm(), (false, tm(12, 0, 10).to_vec()));
    bench.world.advance(5);
    bench.client.ioctl(AIE_ON, &[]).unwrap();
    bench.client.ioctl(AIE_ON, &[]).unwrap();
    bench.world.advance(5);
    assert_eq!(bench.client.word(), alarms(1));
    bench.client.ioctl(AIE_ON, &[]).unwrap();
    assert_eq!(bench.client.word(), alarms(1), "its time is over, as in the kernel");
}

#[test]
fn aie_off_takes_an_alarm_back_and_leaves_its_readers_waiting() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    let client = bench.client.clone();
    let reading = Task::start(move || client.word());
    bench.client.ioctl(AIE_OFF, &[]).unwrap();
    bench.client.ioctl(AIE_OFF, &[]).unwrap();
    assert!(!bench.world.is_unmasked() && !bench.client.alarm().0);
    bench.world.advance(20);
    assert!(reading.is_running());
    assert_eq!(bench.world.interrupts(), 0);
    bench.client.write("+1\n").unwrap();
    bench.world.advance(1);
    assert_eq!(reading.finish(), alarms(1));
}

#[test]
fn alm_set_is_a_time_of_day_today_or_tomorrow_and_does_not_arm() {
    let bench = Bench::new();
    // The date is not looked at.
    let at = |hour, min, sec| bytes(&[sec, min, hour, 1, 0, 70, 0, 0, 0]);
    bench.client.ioctl(ALM_SET, &at(12, 0, 0)).unwrap();
    assert_eq!(bench.client.words(ALM_READ), tm(12, 0, 0), "now is not yet tomorrow");
    bench.client.ioctl(ALM_SET, &at(23, 59, 59)).unwrap();
    assert_eq!(bench.client.words(ALM_READ), tm(23, 59, 59));
    bench.client.ioctl(ALM_SET, &at(11, 59, 59)).unwrap();
    let tomorrow = [59, 59, 11, 22, 10, 126, 0, 325, 0];
    assert_eq!(bench.client.words(ALM_READ), tomorrow);
    assert!(!bench.client.alarm().0 && !bench.world.is_unmasked());
    bench.client.ioctl(AIE_ON, &[]).unwrap();
    bench.world.advance(86_399);
    assert_eq!(bench.client.word(), alarms(1));
    assert_eq!(bench.client.ioctl(ALM_SET, &at(24, 0, 0)), Err(Errno::EINVAL));
}

#[test]
fn alm_set_takes_back_an_alarm_that_was_armed() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    bench.client.ioctl(ALM_SET, &bytes(&tm(12, 0, 20))).unwrap();
    bench.world.advance(30);
    bench.client.assert_silent();
    assert!(!bench.client.alarm().0);
}

#[test]
fn a_new_alarm_takes_the_place_of_the_one_before() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    bench.client.write("alarm 2026-11-21T12:00:20\n").unwrap();
    bench.world.advance(15);
    bench.client.assert_silent();
    bench.client.write("alarm +1\n").unwrap();
    bench.world.advance(1);
    assert_eq!(bench.client.word(), alarms(1));
    bench.world.advance(20);
    bench.client.assert_silent();
}

#[test]
fn an_alarm_that_came_is_not_lost_by_setting_the_next() {
    let bench = Bench::new();
    // As often as the bottom half and the next alarm may come in either order.
    for round in 1..=200 {
        bench.client.write("+1\n").unwrap();
        bench.world.advance(1);
        bench.client.write("+1000\n").unwrap();
        assert_eq!(bench.client.word(), alarms(1), "round {round}");
        assert!(bench.client.alarm().0 && bench.world.is_unmasked());
        bench.client.write("alarm off\n").unwrap();
    }
    bench.client.assert_silent();
}

#[test]
fn an_alarm_beyond_the_counter_is_refused_and_the_one_before_stays() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    let late = [16, 28, 6, 7, 1, 206, 0, 0, 0];
    assert_eq!(bench.client.ioctl(WKALM_SET, &wkalm(true, &late)), Err(Errno::ERANGE));
    assert_eq!(bench.client.write("+4000000000\n"), Err(Errno::ERANGE));
    let no_date = [0, 0, 0, 0, 0, 126, 0, 0, 0];
    assert_eq!(bench.client.ioctl(WKALM_SET, &wkalm(true, &no_date)), Err(Errno::EINVAL));
    bench.world.advance(10);
    assert_eq!(bench.client.word(), alarms(1));
}

#[test]
fn setting_the_time_over_an_armed_alarm_rings_it_at_once() {
    let bench = Bench::new();
    for time in [tm(12, 0, 10), tm(13, 0, 0)] {
        bench.client.ioctl(WKALM_SET, &wkalm(true, &tm(12, 0, 10))).unwrap();
        bench.client.ioctl(SET_TIME, &bytes(&time)).unwrap();
        assert_eq!(bench.client.word(), alarms(1), "{time:?}");
        assert!(!bench.client.alarm().0);
        bench.client.ioctl(SET_TIME, &bytes(&tm(12, 0, 0))).unwrap();
        bench.world.advance(3600);
        bench.client.assert_silent();
        bench.client.ioctl(SET_TIME, &bytes(&tm(12, 0, 0))).unwrap();
    }
}

#[test]
fn an_armed_alarm_keeps_its_time_when_the_clock_is_set_before_it() {
    let bench = Bench::new();
    bench.client.write("+100\n").unwrap();
    bench.client.ioctl(SET_TIME, &bytes(&tm(11, 0, 0))).unwrap();
    bench.world.advance(100);
    bench.client.assert_silent();
    bench.client.ioctl(SET_TIME, &bytes(&tm(12, 1, 30))).unwrap();
    bench.world.advance(9);
    bench.client.assert_silent();
    bench.world.advance(1);
    assert_eq!(bench.client.word(), alarms(1));
}

#[test]
fn an_interrupt_before_its_time_rings_nothing_and_the_alarm_stays() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    bench.world.raise();
    wait_until("the interrupt to be cleared", || !bench.world.is_raised());
    bench.client.assert_silent();
    assert!(bench.client.alarm().0);
    bench.world.advance(10);
    assert_eq!(bench.client.word(), alarms(1));
    bench.client.assert_silent();
}

#[test]
fn an_alarm_that_is_armed_survives_its_driver_only_if_that_was_killed() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    let (device, softirqs) = (bench.device.clone(), bench.softirqs.clone());
    let world = bench.world.clone();
    // A second driver finds what the first has left behind, as after a kill.
    let second = drive(&device, &softirqs).unwrap();
    let client = Client::of(&second, 9);
    assert_eq!(client.alarm(), (true, tm(12, 0, 10).to_vec()));
    drop((client, second));
    assert!(!world.is_unmasked() && world.match_value() == NOON + 10, "a clean end is quiet");
    let third = drive(&device, &softirqs).unwrap();
    let client = Client::of(&third, 9);
    assert_eq!(client.alarm(), (false, tm(12, 0, 10).to_vec()));
}

#[test]
fn an_alarm_of_before_whose_time_is_over_is_off() {
    let options = Options { start: NOON, ..Options::default() };
    let bare = bare(options);
    let regs = bare.device.region(0, 0x1000).unwrap();
    let write = |offset, value| regs.write32(offset, value);
    write(0x04, NOON + 1);
    write(0x10, 1);
    bare.world.advance(5);
    let bench = bare.try_drive().unwrap();
    assert!(!bench.client.alarm().0 && !bench.world.is_unmasked() && !bench.world.is_raised());
    bench.client.assert_silent();
}
