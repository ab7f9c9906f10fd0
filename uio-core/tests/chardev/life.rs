//! How a node comes and goes: names, what is in the way, hang-up, the end, and death.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::io::{fill, open, open_nonblocking, read_some, start_read, start_write};
use super::server::{Setup, is_cuse, mount_point};
use super::{Task, in_time};

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> Errno {
    Errno::from_raw(result.unwrap_err().raw_os_error().unwrap())
}

#[test]
fn hang_up_answers_everybody_at_once() {
    let mut server = Setup::new().capacity(1000).start();
    let file = Arc::new(open(&server.path));
    let reader = start_read(&file, 10);
    server.until_readers(1);
    let poller = {
        let file = Arc::clone(&file);
        Task::start(move || {
            let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::NONE).unwrap();
            fds[0].revents().unwrap()
        })
    };
    server.until("a poller", |s| s.pollers == 1);
    server.ask("hang_up");
    assert_eq!(errno(reader.finish()), Errno::ENODEV);
    assert_eq!(poller.finish(), PollFlags::POLLERR | PollFlags::POLLHUP);

    // And whoever comes later.
    let path = server.path.clone();
    in_time(move || {
        assert_eq!(errno(read_some(&file, 10)), Errno::ENODEV);
        assert_eq!(errno((&*file).write(b"x")), Errno::ENODEV);
        assert_eq!(errno(fs::File::open(&path)), Errno::ENODEV);
        drop(file);
    });
    server.until("released", |s| s.openers == 0 && s.released == 1);
}

#[test]
fn hang_up_answers_a_blocked_writer() {
    let mut server = Setup::new().capacity(1000).start();
    fill(&server.path);
    let writer = start_write(&Arc::new(open(&server.path)), b"x");
    server.until_writers(1);
    server.ask("hang_up");
    assert_eq!(errno(writer.finish()), Errno::ENODEV);
}

#[test]
fn the_end_leaves_nothing_behind_and_nobody_hanging() {
    let setup = Setup::new();
    let mut server = setup.start();
    let file = Arc::new(open(&server.path));
    let reader = start_read(&file, 10);
    server.until_readers(1);
    let with_node = server.stats();
    server.ask("drop");
    assert_eq!(errno(reader.finish()), Errno::ENODEV);
    assert!(!server.path.exists(), "the file is gone");
    let after =
        server.until("the session's thread is gone", |s| s.threads == with_node.threads - 1);
    assert!(after.fds < with_node.fds, "the channel");
    assert_eq!((after.opened, after.released), (1, 1), "every open is released");
    in_time(move || {
        assert!(matches!(errno(read_some(&file, 1)), Errno::ENOTCONN | Errno::ECONNABORTED));
        drop(file);
    });
    // The name is free again.
    setup.start();
}

/// A registration gives a driver that blocks two seconds; one that does not block needs none of them. A busy machine
/// may, but not time after time.
#[test]
fn the_end_waits_for_nobody_but_a_driver_that_blocks() {
    let times = (0..5).map(|_| {
        let mut server = Setup::new().start();
        let file = Arc::new(open(&server.path));
        let reader = start_read(&file, 10);
        server.until_readers(1);
        let milliseconds: u64 = server.ask("drop").parse().unwrap();
        assert_eq!(errno(reader.finish()), Errno::ENODEV);
        milliseconds
    });
    let times: Vec<_> = times.take_while(|milliseconds| *milliseconds >= 2000).collect();
    assert!(times.len() < 5, "{times:?} ms");
}

#[test]
fn closing_does_not_wait_for_the_driver() {
    let mut server = Setup::new().start();
    server.ask("hold_release");
    let file = open(&server.path);
    in_time(move || drop(file));
    assert_eq!(server.stats().released, 0, "the driver is still at it");
    server.ask("let_go");
    server.until("released", |s| s.released == 1);
}

