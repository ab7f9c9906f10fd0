//! Which events the lines make, one by one and several at once.

use pl061_model::{Access, Options};

use super::*;

fn blocks() -> impl Iterator<Item = Rig> {
    [Options::default(), Options::emulated()].into_iter().map(Rig::with)
}

#[test]
fn a_line_tells_the_edges_that_it_was_asked_for() {
    for rig in blocks() {
        let client = rig.client(1);
        client.say("0 in rising; 1 in falling; 2 in both; 3 in");
        // One after the other: what comes at once is told by line, not by time.
        let mut seen = Vec::new();
        for level in [true, false] {
            for line in 0..4 {
                rig.controls.set(line, level);
                let tells = matches!((line, level), (0, true) | (1, false) | (2, _));
                seen.extend(client.events(usize::from(tells)));
            }
        }
        assert_eq!(seen, [(RISING, 0), (RISING, 2), (FALLING, 1), (FALLING, 2)]);
        assert!(!client.is_readable());
    }
}

#[test]
fn events_are_numbered_and_their_time_does_not_go_back() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.say("0,7 in both");
    let before = uio_core::time::ktime_get().as_nanos();
    let mut times = vec![u64::try_from(before).unwrap()];
    for count in 0..40_u32 {
        let line = if count % 4 == 3 { 7 } else { 0 };
        rig.controls.set(line, rig.controls.register(DATA) >> line & 1 == 0);
        let (time, [_, seen, seqno, line_seqno]) = client.timed_event();
        let of_line = if line == 7 { count / 4 + 1 } else { count + 1 - (count + 1) / 4 };
        assert_eq!((seen, seqno, line_seqno), (line.into(), count + 1, of_line));
        times.push(time);
    }
    times.push(u64::try_from(uio_core::time::ktime_get().as_nanos()).unwrap());
    // What converts the counter to time is exact to some microseconds, on a machine that is not disturbed.
    let slack = 50_000_000;
    assert!(times[1..41].is_sorted(), "{times:?}");
    assert!(times[1] + slack >= times[0] && times[40] <= times[41] + slack, "{times:?}");
}

#[test]
fn several_lines_at_once_are_one_interrupt_and_an_event_each() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.say("all in both");
    rig.controls.drive(0xFF, 0xA5);
    let events = client.events(4);
    assert_eq!(events, [(RISING, 0), (RISING, 2), (RISING, 5), (RISING, 7)]);
    assert_eq!(rig.interrupts(), 1);
}

#[test]
fn two_edges_before_the_interrupt_is_taken_are_both_told_where_both_are_asked_for() {
    for rig in blocks() {
        let client = rig.client(1);
        client.say("0 in both; 1 in rising");
        // Nobody looks meanwhile: the block has one latch a line.
        let held = uio_core::irq::hold_delivery();
        rig.controls.set(0, true);
        rig.controls.set(0, false);
        for _ in 0..2 {
            rig.controls.set(1, true);
            rig.controls.set(1, false);
        }
        drop(held);
        let events = client.events(3);
        assert_eq!(events, [(RISING, 0), (FALLING, 0), (RISING, 1)], "two rising edges are one");
        assert!(!client.is_readable());
    }
}

#[test]
fn three_edges_before_the_interrupt_is_taken_are_told_as_one() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.say("0 in both");
    let held = uio_core::irq::hold_delivery();
    [true, false, true].into_iter().for_each(|high| rig.controls.set(0, high));
    drop(held);
    assert_eq!(client.events(1), [(RISING, 0)]);
    rig.controls.set(0, false);
    assert_eq!(client.events(1), [(FALLING, 0)], "what is told alternates");
}

#[test]
fn an_edge_while_the_top_half_looks_is_told_once() {
    for moment in [Access::Read(0x418), Access::Write(IC), Access::Read(DATA)] {
        let rig = Rig::new();
        let client = rig.client(1);
        client.say("0,7 in both");
        rig.controls.drive_after(moment, 1, 0);
        rig.controls.set(0, true);
        assert_eq!(client.events(2), [(RISING, 0), (FALLING, 0)], "{moment:?}");
        // What follows is told after all that was told of line 0.
        rig.controls.set(7, true);
        assert_eq!(client.event(), [RISING, 7, 3, 1], "{moment:?}");
        rig.controls.set(0, true);
        assert_eq!(client.event(), [RISING, 0, 4, 3], "{moment:?}");
    }
}

#[test]
fn a_line_that_never_rests_does_not_hold_the_top_half() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.say("0 in both");
    for _ in 0..20 {
        rig.controls.drive_after(Access::Write(IC), 1, 0);
        rig.controls.drive_after(Access::Write(IC), 1, 1);
    }
    rig.controls.set(0, true);
    eventually("the end of the edges", || rig.controls.orders() == 0);
    let mut last = FALLING;
    eventually("the last edge", || {
        while client.is_readable() {
            let [id, ..] = client.event();
            assert_ne!(id, last, "what is told alternates");
            last = id;
        }
        last == RISING && rig.controls.register(RIS) == 0
    });
    assert!(rig.interrupts() > 3, "it took more than one");
}

