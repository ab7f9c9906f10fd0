//! A test per rule of `include/linux/jiffies.h`, and properties across the wrap.

use proptest::prelude::*;

use super::*;

/// A point anywhere, often beside the wrap.
fn points() -> impl Strategy<Value = Jiffies> {
    prop_oneof![
        any::<u64>(),
        0..1000_u64,
        (0..1000_u64).prop_map(|back| u64::MAX - back),
        Just(i64::MAX as u64),
    ]
    .prop_map(Jiffies)
}

proptest! {
    #[test]
    fn time_after_and_before_hold_across_the_wrap(now in points(), ahead in 1..i64::MAX as u64) {
        let later = now + Jiffies(ahead);
        prop_assert!(later.is_after(now) && later.is_after_eq(now));
        prop_assert!(now.is_before(later) && now.is_before_eq(later));
        prop_assert!(!now.is_after(later) && !now.is_after_eq(later));
        prop_assert!(!later.is_before(now) && !later.is_before_eq(now));
        prop_assert_eq!(later - now, Jiffies(ahead));
        prop_assert!(later.is_in_range(now, later) && now.is_in_range(now, later));
        prop_assert!(!(later + Jiffies(1)).is_in_range(now, later));
    }

    #[test]
    fn a_point_is_neither_after_nor_before_itself(now in points()) {
        prop_assert!(!now.is_after(now) && !now.is_before(now));
        prop_assert!(now.is_after_eq(now) && now.is_before_eq(now));
    }

    #[test]
    fn a_duration_becomes_jiffies_that_are_not_shorter_by_less_than_one(ns in 0..u64::MAX / 4) {
        let span = Duration::from_nanos(ns);
        let back = Duration::from(Jiffies::from(span));
        prop_assert!(back >= span && back - span < Duration::from_nanos(TICK_NSEC));
    }

    #[test]
    fn jiffies_come_back_from_every_unit(count in 0..1_000_000_000_000_u64) {
        let span = Jiffies(count);
        prop_assert_eq!(msecs_to_jiffies(jiffies_to_msecs(span)), span);
        prop_assert_eq!(usecs_to_jiffies(jiffies_to_usecs(span)), span);
        prop_assert_eq!(nsecs_to_jiffies(jiffies_to_nsecs(span)), span);
        prop_assert_eq!(Jiffies::from(Duration::from(span)), span);
    }
}

#[test]
fn msecs_and_usecs_to_jiffies_round_up() {
    assert_eq!(usecs_to_jiffies(0), Jiffies(0));
    assert_eq!(usecs_to_jiffies(1), Jiffies(1));
    assert_eq!(usecs_to_jiffies(TICK_NSEC / 1000 + 1), Jiffies(2));
    assert_eq!(msecs_to_jiffies(1000), Jiffies(HZ));
    assert_eq!(Jiffies::from(Duration::from_nanos(1)), Jiffies(1));
}

#[test]
fn nsecs_to_jiffies_rounds_down() {
    assert_eq!(nsecs_to_jiffies(TICK_NSEC - 1), Jiffies(0));
    assert_eq!(nsecs_to_jiffies(TICK_NSEC), Jiffies(1));
}

#[test]
fn what_is_too_long_becomes_max_jiffy_offset() {
    assert_eq!(msecs_to_jiffies(u64::MAX), MAX_JIFFY_OFFSET);
    assert_eq!(Jiffies::from(Duration::MAX), MAX_JIFFY_OFFSET);
    let now = now_jiffies();
    assert!((now + MAX_JIFFY_OFFSET).is_after(now), "the longest timeout is still to come");
}

#[test]
fn jiffies_advance_with_the_monotonic_clock() {
    let start = now_jiffies();
    let (wait, clock) = (Duration::from_millis(5), std::time::Instant::now());
    while clock.elapsed() < wait {
        std::hint::spin_loop();
    }
    let passed = now_jiffies() - start;
    assert!(passed.0 + 1 >= Jiffies::from(wait).0, "{passed} jiffies in 5 ms");
}

#[test]
fn the_jiffy_of_the_last_tick_is_never_ahead() {
    for _ in 0..10_000 {
        let recent = recent_jiffies();
        assert!(recent.is_before_eq(now_jiffies()));
    }
}

#[test]
fn a_jiffy_has_begun_when_its_nanosecond_has_come() {
    let now = now_jiffies();
    assert!(now.starts_at_ns() <= now_ns(ClockId::Monotonic));
    assert_eq!((now + Jiffies(1)).starts_at_ns() - now.starts_at_ns(), TICK_NSEC as i64);
    assert_eq!(Jiffies(INITIAL).starts_at_ns(), 0);
}

#[test]
fn the_count_starts_five_minutes_before_its_low_half_wraps() {
    assert_eq!((Jiffies(INITIAL) + Jiffies(300 * HZ)).get(), 1 << 32);
}
