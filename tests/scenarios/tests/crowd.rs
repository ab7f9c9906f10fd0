//! A thousand blocked readers hold no thread of the daemon, and none of them is forgotten.

use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use scenarios::daemon::Daemon;
use scenarios::{fd, process, task};

const READERS: u64 = 1000;

/// Readers that share an open file: the limit of open files is often 1024.
const PER_FILE: u64 = 100;

fn crowd(daemon: &Daemon) -> Vec<task::Task<Result<Vec<u8>, Errno>>> {
    let mut readers = Vec::new();
    for _ in 0..READERS / PER_FILE {
        let file = Arc::new(fd::reader(daemon.node()));
        for _ in 0..PER_FILE {
            let file = Arc::clone(&file);
            readers.push(task::spawn(move || fd::read(&file, 1)));
        }
    }
    daemon.await_readers(READERS);
    readers
}

#[test]
fn a_thousand_blocked_readers_hold_no_thread() {
    let daemon = Daemon::start();
    let before = process::threads(daemon.pid()).len();
    let readers = crowd(&daemon);
    assert_eq!(process::threads(daemon.pid()).len(), before);
    assert_eq!(daemon.status().node("openers"), READERS / PER_FILE);

    daemon.end(Signal::SIGTERM).assert_clean();
    for reader in readers {
        assert_eq!(reader.finish("a reader, when the daemon ends"), Err(Errno::ENODEV));
    }
}

#[test]
fn a_thousand_readers_get_a_byte_each() {
    let daemon = Daemon::start();
    let readers = crowd(&daemon);
    let bytes: Vec<u8> = (0..READERS).map(|number| (number % 251) as u8).collect();
    assert_eq!(fd::write(&fd::writer(daemon.node()), &bytes), Ok(bytes.len()));
    let mut read: Vec<u8> =
        readers.into_iter().map(|reader| reader.finish("a reader").unwrap()[0]).collect();
    let mut sent = bytes;
    read.sort_unstable();
    sent.sort_unstable();
    assert_eq!(read, sent);
    assert_eq!(daemon.status().node("waiting_readers"), 0);
}
