//! VMIN and VTIME: the four ways in which a read may wait.

use std::time::{Duration, Instant};

use uio_core::chardev::{CharDevice, PollEvents};
use uio_core::error::Errno;

use super::bench::{Bench, TIOCINQ, Task, wait_until};

fn with(min: u8, time: u8) -> Bench {
    let bench = Bench::new();
    bench.client.change(|termios| termios.put_min_time(min, time));
    bench
}

fn holds(bench: &Bench, count: i32) {
    wait_until("the input", || bench.client.get(TIOCINQ) == count);
}

#[test]
fn min_0_time_0_returns_what_is_there_at_once() {
    let bench = with(0, 0);
    assert_eq!(bench.client.try_read(10).unwrap(), b"");
    assert_eq!(bench.client.with_flags(libc::O_NONBLOCK).try_read(10).unwrap(), b"");
    assert!(!bench.port.poll(&bench.client.file).contains(PollEvents::IN));
    bench.end.inject(b"abc");
    holds(&bench, 3);
    assert_eq!(bench.client.try_read(10).unwrap(), b"abc");
}

#[test]
fn min_waits_for_so_many_or_for_as_many_as_there_is_room_for() {
    let bench = with(5, 0);
    bench.end.inject(b"123");
    holds(&bench, 3);
    assert!(!bench.port.poll(&bench.client.file).contains(PollEvents::IN), "not enough yet");
    assert_eq!(bench.client.try_read(10), Err(Errno::EAGAIN));
    assert_eq!(bench.client.try_read(2).unwrap(), b"12");
    assert_eq!(bench.client.with_flags(libc::O_NONBLOCK).try_read(10).unwrap(), b"3");
    let client = bench.client.clone();
    let reading = Task::start(move || client.read(10));
    bench.end.inject(b"abcd");
    holds(&bench, 4);
    assert!(reading.is_running());
    bench.end.inject(b"e");
    assert_eq!(reading.finish().unwrap(), b"abcde");
}

#[test]
fn min_0_with_a_time_returns_the_first_byte_or_nothing_when_it_is_over() {
    let bench = with(0, 1);
    let begin = Instant::now();
    assert_eq!(bench.client.read(10).unwrap(), b"");
    assert!(begin.elapsed() >= Duration::from_millis(100));
    assert_eq!(bench.client.with_flags(libc::O_NONBLOCK).try_read(10), Err(Errno::EAGAIN));
    bench.client.change(|termios| termios.put_min_time(0, 255));
    let client = bench.client.clone();
    let reading = Task::start(move || client.read(10));
    bench.end.inject(b"a");
    assert_eq!(reading.finish().unwrap(), b"a");
}

#[test]
fn min_with_a_time_returns_what_came_when_no_more_comes() {
    let bench = with(10, 1);
    let client = bench.client.clone();
    let reading = Task::start(move || client.read(100));
    // The time begins with the first byte.
    bench.end.inject(b"abc");
    assert_eq!(reading.finish().unwrap(), b"abc");
    let client = bench.client.clone();
    let reading = Task::start(move || client.read(100));
    bench.end.inject(b"0123456789");
    assert_eq!(reading.finish().unwrap(), b"0123456789");
}

#[test]
fn a_change_of_the_settings_wakes_who_waits() {
    let bench = with(5, 0);
    let client = bench.client.clone();
    let reading = Task::start(move || client.read(10));
    bench.end.inject(b"1");
    holds(&bench, 1);
    assert!(reading.is_running());
    bench.client.change(|termios| termios.put_min_time(1, 0));
    assert_eq!(reading.finish().unwrap(), b"1");
}
