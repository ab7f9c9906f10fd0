//! Reads wait for bytes, writes wait for room, and both return as soon as there is any.

use nix::errno::Errno;
use scenarios::daemon::Daemon;
use scenarios::fd::{self, EVERYTHING};
use scenarios::stream::Pattern;
use scenarios::task;

#[test]
fn a_read_waits_for_bytes_and_returns_those_that_are_there() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    let reading = {
        let file = file.try_clone().unwrap();
        task::spawn(move || fd::read(&file, 4096))
    };
    daemon.await_readers(1);
    assert!(!reading.is_finished());
    assert_eq!(fd::write(&file, b"Hello"), Ok(5));
    assert_eq!(reading.finish("the read"), Ok(b"Hello".to_vec()));
    assert_eq!(daemon.status().node("waiting_readers"), 0);
}

#[test]
fn a_short_buffer_takes_a_part_and_leaves_the_rest() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    assert_eq!(fd::write(&file, b"Hello, World"), Ok(12));
    for part in [&b"Hel"[..], b"lo,", b" Wo", b"rld"] {
        assert_eq!(fd::read(&file, 3).unwrap(), part);
    }
    fd::set_nonblocking(&file, true);
    assert_eq!(fd::read(&file, 3), Err(Errno::EAGAIN));
}

#[test]
fn nothing_asked_nothing_waited_for() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    let nothing = task::spawn(move || (fd::read(&file, 0), fd::write(&file, b"")));
    assert_eq!(nothing.finish("a read and a write of 0 bytes"), (Ok(vec![]), Ok(0)));
}

#[test]
fn a_write_waits_for_room_and_no_byte_is_lost() {
    const LATE: usize = 10_000;
    let daemon = Daemon::start();
    let mut sent = Pattern::new(0);
    let mut expected = sent.clone();
    fd::fill(daemon.node(), &mut sent);
    let status = daemon.status();
    assert_eq!((status.ring("rx"), status.ring("tx")), (65536, 65536));

    let file = fd::writer(daemon.node());
    let writing = task::spawn(move || {
        let late = sent.take(LATE);
        let mut written = 0;
        while written < LATE {
            written += fd::write(&file, &late[written..]).unwrap();
        }
    });
    daemon.await_writers(1);
    expected.check(&fd::read_exactly(daemon.node(), EVERYTHING + LATE));
    writing.finish("the write");
}

#[test]
fn one_byte_read_makes_room_for_a_writer_at_the_far_end() {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let writing = {
        let file = fd::writer(daemon.node());
        task::spawn(move || fd::write(&file, b"x"))
    };
    daemon.await_writers(1);
    assert_eq!(fd::read(&fd::reader(daemon.node()), 1).unwrap().len(), 1);
    assert_eq!(writing.finish("the write of the byte for which there is room"), Ok(1));
}
