//! poll, select and epoll, level- and edge-triggered, for readers and writers.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::select::{FdSet, select};

use super::io::{fill, open, open_nonblocking, read_some};
use super::server::Setup;
use super::{Task, in_time};

/// What the file is ready for now.
fn now(file: &File) -> PollFlags {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).unwrap();
    fds[0].revents().unwrap()
}

/// Waits for `events` on a thread of its own.
fn start_poll(file: &Arc<File>, events: PollFlags) -> Task<PollFlags> {
    let file = Arc::clone(file);
    Task::start(move || {
        let mut fds = [PollFd::new(file.as_fd(), events)];
        poll(&mut fds, PollTimeout::NONE).unwrap();
        fds[0].revents().unwrap()
    })
}

fn epoll(file: &File, flags: EpollFlags) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    epoll.add(file, EpollEvent::new(flags, 1)).unwrap();
    epoll
}

/// What `epoll_wait` reports; empty if there is nothing now.
fn ready(epoll: &Epoll, timeout: EpollTimeout) -> EpollFlags {
    let mut events = [EpollEvent::empty()];
    match epoll.wait(&mut events, timeout).unwrap() {
        0 => EpollFlags::empty(),
        _ => events[0].events(),
    }
}

#[test]
fn poll_tells_what_is_possible_now() {
    let server = Setup::new().capacity(1000).start();
    let file = open(&server.path);
    assert_eq!(now(&file), PollFlags::POLLOUT);
    (&file).write_all(b"x").unwrap();
    assert_eq!(now(&file), PollFlags::POLLOUT | PollFlags::POLLIN);
    fill(&server.path);
    assert_eq!(now(&file), PollFlags::POLLIN);
}

#[test]
fn poll_wakes_a_reader_and_a_writer() {
    let mut server = Setup::new().capacity(1000).start();
    let file = Arc::new(open(&server.path));
    let reader = start_poll(&file, PollFlags::POLLIN);
    server.until("a poller", |s| s.pollers == 1);
    (&*file).write_all(b"x").unwrap();
    assert_eq!(reader.finish(), PollFlags::POLLIN);

    fill(&server.path);
    let writer = start_poll(&file, PollFlags::POLLOUT);
    server.until("a poller", |s| s.pollers == 1);
    read_some(&file, 1000).unwrap();
    assert_eq!(writer.finish(), PollFlags::POLLOUT);
}

#[test]
fn pollers_of_one_file_for_different_events_are_each_woken() {
    let mut server = Setup::new().capacity(1000).start();
    let (file, other) = (Arc::new(open(&server.path)), open(&server.path));
    fill(&server.path);
    let writer = start_poll(&file, PollFlags::POLLOUT);
    server.until("a poller", |s| s.pollers == 1);
    read_some(&other, 1000).unwrap();
    assert_eq!(writer.finish(), PollFlags::POLLOUT);

    let reader = start_poll(&file, PollFlags::POLLIN);
    server.until("a poller", |s| s.pollers == 1);
    let never = start_poll(&file, PollFlags::POLLPRI);
    (&other).write_all(b"x").unwrap();
    assert_eq!(reader.finish(), PollFlags::POLLIN);
    assert!(never.is_running());
    server.ask("hang_up");
    assert!(never.finish().contains(PollFlags::POLLHUP));
}

#[test]
fn a_poll_that_times_out_leaves_nothing_in_the_way() {
    let server = Setup::new().start();
    in_time(move || {
        let file = open(&server.path);
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(10_u8)).unwrap(), 0);
        (&file).write_all(b"x").unwrap();
        assert_eq!(poll(&mut fds, PollTimeout::NONE).unwrap(), 1);
    });
}

#[test]
fn select_wakes_a_reader_and_a_writer() {
    let mut server = Setup::new().capacity(1000).start();
    let file = Arc::new(open(&server.path));
    let waiting = Arc::clone(&file);
    let reader = Task::start(move || {
        let mut set = FdSet::new();
        set.insert(waiting.as_fd());
        select(None, Some(&mut set), None, None, None).unwrap()
    });
    server.until("a poller", |s| s.pollers == 1);
    (&*file).write_all(b"x").unwrap();
    assert_eq!(reader.finish(), 1);

    fill(&server.path);
    let waiting = Arc::clone(&file);
    let writer = Task::start(move || {
        let mut set = FdSet::new();
        set.insert(waiting.as_fd());
        select(None, None, Some(&mut set), None, None).unwrap()
    });
    server.until("a poller", |s| s.pollers == 1);
    read_some(&file, 1000).unwrap();
    assert_eq!(writer.finish(), 1);
}

