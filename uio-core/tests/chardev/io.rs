//! Reading and writing: blocking, short, nonblocking, large.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, FlockArg, OFlag, SpliceFFlags, fcntl, splice};

use super::server::Setup;
use super::{Task, in_time};

pub(crate) fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

pub(crate) fn open_nonblocking(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .unwrap()
}

/// One `read(2)`.
pub(crate) fn read_some(mut file: &File, size: usize) -> std::io::Result<Vec<u8>> {
    let mut buf = vec![0; size];
    let count = file.read(&mut buf)?;
    buf.truncate(count);
    Ok(buf)
}

#[test]
fn what_is_written_can_be_read() {
    let server = Setup::new().start();
    let file = open(&server.path);
    (&file).write_all(b"Hello\n").unwrap();
    assert_eq!(read_some(&file, 100).unwrap(), b"Hello\n", "a short read");
}

/// Writes until the ring is full; how many bytes that took.
pub(crate) fn fill(path: &Path) -> usize {
    let mut file = open_nonblocking(path);
    let mut total = 0;
    loop {
        match file.write(&[b'f'; 1000]) {
            Ok(count) => total += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return total;
            }
        }
    }
}

/// A `read(2)` on a thread of its own.
pub(crate) fn start_read(file: &Arc<File>, size: usize) -> Task<std::io::Result<Vec<u8>>> {
    let file = Arc::clone(file);
    Task::start(move || read_some(&file, size))
}

/// A `write(2)` on a thread of its own.
pub(crate) fn start_write(file: &Arc<File>, data: &[u8]) -> Task<std::io::Result<usize>> {
    let (file, data) = (Arc::clone(file), data.to_owned());
    Task::start(move || (&*file).write(&data))
}

#[test]
fn a_blocking_read_waits_for_data() {
    let mut server = Setup::new().start();
    let reader = start_read(&Arc::new(open(&server.path)), 100);
    server.until_readers(1);
    assert!(reader.is_running());
    open(&server.path).write_all(b"late").unwrap();
    assert_eq!(reader.finish().unwrap(), b"late");
    server.until_readers(0);
}

#[test]
fn a_blocking_write_waits_for_room() {
    let mut server = Setup::new().capacity(1000).start();
    fill(&server.path);
    let writer = start_write(&Arc::new(open(&server.path)), b"more");
    server.until_writers(1);
    assert!(writer.is_running());
    let file = open(&server.path);
    assert_eq!(read_some(&file, 1000).unwrap().len(), 1000);
    assert_eq!(writer.finish().unwrap(), 4);
    assert_eq!(read_some(&file, 100).unwrap(), b"more");
}

#[test]
fn a_write_takes_what_there_is_room_for() {
    let server = Setup::new().capacity(1000).start();
    let path = server.path.clone();
    assert_eq!(in_time(move || open(&path).write(&[1; 5000])).unwrap(), 1000);
}

#[test]
fn o_nonblock_by_open_gives_eagain() {
    let server = Setup::new().capacity(1000).start();
    let path = server.path.clone();
    in_time(move || {
        let file = open_nonblocking(&path);
        assert_eq!(read_some(&file, 10).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(fill(&path), 1000);
    });
}

#[test]
fn o_nonblock_by_fcntl_gives_eagain_and_can_be_taken_back() {
    let mut server = Setup::new().start();
    let file = Arc::new(open(&server.path));
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL).unwrap());
    fcntl(&file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    assert_eq!(start_read(&file, 10).finish().unwrap_err().kind(), ErrorKind::WouldBlock);
    fcntl(&file, FcntlArg::F_SETFL(flags)).unwrap();
    let reader = start_read(&file, 10);
    server.until_readers(1);
    open(&server.path).write_all(b"x").unwrap();
    assert_eq!(reader.finish().unwrap(), b"x");
}

#[test]
fn a_read_larger_than_one_request_returns_what_is_there() {
    let server = Setup::new().capacity(1 << 20).start();
    let path = server.path.clone();
    in_time(move || {
        let mut file = open(&path);
        let data: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        for misalignment in [0, 1, 4095] {
            file.write_all(&data).unwrap();
            let mut buf = vec![0; (1 << 20) + misalignment];
            let count = file.read(&mut buf[misalignment..]).unwrap();
            assert_eq!(count, data.len());
            assert_eq!(buf[misalignment..misalignment + count], data);
        }
    });
}

