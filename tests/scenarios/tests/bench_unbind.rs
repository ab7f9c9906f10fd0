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

/// How long the daemon is watched for threads that spin. It lingers for a second, to answer late-comers.
const WATCH: Duration = Duration::from_millis(600);

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
    assert!(took.iter().all(|took| *took < NEWS), "{took:?}");
    assert_eq!(fd::read(&late, 1), Err(Errno::ENODEV));
    assert_eq!(fd::write(&late, b"x"), Err(Errno::ENODEV));

    assert_no_thread_spins(&daemon);
    let end = daemon.wait_for_end();
    assert_eq!(end.status.code(), Some(1), "{}", end.log);
    assert_eq!(lines_with(&end.log, "is gone").len(), 1, "{}", end.log);
    let message = lines_with(&end.log, "is gone")[0];
    for word in ["uio_dummy", "unbound", "ENODEV", "start uiod again"] {
        assert!(message.contains(word), "{message}");
    }
    assert!(!node.exists());

    module.bind();
    let next = Daemon::start();
    let text = client::shell(next.node(), r#"echo again > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "again\n");
}

fn assert_no_thread_spins(daemon: &Daemon) {
    let before = process::ticks(daemon.pid());
    let window = Instant::now();
    let alive = wait::holds_for(WATCH, || !process::threads(daemon.pid()).is_empty());
    let spent = process::ticks(daemon.pid()).saturating_sub(before);
    let elapsed = window.elapsed();
    println!("{spent} ticks of processor time in {elapsed:.1?}");
    assert!(alive, "the daemon answers late-comers for a second");
    // One thread that spins would take all of one processor.
    let all = process::TICKS_PER_SECOND * u64::try_from(elapsed.as_millis()).unwrap() / 1000;
    assert!(spent < all / 3, "{spent} of {all} ticks");
}

#[test]
fn a_blocked_writer_hears_of_it_too() {
    let module = Module::of_the_bench();
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
    assert!(written_at - start < NEWS && told_at - start < NEWS);
    assert_eq!(daemon.wait_for_end().status.code(), Some(1));
    module.bind();
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
