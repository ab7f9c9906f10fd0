//! A second that ends in the middle of a call: wherever it does, the alarm rings, and once.

use pl031_model::{Comparator, Options};

use super::bench::{
    AIE_ON, Bench, Client, NOON, SET_TIME, Task, WKALM_SET, alarms, bytes, tm, wait_until, wkalm,
};

/// More accesses than any call makes.
const ACCESSES: usize = 16;

/// Has a second end before each access in turn of what `act` does, after `prepare`. The alarm of `act` is for one
/// second past noon, and it is noon when `act` begins.
fn rings_once(prepare: impl Fn(&Client), act: impl Fn(&Client)) {
    for comparator in [Comparator::Equal, Comparator::Step] {
        let bench = Bench::with(Options { start: NOON, comparator, ..Options::default() });
        let mut ended_within = 0;
        for access in 0..ACCESSES {
            bench.client.write("2026-11-21T12:00:00\n").unwrap();
            prepare(&bench.client);
            bench.world.tick_before(access);
            act(&bench.client);
            ended_within += usize::from(!bench.world.tick_is_pending());
            bench.world.tick_before(usize::MAX);
            // A second that ended before the clock was set does not count.
            bench.world.advance(NOON + 1 - bench.world.time());
            assert_eq!(bench.client.word(), alarms(1), "{comparator:?}, access {access}");
            bench.world.advance(5);
            wait_until("a masked line", || !bench.world.is_unmasked());
            bench.client.assert_silent();
        }
        assert!((2..ACCESSES).contains(&ended_within), "{ended_within} accesses were tried");
    }
}

#[test]
fn an_alarm_for_the_next_second_is_never_lost() {
    let alarm = wkalm(true, &tm(12, 0, 1));
    rings_once(|_| {}, |client| drop(client.ioctl(WKALM_SET, &alarm).unwrap()));
}

#[test]
fn nor_one_that_is_armed_by_aie_on() {
    let alarm = wkalm(false, &tm(12, 0, 1));
    rings_once(
        |client| drop(client.ioctl(WKALM_SET, &alarm).unwrap()),
        |client| drop(client.ioctl(AIE_ON, &[]).unwrap()),
    );
}

#[test]
fn nor_one_over_which_the_time_is_set() {
    let alarm = wkalm(true, &tm(12, 0, 1));
    let noon = bytes(&tm(12, 0, 0));
    rings_once(
        |client| {
            client.ioctl(SET_TIME, &bytes(&tm(11, 0, 0))).unwrap();
            client.ioctl(WKALM_SET, &alarm).unwrap();
        },
        |client| drop(client.ioctl(SET_TIME, &noon).unwrap()),
    );
}

#[test]
fn the_interrupt_comes_while_the_alarm_is_set_again_and_again() {
    let bench = Bench::new();
    bench.client.write("+1000000\n").unwrap();
    let setter = bench.another(2);
    let setting = Task::start(move || {
        for _ in 0..2000 {
            setter.write("+1\n").unwrap();
        }
    });
    while setting.is_running() {
        bench.world.advance(1);
    }
    setting.finish();
    // What was armed last is still to come, or has just rung: the alarm works on, and is exact.
    bench.world.advance(2);
    wait_until("the last alarm", || !bench.client.alarm().0);
    bench.client.word();
    bench.client.write("+3\n").unwrap();
    bench.world.advance(3);
    assert_eq!(bench.client.word(), alarms(1));
}
