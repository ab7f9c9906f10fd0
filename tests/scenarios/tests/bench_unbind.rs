//! The device is unbound under a running daemon: its clients hear of it within a second, and the daemon ends.

use std::fs::File;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use scenarios::daemon::{Daemon, Launch};
use scenarios::module::Module;
use scenarios::stream::Pattern;
use scenarios::{client, fd, process, task, wait, world};

/// How long a client may wait for the news.
const NEWS: Duration = Duration::from_secs(1);

/// How long the daemon lingers at the least, to answer late-comers.
const LINGER: Duration = Duration::from_secs(1);

/// How long the daemon has to be watched for threads that spin.
const WATCH: Duration = Duration::from_millis(300);

/// A busy machine may be late now and then, but not so often in a row.
const ATTEMPTS: usize = 5;

/// A call that blocks until the device goes away, and how it ended and when.
fn blocked<T: Send + 'static>(
    file: File,
    call: impl FnOnce(&File) -> T + Send + 'static,
) -> task::Task<(T, Instant)> {
    task::spawn(move || (call(&file), Instant::now()))
}

fn lines_with<'a>(log: &'a str, words: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(words)).collect()
}

#[test]
fn clients_get_enodev_within_a_second_and_the_daemon_ends_with_a_message() {
    let module = Module::of_the_bench();
    assert!((0..ATTEMPTS).any(|_| readers_hear_of_it(&module)), "never within {NEWS:?}");
    let next = Daemon::start();
    let text = client::shell(next.node(), r#"echo again > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "again\n");
}

/// Whether everything was in time.
fn readers_hear_of_it(module: &Module) -> bool {
    let daemon = Daemon::start();
    let node = daemon.node().to_owned();
    let late = fd::both(&node);
    let reading = blocked(fd::reader(&node), |file| fd::read(file, 1));
    let polling = blocked(fd::reader(&node), |file| {
        fd::ready_within(file, PollFlags::POLLIN, wait::DEADLINE)
    });
    daemon.await_readers(1);
    daemon.await_pollers(1);

    let start = Instant::now();
    module.unbind();
    let (read, read_at) = reading.finish("the reader");
    let (told, told_at) = polling.finish("the poller");
    let took = [read_at - start, told_at - start];
    println!("the reader heard of it after {:.1?}, the poller after {:.1?}", took[0], took[1]);
    assert_eq!(read, Err(Errno::ENODEV));
    assert!(told.contains(PollFlags::POLLERR | PollFlags::POLLHUP), "{told:?}");
    let answers = (fd::read(&late, 1), fd::write(&late, b"x"));
    let asked_in_time = start.elapsed() < LINGER;
    if asked_in_time {
        assert_eq!(answers, (Err(Errno::ENODEV), Err(Errno::ENODEV)));
    }
    let watched = no_thread_spins(&daemon, start + LINGER);
    let end = daemon.wait_for_end();
    assert_eq!(end.status.code(), Some(1), "{}", end.log);
    assert_eq!(lines_with(&end.log, "is gone").len(), 1, "{}", end.log);
    let message = lines_with(&end.log, "is gone")[0];
    for word in ["uio_dummy", "unbound", "ENODEV", "start uiod again"] {
        assert!(message.contains(word), "{message}");
    }
    assert!(!node.exists());
    module.bind();
    took.iter().all(|took| *took < NEWS) && asked_in_time && watched
}

/// Fails if one does, and if the daemon ends before `end`. Whether it could be watched for long enough.
fn no_thread_spins(daemon: &Daemon, end: Instant) -> bool {
    let before = process::ticks(daemon.pid());
    let begin = Instant::now();
    let (mut spent, mut elapsed) = (0, Duration::ZERO);
    loop {
        let alive = !process::threads(daemon.pid()).is_empty();
        let ticks = process::ticks(daemon.pid());
        if Instant::now() >= end {
            break;
        }
        assert!(alive, "the daemon answers late-comers for a second");
        (spent, elapsed) = (ticks.saturating_sub(before), begin.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("{spent} ticks of processor time in {elapsed:.1?}");
    if elapsed < WATCH {
        return false;
    }
    // One thread that spins would take all of one processor.
    let all = process::TICKS_PER_SECOND * u64::try_from(elapsed.as_millis()).unwrap() / 1000;
    assert!(spent < all / 3, "{spent} of {all} ticks");
    true
}

#[test]
fn a_blocked_writer_hears_of_it_too() {
    let module = Module::of_the_bench();
    assert!((0..ATTEMPTS).any(|_| writers_hear_of_it(&module)), "never within {NEWS:?}");
}

/// Whether everybody did in time.
fn writers_hear_of_it(module: &Module) -> bool {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let writing = blocked(fd::writer(daemon.node()), |file| fd::write(file, b"x"));
    let polling = blocked(fd::writer(daemon.node()), |file| {
        fd::ready_within(file, PollFlags::POLLOUT, wait::DEADLINE)
    });
    daemon.await_writers(1);
    daemon.await_pollers(1);
    let start = Instant::now();
    module.unbind();
    let (written, written_at) = writing.finish("the writer");
    let (told, told_at) = polling.finish("the poller");
    assert_eq!(written, Err(Errno::ENODEV));
    assert!(told.contains(PollFlags::POLLERR | PollFlags::POLLHUP), "{told:?}");
    assert_eq!(daemon.wait_for_end().status.code(), Some(1));
    module.bind();
    written_at - start < NEWS && told_at - start < NEWS
}

#[test]
fn unbinding_in_full_traffic_harms_nobody() {
    let module = Module::of_the_bench();
    for _ in 0..3 {
        let daemon = Daemon::start();
        let writing = blocked(fd::writer(daemon.node()), |file| {
            let mut pattern = Pattern::new(1);
            while fd::write(file, &pattern.take(1000)).is_ok() {}
        });
        let reading =
            blocked(fd::reader(daemon.node()), |file| while fd::read(file, 1000).is_ok() {});
        wait::until("traffic", || daemon.status().line("raised") > 20);
        module.unbind();
        writing.finish("the writer");
        reading.finish("the reader");
        assert_eq!(daemon.wait_for_end().status.code(), Some(1));
        module.bind();
    }
}

#[test]
fn the_other_devices_of_the_daemon_go_on() {
    let module = Module::of_the_bench();
    let kind = world::node_kind().name();
    let daemon =
        Launch::with(&["run", &world::device(), "sim:uio_dummy", "--node-kind", kind]).start();
    let [gone, stays] = [daemon.nodes()[0].clone(), daemon.nodes()[1].clone()];
    module.unbind();
    wait::until("the node of the device that is gone to go", || !gone.exists());
    let text = client::shell(&stays, r#"echo on > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "on\n");
    assert_eq!(lines_with(&daemon.log(), "is gone").len(), 1, "{}", daemon.log());
    drop(daemon);
    module.bind();
}