#[test]
fn a_level_is_told_once_until_it_is_armed_again() {
    for rig in blocks() {
        let client = rig.client(1);
        client.say("2 in level-high");
        rig.controls.set(2, true);
        assert_eq!(client.event(), [LEVEL_HIGH, 2, 1, 1]);
        // An edge after it would be told after a second one of the level.
        client.say("3 in both");
        rig.controls.set(3, true);
        assert_eq!(client.event(), [RISING, 3, 2, 1]);
        assert_eq!(rig.controls.register(IE) & 0x04, 0, "it is not let through");
        assert_eq!(rig.interrupts(), 2, "no storm");
        client.say("2 in level-high");
        assert_eq!(client.event(), [LEVEL_HIGH, 2, 3, 2], "it is still high");
        rig.controls.set(2, false);
        client.say("2 in level-high");
        rig.controls.set(3, false);
        assert_eq!(client.event(), [FALLING, 3, 4, 2], "it is low");
        client.say("2 in level-low");
        assert_eq!(client.event(), [LEVEL_LOW, 2, 5, 3]);
    }
}

#[test]
fn eight_levels_at_once_are_told_once_each() {
    for rig in blocks() {
        let client = rig.client(1);
        rig.controls.drive(0xFF, 0x0F);
        client.say("0-3 in level-high; 4-7 in level-low");
        let mut lines: Vec<u32> = client.events(8).into_iter().map(|(_, line)| line).collect();
        lines.sort_unstable();
        assert_eq!(lines, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(rig.interrupts() <= 8, "{} interrupts", rig.interrupts());
        assert!(!client.is_readable());
    }
}

#[test]
fn what_happened_before_a_line_was_set_up_is_not_told() {
    let before = |controls: &Controls| {
        controls.drive(0xFF, 0x0F);
        controls.drive(0xFF, 0xF0);
    };
    for options in [Options::default(), Options::emulated()] {
        let rig = Rig::prepared(options, before).unwrap();
        let client = rig.client(1);
        for kind in ["rising", "falling", "both"] {
            client.say(&format!("all in {kind}"));
            // Every change of what is detected looks like an edge to the block.
            client.say("7 in both");
            rig.controls.set(7, rig.controls.register(DATA) & 0x80 == 0);
            assert_eq!(client.event()[1], 7, "{kind}");
            assert!(!client.is_readable(), "{kind}");
        }
    }
}

#[test]
fn an_edge_while_a_line_is_set_up_is_not_told_and_the_next_one_is() {
    for moment in [Access::Write(DIR), Access::Write(IC), Access::Read(0x01 << 2)] {
        let rig = Rig::new();
        let client = rig.client(1);
        rig.controls.drive_after(moment, 1, 1);
        client.say("0 in both");
        rig.controls.set(0, false);
        assert_eq!(client.event(), [FALLING, 0, 1, 1], "{moment:?}");
    }
}

#[test]
fn a_line_that_is_set_up_otherwise_tells_nothing_of_before() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.say("0 in both; 1 in both");
    let held = uio_core::irq::hold_delivery();
    rig.controls.drive(0x03, 0x03);
    client.say("0 out 0");
    drop(held);
    assert_eq!(client.event(), [RISING, 1, 1, 1]);
    assert!(!client.is_readable());
}

#[test]
fn what_the_bottom_half_has_not_told_yet_is_not_told_of_a_line_that_is_set_up_anew() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.say("0,7 in both");
    let held = rig.softirqs.bh_disable();
    rig.controls.set(0, true);
    eventually("the top half", || rig.controls.register(RIS) == 0);
    client.say("0 in both");
    drop(held);
    rig.controls.set(7, true);
    assert_eq!(client.event(), [RISING, 7, 1, 1]);
}

#[test]
fn a_reader_that_is_slow_loses_the_oldest_and_sees_the_gap() {
    let rig = Rig::new();
    let (slow, quick) = (rig.client(1), rig.client(2));
    slow.say("0 in both");
    let many = u32::try_from(crate::journal::CAPACITY).unwrap() + 6;
    for count in 0..many {
        rig.controls.set(0, count % 2 == 0);
        assert_eq!(quick.event()[2], count + 1);
    }
    assert_eq!(slow.event(), [RISING, 0, 7, 7], "six are lost");
    let rest = slow.read(48 * 2048).unwrap();
    assert_eq!(rest.len(), 48 * (crate::journal::CAPACITY - 1));
}

#[test]
fn two_readers_see_the_same() {
    let rig = Rig::new();
    let clients = [rig.client(1), rig.client(2)];
    clients[0].say("3 in both");
    std::thread::scope(|scope| {
        let readers = clients.each_ref().map(|client| scope.spawn(|| client.events(20)));
        // Each change is taken before the next one: so none of them shares a latch.
        let watch = rig.client(3);
        for count in 0..20 {
            rig.controls.set(3, count % 2 == 0);
            watch.event();
        }
        let wanted: Vec<_> =
            (0..20).map(|count| if count % 2 == 0 { (RISING, 3) } else { (FALLING, 3) }).collect();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), wanted);
        }
    });
}
