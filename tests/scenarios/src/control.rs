//! The control socket: JSON lines, as `docs/control.md` has them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::daemon::Daemon;
use crate::wait;

/// What asks for the status.
pub const STATUS: &str = r#"{"request":"status"}"#;

/// A conversation with a daemon.
#[derive(Debug)]
pub struct Control(BufReader<UnixStream>);

impl Control {
    /// Connects to the socket.
    ///
    /// # Panics
    ///
    /// If nobody listens.
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display()));
        stream.set_read_timeout(Some(wait::DEADLINE)).expect("a deadline");
        Self(BufReader::new(stream))
    }

    /// Sends a line, and takes the answer's.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub fn ask(&mut self, line: &str) -> Value {
        self.send(format!("{line}\n").as_bytes());
        self.answer().expect("an answer")
    }

    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// If the daemon takes none.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("the daemon takes requests");
    }

    /// The next answer; none if the daemon hung up.
    ///
    /// # Panics
    ///
    /// If it is not JSON.
    pub fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        let count = self.0.read_line(&mut line).unwrap_or(0);
        (count > 0).then(|| serde_json::from_str(&line).expect("an answer is JSON"))
    }
}

/// What a daemon says about itself.
#[derive(Debug, Clone)]
pub struct Status(pub Value);

impl Status {
    /// The number at a JSON pointer.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn number(&self, at: &str) -> u64 {
        let number = self.0.pointer(at).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no number at {at}: {:#}", self.0))
    }

    /// The text at a JSON pointer.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn text(&self, at: &str) -> &str {
        let text = self.0.pointer(at).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no text at {at}: {:#}", self.0))
    }

    /// A count of the first device's line: `raised`, `handled`, `none`, `missed`.
    pub fn line(&self, count: &str) -> u64 {
        self.number(&format!("/devices/0/lines/0/{count}"))
    }

    /// A count of the first device's node: `openers`, `waiting_readers`, `waiting_writers`, `pollers`.
    pub fn node(&self, count: &str) -> u64 {
        self.number(&format!("/devices/0/nodes/0/{count}"))
    }

    /// Bytes in a ring of the first device: `rx`, `tx`.
    ///
    /// # Panics
    ///
    /// If it has no such ring.
    pub fn ring(&self, name: &str) -> u64 {
        let rings = self.0.pointer("/devices/0/nodes/0/rings").and_then(Value::as_array);
        let ring = rings.into_iter().flatten().find(|ring| ring["name"] == name);
        ring.and_then(|ring| ring["bytes"].as_u64()).unwrap_or_else(|| panic!("no ring {name}"))
    }

    /// A count of a softirq of the first dispatcher: `runs`, `time_ns`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn softirq(&self, name: &str, count: &str) -> u64 {
        let vectors = self.0.pointer("/softirqs/0/vectors").and_then(Value::as_array);
        let vector = vectors.into_iter().flatten().find(|vector| vector["name"] == name);
        vector.and_then(|vector| vector[count].as_u64()).unwrap_or_else(|| panic!("no {name}"))
    }
}

impl Daemon {
    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.home().run().join(format!("control-{}.sock", self.pid()))
    }

    /// What it says about itself.
    pub fn status(&self) -> Status {
        Status(Control::connect(&self.socket()).ask(STATUS))
    }

    /// Waits until so many clients are blocked in read.
    pub fn await_readers(&self, count: u64) {
        let what = format!("{count} blocked readers");
        wait::until(&what, || self.status().node("waiting_readers") == count);
    }

    /// Waits until so many clients are blocked in write.
    pub fn await_writers(&self, count: u64) {
        let what = format!("{count} blocked writers");
        wait::until(&what, || self.status().node("waiting_writers") == count);
    }

    /// Waits until so many open files are polled.
    pub fn await_pollers(&self, count: u64) {
        let what = format!("{count} pollers");
        wait::until(&what, || self.status().node("pollers") == count);
    }
}