#[test]
fn level_triggered_epoll_reports_as_long_as_it_is_so() {
    let server = Setup::new().capacity(1000).start();
    in_time(move || {
        let file = open(&server.path);
        let readable = epoll(&file, EpollFlags::EPOLLIN);
        assert!(ready(&readable, EpollTimeout::ZERO).is_empty());
        let waiter = Task::start(move || (ready(&readable, EpollTimeout::NONE), readable));
        (&file).write_all(b"ab").unwrap();
        let (events, readable) = waiter.finish();
        assert_eq!(events, EpollFlags::EPOLLIN);
        read_some(&file, 1).unwrap();
        assert_eq!(ready(&readable, EpollTimeout::NONE), EpollFlags::EPOLLIN);
        read_some(&file, 1).unwrap();
        assert!(ready(&readable, EpollTimeout::ZERO).is_empty());

        let writable = epoll(&file, EpollFlags::EPOLLOUT);
        assert_eq!(ready(&writable, EpollTimeout::ZERO), EpollFlags::EPOLLOUT);
        fill(&server.path);
        assert!(ready(&writable, EpollTimeout::ZERO).is_empty());
        let waiter = Task::start(move || ready(&writable, EpollTimeout::NONE));
        read_some(&file, 1).unwrap();
        assert_eq!(waiter.finish(), EpollFlags::EPOLLOUT);
    });
}

#[test]
fn edge_triggered_epoll_reports_each_arrival_once() {
    let server = Setup::new().capacity(1000).start();
    in_time(move || {
        let file = open(&server.path);
        let epoll = epoll(&file, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
        for _ in 0..100 {
            (&file).write_all(b"a").unwrap();
            assert_eq!(ready(&epoll, EpollTimeout::NONE), EpollFlags::EPOLLIN);
            assert!(ready(&epoll, EpollTimeout::ZERO).is_empty(), "no second report");
            // Not all is read; the next arrival is an edge all the same.
        }
        assert_eq!(read_some(&file, 1000).unwrap().len(), 100);
    });
}

#[test]
fn room_is_no_edge_for_an_edge_triggered_reader() {
    let server = Setup::new().capacity(1000).start();
    in_time(move || {
        let file = open(&server.path);
        (&file).write_all(&[b'a'; 600]).unwrap();
        let epoll = epoll(&file, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
        assert_eq!(ready(&epoll, EpollTimeout::NONE), EpollFlags::EPOLLIN);
        for _ in 0..100 {
            // Makes room and leaves data.
            read_some(&file, 5).unwrap();
            assert!(ready(&epoll, EpollTimeout::ZERO).is_empty(), "told of room");
        }
    });
}

#[test]
fn edge_triggered_epoll_reports_room() {
    let server = Setup::new().capacity(1000).start();
    in_time(move || {
        let file = open_nonblocking(&server.path);
        let epoll = epoll(&file, EpollFlags::EPOLLOUT | EpollFlags::EPOLLET);
        assert_eq!(ready(&epoll, EpollTimeout::ZERO), EpollFlags::EPOLLOUT);
        for _ in 0..50 {
            fill(&server.path);
            read_some(&file, 1000).unwrap();
            assert_eq!(ready(&epoll, EpollTimeout::NONE), EpollFlags::EPOLLOUT);
        }
    });
}

/// An edge-triggered reader that empties the file at every event must see every byte: a lost edge ends it.
#[test]
fn no_edge_is_lost_under_a_stream() {
    const TOTAL: usize = 500_000;
    for threaded in [false, true] {
        let server = Setup { threaded, ..Setup::new() }.start();
        let file = open_nonblocking(&server.path);
        let writer = open(&server.path);
        let progress = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&progress);
        let reader = Task::start(move || {
            let epoll = epoll(&file, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
            while count.load(Ordering::Relaxed) < TOTAL {
                ready(&epoll, EpollTimeout::NONE);
                count.fetch_add(drain(&file), Ordering::Relaxed);
            }
        });
        let writing = Task::start(move || {
            for _ in 0..TOTAL / 500 {
                (&writer).write_all(&[7; 500]).unwrap();
            }
        });
        writing.finish_as_it_goes_on(&progress);
        reader.finish_as_it_goes_on(&progress);
        assert_eq!(progress.load(Ordering::Relaxed), TOTAL);
    }
}

/// Reads until there is nothing more.
fn drain(file: &File) -> usize {
    let mut total = 0;
    loop {
        match read_some(file, 700) {
            Ok(data) => total += data.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return total,
            Err(error) => panic!("{error}"),
        }
    }
}
