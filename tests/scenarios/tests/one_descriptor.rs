//! One descriptor for both directions, descriptors that are closed, and what may be asked of one.

use std::time::Instant;

use nix::poll::PollFlags;
use scenarios::client::Client;
use scenarios::daemon::Daemon;
use scenarios::stream::Pattern;
use scenarios::world::{self, Kind};
use scenarios::{fd, task, wait};

#[test]
fn a_blocked_reader_does_not_hold_up_a_writer() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    let reading = {
        let file = file.try_clone().unwrap();
        task::spawn(move || fd::read(&file, 100))
    };
    daemon.await_readers(1);
    let writing = task::spawn(move || fd::write(&file, b"duplex"));
    assert_eq!(writing.finish("a write beside a blocked read"), Ok(6));
    assert_eq!(reading.finish("the read"), Ok(b"duplex".to_vec()));
}

#[test]
fn a_blocked_writer_does_not_hold_up_a_reader() {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let file = fd::both(daemon.node());
    let writing = {
        let file = file.try_clone().unwrap();
        task::spawn(move || fd::write(&file, b"x"))
    };
    daemon.await_writers(1);
    let reading = task::spawn(move || fd::read(&file, 100));
    assert_eq!(reading.finish("a read beside a blocked write"), Ok(Pattern::new(0).take(100)));
    assert_eq!(writing.finish("the write"), Ok(1));
}

#[test]
fn close_does_not_wait_for_anybody() {
    let daemon = Daemon::start();
    let blocked = fd::reader(daemon.node());
    let reading = task::spawn(move || fd::read(&blocked, 1));
    daemon.await_readers(1);
    let node = daemon.node().to_owned();
    let closing = task::spawn(move || {
        let start = Instant::now();
        for _ in 0..100 {
            let file = fd::nonblocking(&node);
            let copy = file.try_clone().unwrap();
            fd::ready(&copy, PollFlags::POLLIN);
            drop((file, copy));
        }
        start.elapsed()
    });
    let took = closing.finish("a hundred times open and close");
    assert!(took < wait::SOON, "{took:?}");
    wait::until("a hundred releases", || daemon.status().node("openers") == 1);
    assert_eq!(fd::write(&fd::writer(daemon.node()), b"x"), Ok(1));
    assert_eq!(reading.finish("the reader"), Ok(b"x".to_vec()));
}

#[test]
fn closing_a_copy_closes_nothing() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    drop(file.try_clone().unwrap());
    assert_eq!(fd::write(&file, b"x"), Ok(1));
    assert_eq!(fd::read(&file, 1), Ok(b"x".to_vec()));
    assert_eq!(daemon.status().node("openers"), 1);
}

#[test]
fn a_process_that_ends_with_the_node_open_is_let_go() {
    let daemon = Daemon::start();
    let holder = Client::shell(daemon.node(), r#"exec 5<> "$NODE"; echo open; exec sleep 1000"#);
    wait::until("the open", || daemon.status().node("openers") == 1);
    holder.signal(nix::sys::signal::Signal::SIGKILL);
    let start = Instant::now();
    holder.finish("a killed process");
    assert!(start.elapsed() < wait::SOON);
    wait::until("its release", || daemon.status().node("openers") == 0);
}

#[test]
fn fionread_tells_the_bytes_where_it_reaches_us() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    assert_eq!(rustix::io::ioctl_fionread(&file), Ok(0));
    assert_eq!(fd::write(&file, b"twelve bytes"), Ok(12));
    wait::until("the bytes", || daemon.status().ring("rx") == 12);
    let told = match world::node_kind() {
        Kind::Cuse => 12,
        // On a regular file the kernel answers by itself, from a size that says 0: see the README.
        Kind::Fuse => 0,
    };
    assert_eq!(rustix::io::ioctl_fionread(&file), Ok(told));
}

#[test]
fn an_ioctl_that_the_device_does_not_know_is_refused() {
    let daemon = Daemon::start();
    // TCGETS: what isatty(3) asks.
    let error = rustix::termios::tcgetattr(fd::both(daemon.node())).unwrap_err();
    assert_eq!(error, rustix::io::Errno::NOTTY);
}
