//! `uioctl poke`, as the daemon sees it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::Run;

/// A daemon that answers two requests, and tells what they were.
fn daemon(dir: &Path, answers: [Value; 2]) -> JoinHandle<Vec<Value>> {
    let listener = UnixListener::bind(dir.join("control-9.sock")).unwrap();
    thread::spawn(move || {
        let serve = |answer: Value| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            writeln!(stream, "{answer}").unwrap();
            serde_json::from_str(&request).unwrap()
        };
        answers.into_iter().map(serve).collect()
    })
}

fn map() -> Value {
    json!({
        "device": "0000:00:03.0 (1234:11e8)",
        "regions": [{ "index": 0, "name": "bar0", "size": 4096 }],
        "registers": [{ "region": 0, "name": "IrqAck", "offset": 0x64, "width": 4, "access": "wo" }],
    })
}

fn run(dir: &Path, args: &[&str]) -> Run {
    Run::with([args, &["--run-dir", dir.to_str().unwrap()]].concat())
}

#[test]
fn a_poke_reads_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), [map(), json!({ "done": true })]);
    let text = run(dir.path(), &["poke", "pci:00:03.0", "irqack", "1"]).stdout();
    assert!(text.contains("IrqAck") && text.contains("uiod 9"), "{text}");
    let requests = daemon.join().unwrap();
    assert_eq!(requests[0], json!({ "request": "registers", "device": "pci:0000:00:03.0" }));
    let poke = json!({
        "request": "poke", "device": "pci:0000:00:03.0",
        "region": 0, "offset": 0x64, "width": 4, "value": 1,
    });
    assert_eq!(requests[1], poke);
}

#[test]
fn what_the_daemon_refuses_is_told_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), [map(), json!({ "error": "the device is gone" })]);
    let text = run(dir.path(), &["peek", "pci:00:03.0", "0:0"]).refusal(1);
    assert!(text.contains("the device is gone") && text.contains("daemon 9"), "{text}");
    assert_eq!(daemon.join().unwrap().len(), 2);
}

#[test]
fn a_register_that_must_not_be_read_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let _daemon = daemon(dir.path(), [map(), json!({})]);
    let text = run(dir.path(), &["peek", "pci:00:03.0", "IrqAck"]).refusal(1);
    assert!(text.contains("write-only") && text.contains("0:0x64"), "{text}");
}

#[test]
fn bad_words_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["peek", "uio0", "0:0"][..],
        &["peek", "uio:uio0", "0:x"],
        &["peek", "uio:uio0", "0:0", "--width", "12"],
        &["peek", "uio:uio0", "0:0", "--count", "0"],
        &["poke", "uio:uio0", "0:0", "-1"],
        &["poke", "uio:uio0", "0:0"],
    ] {
        let run = run(dir.path(), args);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}: {}", run.stderr);
    }
}
