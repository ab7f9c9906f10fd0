//! Signals reach a client that is blocked: `EINTR` from a handler, the end from those that end it.

use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use scenarios::client::Client;
use scenarios::daemon::Daemon;
use scenarios::fd::{self, EVERYTHING};
use scenarios::stream::Pattern;
use scenarios::{client, task, wait};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Has a signal handled, with `SA_RESTART`, for the rest of this process.
///
/// (The story in `python.rs` does without it.)
fn handle(kind: SignalKind) {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let _inside = runtime.enter();
    drop(signal(kind).unwrap());
}

#[test]
fn a_handler_gives_a_blocked_reader_eintr_even_with_sa_restart() {
    handle(SignalKind::user_defined1());
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    let reading = {
        let file = file.try_clone().unwrap();
        task::spawn(move || fd::read(&file, 100))
    };
    daemon.await_readers(1);
    reading.signal(Signal::SIGUSR1);
    assert_eq!(reading.finish("the interrupted read"), Err(Errno::EINTR));
    assert_eq!(daemon.status().node("waiting_readers"), 0);
    assert_eq!(fd::write(&file, b"still there"), Ok(11));
    assert_eq!(fd::read(&file, 100), Ok(b"still there".to_vec()));
}

#[test]
fn a_handler_gives_a_blocked_writer_eintr_and_nothing_of_it_was_written() {
    handle(SignalKind::user_defined1());
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let file = fd::writer(daemon.node());
    let writing = task::spawn(move || fd::write(&file, b"never"));
    daemon.await_writers(1);
    writing.signal(Signal::SIGUSR1);
    assert_eq!(writing.finish("the interrupted write"), Err(Errno::EINTR));
    drain(&daemon);
}

#[test]
fn only_the_one_that_is_signalled_is_interrupted() {
    handle(SignalKind::user_defined1());
    let daemon = Daemon::start();
    let mut readers = Vec::new();
    for number in 1..=3 {
        let file = fd::reader(daemon.node());
        readers.push(task::spawn(move || fd::read(&file, 1)));
        daemon.await_readers(number);
    }
    let second = readers.remove(1);
    second.signal(Signal::SIGUSR1);
    assert_eq!(second.finish("the one in the middle"), Err(Errno::EINTR));
    daemon.await_readers(2);
    assert_eq!(fd::write(&fd::writer(daemon.node()), b"ab"), Ok(2));
    let read: Vec<_> =
        readers.into_iter().map(|reader| reader.finish("the others").unwrap()).collect();
    assert_eq!(read, [b"a", b"b"], "in the order in which they came");
}

#[test]
fn a_blocked_reader_can_be_ended() {
    have_clients_take_sigint();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let daemon = Daemon::start();
        let cat = Client::shell(daemon.node(), r#"exec cat "$NODE""#);
        daemon.await_readers(1);
        end(cat, signal);
        let status = daemon.status();
        assert_eq!(status.node("waiting_readers"), 0);
        wait::until("its close", || daemon.status().node("openers") == 0);
        assert_eq!(client::shell(daemon.node(), "echo on > $NODE; head -n1 $NODE").text(), "on\n");
    }
}

#[test]
fn a_blocked_writer_can_be_ended() {
    have_clients_take_sigint();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let daemon = Daemon::start();
        fd::fill(daemon.node(), &mut Pattern::new(0));
        let echo = Client::shell(daemon.node(), r#"exec dd if=/dev/zero of="$NODE""#);
        daemon.await_writers(1);
        end(echo, signal);
        assert_eq!(daemon.status().node("waiting_writers"), 0);
        wait::until("its close", || daemon.status().node("openers") == 0);
        drain(&daemon);
    }
}

#[test]
fn a_reader_that_was_stopped_goes_on() {
    let daemon = Daemon::start();
    let mut dd = Client::shell(daemon.node(), r#"exec dd if="$NODE" bs=100 count=1"#);
    daemon.await_readers(1);
    dd.signal(Signal::SIGSTOP);
    // The kernel takes the request back when the client stops.
    daemon.await_readers(0);
    dd.signal(Signal::SIGCONT);
    wait::until("the reader is back, or at its end", || {
        dd.has_ended() || daemon.status().node("waiting_readers") == 1
    });
    client::shell(daemon.node(), r#"echo on > "$NODE""#).text();
    assert_eq!(dd.finish("dd").text(), "on\n");
}

fn end(client: Client, signal: Signal) {
    let start = Instant::now();
    client.signal(signal);
    let ended = client.finish("the end of a blocked client");
    let took = start.elapsed();
    // busybox's dd catches nothing, coreutils' dd prints its counts at SIGINT and ends by it.
    assert_eq!(ended.signal(), Some(signal as i32));
    assert!(took < wait::SOON, "{signal} took {took:?}");
}

/// Takes everything out: what `fill` put in, and nothing else.
fn drain(daemon: &Daemon) {
    Pattern::new(0).check(&fd::read_exactly(daemon.node(), EVERYTHING));
    let status = daemon.status();
    assert_eq!((status.ring("rx"), status.ring("tx")), (0, 0));
    assert_eq!(fd::read(&fd::nonblocking(daemon.node()), 1), Err(Errno::EAGAIN));
}

/// What runs in the background of a shell inherits SIGINT ignored, and so would our clients. What is handled
/// here is at its default there.
fn have_clients_take_sigint() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    if ignored & 1 << (Signal::SIGINT as u32 - 1) != 0 {
        handle(SignalKind::interrupt());
    }
}
