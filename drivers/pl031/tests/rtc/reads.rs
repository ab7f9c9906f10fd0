//! What a read gives: the kernel's word to programs, lines to people.

use uio_core::chardev::{CharDevice, PollEvents};
use uio_core::error::Errno;

use super::bench::{Bench, Task, alarms};

#[test]
fn a_word_counts_the_alarms_since_the_last_read() {
    let bench = Bench::new();
    bench.client.assert_silent();
    for _ in 0..3 {
        bench.client.write("+0\n").unwrap();
    }
    assert_eq!(bench.client.word(), alarms(3));
    bench.client.assert_silent();
    bench.client.write("+0\n").unwrap();
    assert_eq!(bench.client.word(), alarms(1));
}

#[test]
fn an_int_or_a_long_and_nothing_else() {
    let bench = Bench::new();
    for room in [1, 3, 5, 7] {
        assert_eq!(bench.client.try_read(room), Err(Errno::EINVAL), "{room}");
    }
    bench.client.write("+0\n").unwrap();
    assert_eq!(bench.client.try_read(4).unwrap(), 0x1A0_u32.to_ne_bytes());
    bench.client.write("+0\n").unwrap();
    assert_eq!(bench.client.try_read(16).unwrap(), 0x1A0_u64.to_ne_bytes());
}

#[test]
fn a_read_waits_for_the_alarm() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    let client = bench.client.clone();
    let reading = Task::start(move || client.word());
    bench.world.advance(9);
    assert!(reading.is_running());
    bench.world.advance(1);
    assert_eq!(reading.finish(), alarms(1));
}

#[test]
fn an_alarm_wakes_every_reader_and_each_counts_for_itself() {
    let bench = Bench::new();
    let clients = [2, 3].map(|handle| bench.another(handle));
    bench.client.write("+10\n").unwrap();
    let readings = clients.clone().map(|client| Task::start(move || client.word()));
    bench.world.advance(10);
    for reading in readings {
        assert_eq!(reading.finish(), alarms(1));
    }
    bench.client.write("+0\n").unwrap();
    assert_eq!(bench.client.word(), alarms(2), "who has not read so far");
    assert_eq!(clients[0].word(), alarms(1));
    let late = bench.another(4);
    late.assert_silent();
}

#[test]
fn poll_tells_of_alarms_that_were_not_read() {
    let bench = Bench::new();
    let poll = || bench.rtc.poll(&bench.client.file);
    assert_eq!(poll(), PollEvents::WRITABLE);
    bench.client.write("+0\n").unwrap();
    assert_eq!(poll(), PollEvents::WRITABLE | PollEvents::READABLE);
    bench.client.word();
    assert_eq!(poll(), PollEvents::WRITABLE);
}

#[test]
fn cat_is_told_the_time_at_once_and_then_every_alarm() {
    let bench = Bench::new();
    assert_eq!(bench.client.line(), "2026-11-21T12:00:00\n");
    assert_eq!(bench.client.try_read(4096), Err(Errno::EAGAIN));
    bench.client.write("+5\n").unwrap();
    let client = bench.client.clone();
    let reading = Task::start(move || client.line());
    bench.world.advance(7);
    assert_eq!(reading.finish(), "2026-11-21T12:00:05 alarm\n", "its time, not that of the reader");
    bench.client.write("+0\n").unwrap();
    bench.client.write("+0\n").unwrap();
    assert_eq!(bench.client.line(), "2026-11-21T12:00:07 2 alarms\n");
    assert_eq!(bench.another(2).line(), "2026-11-21T12:00:07\n");
}

#[test]
fn a_file_that_is_closed_is_forgotten() {
    let bench = Bench::new();
    let client = bench.another(2);
    bench.rtc.release(&client.file);
    assert_eq!(client.try_read(8), Err(Errno::EBADF));
}
