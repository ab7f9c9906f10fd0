//! Daemons that are none: a socket, one client, and whatever a test wants it to be told.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A daemon for one client, which does as `serve` says after it has read the request.
pub(super) fn daemon(dir: &Path, pid: u32, serve: impl FnOnce(UnixStream) + Send + 'static) {
    let listener = UnixListener::bind(dir.join(format!("control-{pid}.sock"))).unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        assert_eq!(request, "{\"request\":\"status\"}\n");
        serve(stream);
    });
}

/// A daemon that gives one client this answer.
pub(super) fn answering(dir: &Path, pid: u32, answer: &'static str) {
    daemon(dir, pid, move |mut stream| {
        // In two parts, as a long answer comes.
        let (first, second) = answer.split_at(answer.len() / 2);
        stream.write_all(first.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(20));
        stream.write_all(second.as_bytes()).unwrap();
        stream.write_all(b"\n").unwrap();
    });
}
