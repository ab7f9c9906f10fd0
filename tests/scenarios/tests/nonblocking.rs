//! `O_NONBLOCK`, by open and by fcntl: nothing to read and no room to write is `EAGAIN`, at once.

use std::fs::File;

use nix::errno::Errno;
use scenarios::daemon::Daemon;
use scenarios::stream::Pattern;
use scenarios::{fd, task};

/// A read beside the story: one that blocks in spite of all fails by its deadline.
fn read(file: &File) -> Result<Vec<u8>, Errno> {
    let file = file.try_clone().unwrap();
    task::spawn(move || fd::read(&file, 100)).finish("a read that may not block")
}

fn write(file: &File) -> Result<usize, Errno> {
    let file = file.try_clone().unwrap();
    task::spawn(move || fd::write(&file, b"byte")).finish("a write that may not block")
}

#[test]
fn an_empty_node_says_eagain_to_who_opened_it_so() {
    let daemon = Daemon::start();
    let file = fd::nonblocking(daemon.node());
    assert_eq!(read(&file), Err(Errno::EAGAIN));
    assert_eq!(write(&file), Ok(4));
    let mut bytes = Vec::new();
    scenarios::wait::until("the bytes", || {
        bytes.extend(read(&file).unwrap_or_default());
        bytes == b"byte"
    });
    assert_eq!(read(&file), Err(Errno::EAGAIN));
}

#[test]
fn fcntl_turns_it_on_and_off_on_an_open_file() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    fd::set_nonblocking(&file, true);
    assert_eq!(read(&file), Err(Errno::EAGAIN));
    fd::set_nonblocking(&file, false);
    let reading = {
        let file = file.try_clone().unwrap();
        task::spawn(move || fd::read(&file, 100))
    };
    daemon.await_readers(1);
    assert_eq!(fd::write(&file, b"x"), Ok(1));
    assert_eq!(reading.finish("a read that may block"), Ok(b"x".to_vec()));
}

#[test]
fn it_belongs_to_the_open_file_and_not_to_the_node() {
    let daemon = Daemon::start();
    let (patient, hasty) = (fd::reader(daemon.node()), fd::nonblocking(daemon.node()));
    let reading = task::spawn(move || fd::read(&patient, 100));
    daemon.await_readers(1);
    assert_eq!(read(&hasty), Err(Errno::EAGAIN));
    assert_eq!(write(&hasty), Ok(4));
    assert_eq!(reading.finish("the patient reader"), Ok(b"byte".to_vec()));
}

#[test]
fn a_full_node_says_eagain_to_writers() {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let by_open = fd::nonblocking(daemon.node());
    assert_eq!(write(&by_open), Err(Errno::EAGAIN));
    let by_fcntl = fd::both(daemon.node());
    fd::set_nonblocking(&by_fcntl, true);
    assert_eq!(write(&by_fcntl), Err(Errno::EAGAIN));
    assert_eq!(read(&by_fcntl).map(|bytes| bytes.len()), Ok(100));
    scenarios::wait::until("room", || write(&by_open).is_ok());
}

#[test]
fn a_writer_that_does_not_wait_is_not_held_up_by_one_that_does() {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let (patient, hasty) = (fd::writer(daemon.node()), fd::nonblocking(daemon.node()));
    let writing = task::spawn(move || fd::write(&patient, b"later"));
    daemon.await_writers(1);
    assert_eq!(write(&hasty), Err(Errno::EAGAIN));
    assert!(!writing.is_finished());
    assert_eq!(read(&hasty).map(|bytes| bytes.len()), Ok(100));
    assert_eq!(writing.finish("the patient writer"), Ok(5));
}
