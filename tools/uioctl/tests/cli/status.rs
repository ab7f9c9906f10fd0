//! `uioctl status`, against daemons that answer, refuse, hang, babble or are dead.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};

use super::Run;
use super::fake::{answering, daemon};

const ANSWER: &str = r#"{"version":1,"pid":123,"uptime_ms":312000,"future":[1,2],"devices":[{"name":"uio:uio_dummy","driver":"uio-dummy","state":"running","regions":[{"index":0,"name":"regs","address":4364369920,"size":4096,"offset":0},{"index":1,"name":"fifo","address":null,"size":8192,"offset":0}],"lines":[{"name":"uio0","backend":"uio","masked":false,"raised":1002,"handled":1000,"none":0,"missed":2,"handler_ns":1500000,"handlers":["uio-dummy"]}],"nodes":[{"path":"/dev/uio_dummy0","kind":"cuse","rings":[{"name":"rx","bytes":12,"capacity":65536},{"name":"tx","bytes":0,"capacity":65536}],"openers":2,"waiting_readers":1,"waiting_writers":0,"pollers":3}]}]}"#;

fn status(dir: &Path, args: &[&str]) -> Run {
    // A sysfs without devices, so that those of this machine are not in the answer.
    let here = ["status", "--sysfs", dir.to_str().unwrap(), "--run-dir", dir.to_str().unwrap()];
    Run::with([&here[..], args].concat())
}

#[test]
fn a_daemon_tells_devices_lines_and_nodes() {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 123, ANSWER);
    let text = status(dir.path(), &[]).stdout();
    assert!(
        text.starts_with("uiod 123, up 5 min 12 s\n\n  uio:uio_dummy, driver uio-dummy, running\n"),
        "{text}"
    );
    let words: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[5], ["0", "0x104230000", "4", "KiB", "0x0", "regs"]);
    assert_eq!(words[6], ["1", "-", "8", "KiB", "0x0", "fifo"]);
    assert_eq!(
        words[9],
        ["uio0", "uio", "open", "1002", "1000", "0", "2", "1.5", "us", "uio-dummy"]
    );
    assert_eq!(words[12][..6], ["/dev/uio_dummy0", "cuse", "2", "1", "0", "3"]);
    assert!(text.ends_with("rx 12 of 64 KiB, tx 0 of 64 KiB\n"), "{text}");
}

#[test]
fn json_is_what_the_daemons_said_in_their_words() {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 9, r#"{"version":1,"pid":9}"#);
    answering(dir.path(), 123, ANSWER);
    let text = status(dir.path(), &["--json"]).stdout();
    assert_eq!(text, format!("[{{\"version\":1,\"pid\":9}},{ANSWER}]\n"));
}

#[test]
fn without_a_daemon_it_fails_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path(), &dir.path().join("missing")] {
        let text = status(path, &[]).refusal(1);
        assert!(
            text.starts_with("no daemon is running in") && text.contains("start uiod"),
            "{text}"
        );
    }
    // A dead daemon leaves its socket.
    drop(UnixListener::bind(dir.path().join("control-7.sock")).unwrap());
    status(dir.path(), &["--json"]).refusal(1);
    answering(dir.path(), 8, ANSWER);
    status(dir.path(), &[]).stdout();
}

/// Each has two seconds of its own, at the same time as the others. A busy machine may add to that, but not time after
/// time.
#[test]
fn a_daemon_that_hangs_has_two_seconds_and_hides_no_other() {
    let times = (0..5).map(|_| ask_four_of_which_three_hang());
    let times: Vec<_> = times.take_while(|took| *took >= Duration::from_secs(5)).collect();
    assert!(times.len() < 5, "{times:?}");
}

/// How long it takes.
fn ask_four_of_which_three_hang() -> Duration {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 1, ANSWER);
    daemon(dir.path(), 2, |stream| {
        thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    daemon(dir.path(), 3, |mut stream| {
        // Never an end, and never a silence.
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    // One that has stopped to accept: its queue of connections is full.
    let full = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
    let address = UnixAddr::new(&dir.path().join("control-4.sock")).unwrap();
    bind(full.as_raw_fd(), &address).unwrap();
    listen(&full, Backlog::new(0).unwrap()).unwrap();
    let waiting = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
    connect(waiting.as_raw_fd(), &address).unwrap();

    let started = Instant::now();
    let run = status(dir.path(), &[]);
    let took = started.elapsed();
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("uio:uio_dummy"), "{run:?}");
    let complaints: Vec<_> = run.stderr.lines().collect();
    assert_eq!(complaints.len(), 3, "{run:?}");
    for (pid, line) in (2..).zip(complaints) {
        assert_eq!(
            line,
            format!("uioctl: cannot ask for the status of daemon {pid}: no answer within 2 s")
        );
    }
    took
}

#[test]
fn a_refusal_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 5, r#"{"error":"not now"}"#);
    assert_eq!(status(dir.path(), &[]).refusal(1), "daemon 5 refused: not now");
}

#[test]
fn nonsense_is_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 1, "hello");
    answering(dir.path(), 2, r#"{"devices":7}"#);
    daemon(dir.path(), 3, drop);
    let run = status(dir.path(), &[]);
    assert_eq!((run.code, &*run.stdout), (Some(1), ""));
    assert_eq!(run.stderr.matches("its answer makes no sense").count(), 2, "{run:?}");
    assert!(run.stderr.contains("daemon 3: it hung up without an answer"), "{run:?}");
}
