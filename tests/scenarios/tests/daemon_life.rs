//! From start to end: what the daemon says, how it ends, and how the next one finds things.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use scenarios::client;
use scenarios::daemon::{Daemon, Launch};
use scenarios::stream::Pattern;
use scenarios::world::{self, Kind};
use scenarios::{fd, task, wait};

#[test]
fn the_banner_says_what_was_taken_and_what_to_try() {
    let daemon = Daemon::start();
    let (log, node) = (daemon.log(), daemon.node().display().to_string());
    let kind = if world::node_kind() == Kind::Cuse { "CUSE" } else { "FUSE" };
    for words in [
        "driver uio-dummy".to_owned(),
        "region 0 regs     4 KiB".to_owned(),
        "region 1 fifo     128 KiB".to_owned(),
        "taken by uio-dummy".to_owned(),
        format!("node {node} ({kind})"),
        format!("uioctl status --run-dir {}", daemon.home().run().display()),
    ] {
        assert!(log.contains(&words), "`{words}` is not in:\n{log}");
    }
    // What it says to try works as it stands: one command waits for what the other writes.
    let tries = log.lines().skip_while(|line| !line.starts_with("Try"));
    let tries: Vec<_> = tries.filter(|line| line.contains(&node)).map(str::trim).collect();
    assert_eq!(tries.len(), 2, "{log}");
    let mut reading = client::script(daemon.node(), &format!("exec {}", tries[0]));
    let out = daemon.home().path().join("out");
    reading.stdout(fs::File::create(&out).unwrap());
    let mut reading = reading.spawn().unwrap();
    daemon.await_readers(1);
    client::shell(daemon.node(), tries[1]).text();
    wait::until("Hello", || fs::read_to_string(&out).is_ok_and(|text| text == "Hello\n"));
    reading.kill().unwrap();
    reading.wait().unwrap();
}

#[test]
fn a_clean_end_says_nothing_that_alarms() {
    for _ in 0..5 {
        let end = Daemon::start().end(Signal::SIGTERM);
        end.assert_clean();
        let alarms: Vec<_> = end
            .log
            .lines()
            .filter(|line| line.contains("WARN") || line.contains("ERROR"))
            .collect();
        assert!(alarms.is_empty(), "{alarms:?}");
    }
}

#[test]
fn without_arguments_the_embedded_default_runs() {
    let daemon = Launch::with(&["--node-kind", "fuse"]).start();
    assert_eq!(daemon.status().text("/devices/0/name"), "sim:uio_dummy");
    let text = client::shell(daemon.node(), r#"echo Hello > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "Hello\n");
}

#[test]
fn sigint_and_sigterm_end_it_cleanly_and_answer_everybody() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let daemon = Daemon::start();
        let (home, node) = (daemon.home().clone(), daemon.node().to_owned());
        let file = fd::reader(&node);
        let reading = task::spawn(move || fd::read(&file, 1));
        let file = fd::reader(&node);
        let polling =
            task::spawn(move || fd::ready_within(&file, PollFlags::POLLIN, wait::DEADLINE));
        daemon.await_readers(1);
        daemon.await_pollers(1);

        let end = daemon.end(signal);
        end.assert_clean();
        assert!(end.took < wait::SOON, "{signal} took {:?}", end.took);
        assert_eq!(reading.finish("the reader"), Err(Errno::ENODEV));
        let told = polling.finish("the poller");
        assert!(told.contains(PollFlags::POLLERR), "{told:?}");
        assert_eq!(home.leftovers(), Vec::<String>::new());
        assert_eq!(gone(&node), io::ErrorKind::NotFound);
    }
}

#[test]
fn a_blocked_writer_is_answered_too() {
    let daemon = Daemon::start();
    fd::fill(daemon.node(), &mut Pattern::new(0));
    let file = fd::writer(daemon.node());
    let writing = task::spawn(move || fd::write(&file, b"x"));
    daemon.await_writers(1);
    daemon.end(Signal::SIGTERM).assert_clean();
    assert_eq!(writing.finish("the writer"), Err(Errno::ENODEV));
}

