//! poll, select and epoll, by level and by edge, wake readers and writers, and miss nothing.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::select::{FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};
use scenarios::daemon::Daemon;
use scenarios::stream::Pattern;
use scenarios::{fd, task, wait};

/// Long enough to see an event that must not come, short enough to wait for it.
const SHORT: Duration = Duration::from_millis(200);

const IN: PollFlags = PollFlags::POLLIN;
const OUT: PollFlags = PollFlags::POLLOUT;

#[test]
fn poll_tells_what_would_not_block() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    let all = IN | OUT | PollFlags::POLLRDNORM | PollFlags::POLLWRNORM;
    assert_eq!(fd::ready(&file, all), OUT | PollFlags::POLLWRNORM);
    assert_eq!(fd::write(&file, b"x"), Ok(1));
    wait::until("a byte to read", || fd::ready(&file, all) == all);
    assert_eq!(fd::read(&file, 9), Ok(b"x".to_vec()));
    assert_eq!(fd::ready(&file, all), OUT | PollFlags::POLLWRNORM);
    fd::fill(daemon.node(), &mut Pattern::new(0));
    assert_eq!(fd::ready(&file, all), IN | PollFlags::POLLRDNORM);
}

#[test]
fn a_poller_is_woken_by_bytes() {
    let daemon = Daemon::start();
    let file = fd::reader(daemon.node());
    let polling = task::spawn(move || fd::ready_within(&file, IN, wait::DEADLINE));
    daemon.await_pollers(1);
    assert_eq!(fd::write(&fd::writer(daemon.node()), b"x"), Ok(1));
    assert_eq!(polling.finish("poll"), IN);
}

#[test]
fn a_poller_is_woken_by_room() {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let file = fd::writer(daemon.node());
    let polling = task::spawn(move || fd::ready_within(&file, OUT, wait::DEADLINE));
    daemon.await_pollers(1);
    assert!(!polling.is_finished());
    assert_eq!(fd::read(&fd::reader(daemon.node()), 65536).map(|bytes| bytes.len()), Ok(65536));
    assert_eq!(polling.finish("poll"), OUT);
}

#[test]
fn select_tells_both_directions() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    assert_eq!(select_now(&file), (false, true));
    fd::fill(daemon.node(), &mut Pattern::new(0));
    assert_eq!(select_now(&file), (true, false));
}

fn select_now(file: &File) -> (bool, bool) {
    let (mut readable, mut writable) = (FdSet::new(), FdSet::new());
    readable.insert(file.as_fd());
    writable.insert(file.as_fd());
    select(None, &mut readable, &mut writable, None, &mut TimeVal::zero()).unwrap();
    (readable.contains(file.as_fd()), writable.contains(file.as_fd()))
}

#[test]
fn select_is_woken_by_bytes() {
    let daemon = Daemon::start();
    let file = fd::reader(daemon.node());
    let selecting = task::spawn(move || {
        let mut readable = FdSet::new();
        readable.insert(file.as_fd());
        let mut timeout = TimeVal::seconds(i64::try_from(wait::DEADLINE.as_secs()).unwrap());
        let count = select(None, &mut readable, None, None, &mut timeout);
        count.map(|count| (count, readable.contains(file.as_fd())))
    });
    daemon.await_pollers(1);
    assert_eq!(fd::write(&fd::writer(daemon.node()), b"x"), Ok(1));
    assert_eq!(selecting.finish("select"), Ok((1, true)));
}

/// An epoll set with one file in it.
struct Watch {
    set: Epoll,
    file: File,
}

impl Watch {
    fn new(file: File, events: EpollFlags) -> Self {
        let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        set.add(&file, EpollEvent::new(events, 0)).unwrap();
        Self { set, file }
    }

    /// The events that come within `span`; none if the time passed.
    fn wait(&self, span: Duration) -> EpollFlags {
        let mut events = [EpollEvent::empty()];
        let timeout = EpollTimeout::try_from(span).unwrap();
        match self.set.wait(&mut events, timeout).unwrap() {
            0 => EpollFlags::empty(),
            _ => events[0].events(),
        }
    }
}

#[test]
fn epoll_by_level_tells_as_long_as_there_are_bytes() {
    let daemon = Daemon::start();
    let watch = Watch::new(fd::nonblocking(daemon.node()), EpollFlags::EPOLLIN);
    assert!(watch.wait(Duration::ZERO).is_empty());
    assert_eq!(fd::write(&watch.file, b"ab"), Ok(2));
    for _ in 0..2 {
        assert_eq!(watch.wait(wait::DEADLINE), EpollFlags::EPOLLIN);
        assert_eq!(watch.wait(wait::DEADLINE), EpollFlags::EPOLLIN);
        assert_eq!(fd::read(&watch.file, 1).map(|bytes| bytes.len()), Ok(1));
    }
    assert!(watch.wait(Duration::ZERO).is_empty());
}

#[test]
fn epoll_by_edge_tells_of_each_arrival_and_not_again_without_one() {
    let daemon = Daemon::start();
    let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    let watch = Watch::new(fd::nonblocking(daemon.node()), events);
    assert!(watch.wait(Duration::ZERO).is_empty());
    for number in 1..=3 {
        // Not read in between: the next arrival is an edge all the same.
        assert_eq!(fd::write(&watch.file, b"x"), Ok(1));
        assert_eq!(watch.wait(wait::DEADLINE), EpollFlags::EPOLLIN);
        wait::until("its arrival", || daemon.status().ring("rx") == number);
        // The kernel has one queue for both directions of such a file: room for the writer shows as an edge,
        // too, once there is something to read. But nothing comes out of nothing.
        wait::until("quiet", || watch.wait(SHORT).is_empty());
        assert!(watch.wait(SHORT).is_empty());
    }
}

#[test]
fn epoll_by_edge_tells_a_writer_when_there_is_room_again() {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let events = EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
    let watch = Watch::new(fd::nonblocking(daemon.node()), events);
    assert!(watch.wait(SHORT).is_empty());
    assert_eq!(fd::read(&watch.file, 65536).map(|bytes| bytes.len()), Ok(65536));
    assert_eq!(watch.wait(wait::DEADLINE), EpollFlags::EPOLLOUT);
}

#[test]
fn no_edge_is_lost_in_a_storm_of_small_writes() {
    const BYTES: usize = 20_000;
    let daemon = Daemon::start();
    let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    let watch = Watch::new(fd::nonblocking(daemon.node()), events);
    let writer = fd::writer(daemon.node());
    let writing = task::spawn(move || {
        let mut pattern = Pattern::new(3);
        let mut left = BYTES;
        while left > 0 {
            let count = (left % 13 + 1).min(left);
            let piece = pattern.take(count);
            // Far more room than bytes: a write is never short here.
            assert_eq!(fd::write(&writer, &piece), Ok(count));
            left -= count;
        }
    });
    let reading = task::spawn(move || {
        let (mut pattern, mut seen) = (Pattern::new(3), 0);
        while seen < BYTES {
            assert_eq!(watch.wait(wait::DEADLINE), EpollFlags::EPOLLIN, "after {seen} bytes");
            loop {
                match fd::read(&watch.file, 512) {
                    Ok(bytes) => {
                        pattern.check(&bytes);
                        seen += bytes.len();
                    }
                    Err(errno) => {
                        assert_eq!(errno, Errno::EAGAIN);
                        break;
                    }
                }
            }
        }
    });
    writing.finish("the writer");
    reading.finish("the reader, who waits for every edge");
}