#[test]
fn a_write_larger_than_one_request_arrives_whole() {
    let server = Setup::new().capacity(1 << 22).start();
    let path = server.path.clone();
    in_time(move || {
        let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 241) as u8).collect();
        let mut file = open(&path);
        assert_eq!(file.write(&data).unwrap(), data.len());
        let mut back = vec![0; data.len()];
        file.read_exact(&mut back).unwrap();
        assert!(back == data);
    });
}

#[test]
fn a_large_write_into_a_small_ring_is_short_and_then_blocks() {
    let mut server = Setup::new().capacity(200_000).start();
    let file = Arc::new(open(&server.path));
    assert_eq!(start_write(&file, &vec![1; 1_000_000]).finish().unwrap(), 200_000);
    let writer = start_write(&file, &vec![2; 1_000_000]);
    server.until_writers(1);
    assert_eq!(read_some(&open(&server.path), 1_000).unwrap().len(), 1_000);
    assert_eq!(writer.finish().unwrap(), 1_000);
}

#[test]
fn a_reader_and_a_writer_on_one_descriptor_do_not_block_each_other() {
    let mut server = Setup::new().capacity(1000).start();
    let file = Arc::new(open(&server.path));
    let reader = start_read(&file, 10);
    server.until_readers(1);
    assert_eq!(start_write(&file, b"through").finish().unwrap(), 7);
    assert_eq!(reader.finish().unwrap(), b"through");

    fill(&server.path);
    let writer = start_write(&file, b"w");
    server.until_writers(1);
    assert_eq!(start_read(&file, 1000).finish().unwrap().len(), 1000);
    assert_eq!(writer.finish().unwrap(), 1);
}

#[test]
fn a_nonblocking_writer_does_not_wait_behind_a_blocked_one() {
    let mut server = Setup::new().capacity(1000).start();
    fill(&server.path);
    let blocked = start_write(&Arc::new(open(&server.path)), b"b");
    server.until_writers(1);
    let refused = start_write(&Arc::new(open_nonblocking(&server.path)), b"n").finish();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(blocked.is_running());
    assert_eq!(read_some(&open(&server.path), 1000).unwrap().len(), 1000);
    assert_eq!(blocked.finish().unwrap(), 1);
}

#[test]
fn blocked_readers_are_served_in_order_of_arrival() {
    let mut server = Setup::new().start();
    let readers: Vec<_> = (1..=5)
        .map(|count| {
            let reader = start_read(&Arc::new(open(&server.path)), 1);
            server.until_readers(count);
            reader
        })
        .collect();
    open(&server.path).write_all(b"abcde").unwrap();
    let got: Vec<u8> = readers.into_iter().flat_map(|r| r.finish().unwrap()).collect();
    assert_eq!(got, b"abcde");
}

#[test]
fn appending_and_truncating_are_no_errors() {
    let mut server = Setup::new().capacity(1000).start();
    let appender = OpenOptions::new().append(true).open(&server.path).unwrap();
    let appender = Arc::new(appender);
    assert_eq!(start_write(&appender, b"one").finish().unwrap(), 3);
    assert_eq!(start_write(&appender, b"two").finish().unwrap(), 3);
    std::fs::write(&server.path, b"three").unwrap();
    assert_eq!(read_some(&open(&server.path), 100).unwrap(), b"onetwothree");
    fill(&server.path);
    let blocked = start_write(&appender, b"end");
    server.until_writers(1);
    assert!(blocked.is_running(), "an appending write blocks, too");
    read_some(&open(&server.path), 1000).unwrap();
    assert_eq!(blocked.finish().unwrap(), 3);
}

#[test]
fn a_vector_of_buffers_is_one_call() {
    let server = Setup::new().start();
    let mut file = open(&server.path);
    let pieces = [std::io::IoSlice::new(b"ab"), std::io::IoSlice::new(b"cde")];
    assert_eq!(file.write_vectored(&pieces).unwrap(), 5);
    assert_eq!(read_some(&file, 10).unwrap(), b"abcde");
}