#[test]
fn a_client_that_keeps_the_node_open_does_not_keep_the_daemon() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    daemon.end(Signal::SIGTERM).assert_clean();
    let error = fd::read(&file, 1).unwrap_err();
    assert!(matches!(error, Errno::ENODEV | Errno::ENOTCONN | Errno::ECONNABORTED), "{error}");
}

#[test]
fn a_second_signal_does_not_hold_it_up() {
    for (first, second) in [(Signal::SIGINT, Signal::SIGINT), (Signal::SIGTERM, Signal::SIGINT)] {
        let daemon = Daemon::start();
        daemon.signal(first);
        let end = daemon.end(second);
        // 0: the first was quicker. Else the second ended it at once; which one that was, if both came
        // before it looked, is not told.
        let code = end.status.code();
        let codes = [0, 128 + first as i32, 128 + second as i32].map(Some);
        assert!(codes.contains(&code), "{code:?}: {}", end.log);
        assert!(end.took < wait::SOON, "{:?}", end.took);
    }
}

#[test]
fn the_next_daemon_clears_up_after_one_that_was_killed() {
    let dead = Daemon::start();
    let (home, node, socket) = (dead.home().clone(), dead.node().to_owned(), dead.socket());
    let file = fd::reader(&node);
    let reading = task::spawn(move || (fd::read(&file, 1), fd::read(&file, 1)));
    dead.await_readers(1);
    dead.end(Signal::SIGKILL);
    let (first, then) = reading.finish("the reader of a dead daemon");
    assert_eq!(first, Err(Errno::ECONNABORTED));
    // ECONNABORTED as long as the kernel is at it, ENOTCONN from then on.
    assert!(matches!(then, Err(Errno::ENOTCONN | Errno::ECONNABORTED)), "{then:?}");
    assert!(socket.exists(), "a daemon that was killed sweeps nothing");
    if world::node_kind() == Kind::Fuse {
        wait::until("the mount of the dead, which stays", || {
            fs::metadata(&node).is_err_and(|error| fd::errno(&error) == Errno::ENOTCONN)
        });
    }

    let next = Launch::new().home(&home).start();
    assert_eq!(next.node(), node);
    assert!(!socket.exists(), "the socket of the dead is swept");
    let text = client::shell(&node, r#"echo again > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "again\n");
}

#[test]
fn several_devices_run_in_one_daemon() {
    let launch = Launch::with(&["run"]);
    let kind = world::node_kind().name();
    let config = launch.home_ref().file(
        "uiod.toml",
        &format!(
            "log = 'warn'\nnode-kind = '{kind}'\n\
             [[device]]\ndevice = '{}'\nnode = 'first'\n\
             [[device]]\ndevice = 'sim:uio_dummy'\nmode = '600'\n\
             [[device]]\ndevice = 'sim:uio_dummy'\nnode = 'third'\ndriver = 'uio-dummy'\n",
            world::device()
        ),
    );
    let daemon = launch.flag("--config", config).start();
    let names: Vec<_> = daemon.nodes().iter().filter_map(|node| node.file_name()).collect();
    assert_eq!(names, ["first", "uio_dummy1", "third"]);
    let nodes: BTreeSet<_> = daemon.nodes().iter().collect();
    assert_eq!(nodes.len(), 3);
    for (number, node) in daemon.nodes().iter().enumerate() {
        // Each gives back what it was given, and not what another was.
        fd::write(&fd::writer(node), format!("device {number}").as_bytes()).unwrap();
    }
    for (number, node) in daemon.nodes().iter().enumerate() {
        assert_eq!(fd::read_exactly(node, 8), format!("device {number}").as_bytes());
    }
    let status = daemon.status();
    assert_eq!(status.0["devices"].as_array().map(Vec::len), Some(3));
}

#[test]
fn what_is_logged_can_be_chosen() {
    let quiet = Launch::new().flag("--log", "error").start();
    let end = quiet.end(Signal::SIGTERM);
    end.assert_clean();
    assert!(!end.log.contains("ending"), "{}", end.log);
    let end = Launch::new().flag("--log", "info").start().end(Signal::SIGTERM);
    assert!(end.log.contains("ending"), "{}", end.log);
}

fn gone(node: &std::path::Path) -> io::ErrorKind {
    fs::symlink_metadata(node).expect_err("the node is gone").kind()
}