#[test]
fn a_name_that_is_taken_is_refused_and_the_owner_is_named() {
    let setup = Setup::new();
    let first = setup.start();
    let error = setup.try_start().map(|_| ()).unwrap_err();
    assert!(error.contains(first.path.to_str().unwrap()), "{error}");
    let owner = if is_cuse() { "character device".to_owned() } else { first.pid().to_string() };
    assert!(error.contains(&owner), "{error}");
    nothing_left(&error);
    let path = first.path.clone();
    in_time(move || open(&path).write_all(b"still served").unwrap());
    assert_eq!(fs::metadata(&first.path).map(|m| m.is_dir()).ok(), Some(false));
}

/// No thread and no descriptor of a registration that failed.
fn nothing_left(error: &str) {
    assert!(error.ends_with("[nothing left]"), "{error}");
}

#[test]
fn a_foreign_file_is_not_touched() {
    if is_cuse() {
        return;
    }
    let setup = Setup::new();
    let path = setup.dir.join(&setup.name);
    fs::create_dir_all(&setup.dir).unwrap();
    fs::write(&path, "precious").unwrap();
    let error = setup.try_start().map(|_| ()).unwrap_err();
    assert!(error.contains("there is a file of that name already"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    nothing_left(&error);
    fs::remove_file(&path).unwrap();
}

#[test]
fn bad_names_are_refused_with_the_reason() {
    for (name, reason) in [
        ("", "empty"),
        (".", "directory"),
        ("..", "directory"),
        ("a/b", "slash"),
        ("a b", "blank"),
        (&"n".repeat(64), "64 bytes"),
    ] {
        let error =
            Setup { name: name.to_owned(), ..Setup::new() }.try_start().map(|_| ()).unwrap_err();
        assert!(error.contains(reason), "{error}");
        nothing_left(&error);
    }
}

#[test]
fn a_killed_server_ends_its_clients_and_its_name_can_be_used_again() {
    let setup = Setup::new();
    let mut server = setup.start();
    let file = Arc::new(open(&server.path));
    let reader = start_read(&file, 10);
    server.until_readers(1);
    server.kill();
    assert_eq!(errno(reader.finish()), Errno::ECONNABORTED);
    assert_eq!(errno(start_read(&file, 1).finish()), Errno::ENOTCONN);
    if is_cuse() {
        assert!(!server.path.exists());
    } else {
        assert_eq!(errno(fs::metadata(&server.path)), Errno::ENOTCONN, "the mount stays");
    }
    let second = setup.start();
    let path = second.path.clone();
    in_time(move || {
        let file = open_nonblocking(&path);
        (&file).write_all(b"new").unwrap();
        assert_eq!(read_some(&file, 10).unwrap(), b"new");
        assert_eq!(read_some(&file, 10).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_left_over_mount_point_and_link_are_used_again() {
    if is_cuse() {
        return;
    }
    let setup = Setup::new();
    let mut server = setup.start();
    server.kill();
    nix::mount::umount(&mount_point(&server.path)).unwrap();
    assert!(server.path.is_symlink() && mount_point(&server.path).is_dir());
    let mut second = setup.start();
    second.ask("drop");
    assert!(!second.path.is_symlink() && !mount_point(&second.path).exists());
}

#[test]
fn a_mount_point_with_something_in_it_is_not_touched() {
    if is_cuse() {
        return;
    }
    let setup = Setup::new();
    let point = mount_point(&setup.dir.join(&setup.name));
    fs::create_dir_all(&point).unwrap();
    fs::write(point.join("precious"), "").unwrap();
    let error = setup.try_start().map(|_| ()).unwrap_err();
    assert!(error.contains("not empty"), "{error}");
    assert!(point.join("precious").exists());
    fs::remove_dir_all(&point).unwrap();
}

#[test]
fn nodes_of_one_server_directory_do_not_meet() {
    let (first, second) = (Setup::new().start(), Setup::new().start());
    in_time(move || {
        let (first, second) = (open(&first.path), open(&second.path));
        (&first).write_all(b"1").unwrap();
        (&second).write_all(b"2").unwrap();
        assert_eq!(read_some(&first, 10).unwrap(), b"1");
        assert_eq!(read_some(&second, 10).unwrap(), b"2");
    });
}