/// Either the kernel lets it through, and it works, or it is refused at once, and programs use `read`.
#[test]
fn splice_out_of_a_node_works_or_is_refused_at_once() {
    let mut server = Setup::new().start();
    let node = Arc::new(open(&server.path));
    let (mut far, near) = std::io::pipe().unwrap();
    let near = Arc::new(near);
    for text in [b"one", b"two", b"six"] {
        let (node, near) = (Arc::clone(&node), Arc::clone(&near));
        let moved =
            Task::start(move || splice(&*node, None, &*near, None, 100, SpliceFFlags::empty()));
        server.until("blocked or refused", |s| s.waiting_readers == 1 || !moved.is_running());
        let path = server.path.clone();
        in_time(move || open(&path).write_all(text).unwrap());
        let mut back = [0; 3];
        match moved.finish() {
            Ok(count) => {
                assert_eq!(count, 3);
                far.read_exact(&mut back).unwrap();
            }
            Err(errno) => {
                assert_eq!(errno, Errno::EINVAL);
                open(&server.path).read_exact(&mut back).unwrap();
            }
        }
        assert_eq!(&back, text);
    }
}

/// `std::io::copy` from a file is `sendfile`.
#[test]
fn sendfile_into_a_node_waits_for_room() {
    const SIZE: usize = 300_000;
    let server = Setup::new().start();
    let path = server.path.clone();
    in_time(move || {
        let data: Vec<u8> = (0..SIZE).map(|n| (n % 239) as u8).collect();
        let source = std::env::temp_dir().join(format!("uiod-test-copy-{}", std::process::id()));
        std::fs::write(&source, &data).unwrap();
        let to_node = open(&path);
        let from_file = File::open(&source).unwrap();
        let into = Task::start(move || std::io::copy(&mut &from_file, &mut &to_node).unwrap());
        let mut back = vec![0; SIZE];
        open(&path).read_exact(&mut back).unwrap();
        assert!(back == data);
        assert_eq!(into.finish(), SIZE as u64);
        std::fs::remove_file(&source).unwrap();
    });
}

#[test]
fn a_read_that_was_split_does_not_wait_for_more() {
    let server = Setup::new().capacity(1 << 22).start();
    let path = server.path.clone();
    in_time(move || {
        // Exactly as much as goes into the first request, for each kind of node.
        for size in [128 << 10, 1 << 20] {
            let mut file = open(&path);
            file.write_all(&vec![5; size]).unwrap();
            let mut got = 0;
            while got < size {
                got += read_some(&file, 3 << 20).unwrap().len();
            }
            assert_eq!(got, size);
        }
    });
}

/// A regular file's lock, which a blocked writer holds, must not hold up those who open the node otherwise.
#[test]
fn nobody_waits_for_a_blocked_writer_but_writers() {
    let mut server = Setup::new().capacity(1000).start();
    fill(&server.path);
    let blocked = start_write(&Arc::new(open(&server.path)), b"1");
    server.until_writers(1);

    let path = server.path.clone();
    let truncating = in_time(move || OpenOptions::new().write(true).truncate(true).open(path));
    let truncating = Arc::new(truncating.unwrap());
    let second = start_write(&truncating, b"2");
    server.until_writers(2);

    let path = server.path.clone();
    let appending = in_time(move || OpenOptions::new().append(true).open(path));
    let third = start_write(&Arc::new(appending.unwrap()), b"3");
    server.until_writers(3);

    let path = server.path.clone();
    in_time(move || std::fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap());
    let refused = start_write(&Arc::new(open_nonblocking(&server.path)), b"n").finish();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::WouldBlock);

    assert_eq!(read_some(&open(&server.path), 1000).unwrap().len(), 1000);
    for writer in [blocked, second, third] {
        assert_eq!(writer.finish().unwrap(), 1);
    }
    assert_eq!(read_some(&open(&server.path), 10).unwrap(), b"123");
}

#[test]
fn flock_keeps_others_out() {
    let server = Setup::new().start();
    let path = server.path.clone();
    in_time(move || {
        let lock = |kind| Flock::lock(open(&path), kind).map_err(|(_, errno)| errno);
        let holder = lock(FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(lock(FlockArg::LockExclusiveNonblock).map(drop), Err(Errno::EAGAIN));
        assert_eq!(lock(FlockArg::LockSharedNonblock).map(drop), Err(Errno::EAGAIN));
        drop(holder);
        let _one = lock(FlockArg::LockSharedNonblock).unwrap();
        let _two = lock(FlockArg::LockSharedNonblock).unwrap();
        assert_eq!(lock(FlockArg::LockExclusiveNonblock).map(drop), Err(Errno::EAGAIN));
    });
}
