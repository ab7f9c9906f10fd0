//! Asking running daemons: the control protocol as a client speaks it.
//!
//! Each daemon listens on `<run dir>/control-<pid>.sock`. A client writes one line of JSON,
//! `{"request":"status"}`, and reads one line back: [`Status`], or `{"error":"text"}`. Fields that this
//! program does not know are passed over, and fields that a daemon does not send read as empty, so that the
//! two may differ in age.
//!
//! [`sockets`] finds the daemons, [`ask`] asks one. Everything has a deadline: a daemon that hangs must not
//! hang the tool that is to find out why.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde::{Deserialize, Serialize};

/// How long a daemon may take for connection and answer together.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// An answer that is longer comes from no daemon of ours.
const ANSWER_LIMIT: usize = 16 << 20;

/// The sockets in a run directory and the process that each belongs to, by process. No directory, no sockets.
pub(crate) fn sockets(run_dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(run_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let pid = name.to_str()?.strip_prefix("control-")?.strip_suffix(".sock")?;
            Some((pid.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// Writes one request and reads one line of answer, all within [`DEADLINE`].
///
/// # Errors
///
/// `ConnectionRefused` and `NotFound` when nobody listens, `TimedOut` at the deadline.
pub(crate) fn ask(path: &Path, request: &str) -> io::Result<String> {
    let deadline = Instant::now() + DEADLINE;
    let mut stream = connect_by(path, deadline)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(name_timeout)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        let read = match stream.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(name_timeout)?,
        };
        if let Some(end) = chunk[..read].iter().position(|&byte| byte == b'\n') {
            answer.extend_from_slice(&chunk[..end]);
            break;
        }
        answer.extend_from_slice(&chunk[..read]);
        if read == 0 && answer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it hung up without an answer",
            ));
        } else if read == 0 {
            break;
        } else if answer.len() > ANSWER_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer does not end"));
        }
    }
    String::from_utf8(answer)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its answer is no text"))
}

/// A connection by the deadline. A blocking connect waits without one for a daemon that does not accept, so
/// this one does not block: the kernel says `EAGAIN` while the queue is full (`unix(7)`).
fn connect_by(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let address = UnixAddr::new(path)?;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let stream = UnixStream::from(fd);
    loop {
        match connect(std::os::fd::AsRawFd::as_raw_fd(&stream), &address) {
            Ok(()) => break,
            Err(Errno::EAGAIN) => {
                thread::sleep(Duration::from_millis(10).min(remaining(deadline)?));
            }
            Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno.into()),
        }
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// The time left, which is never zero: the socket would take that for no limit.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(timed_out()),
        left => Ok(left),
    }
}

/// A socket's timeout looks like `EAGAIN`.
fn name_timeout(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { timed_out() } else { error }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", DEADLINE.as_secs()))
}

/// What a daemon answers to `status`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// Set in place of everything else when the request failed.
    pub(crate) error: Option<String>,
    pub(crate) uptime_ms: u64,
    pub(crate) devices: Vec<DeviceStatus>,
    /// One for each dispatcher; none if the daemon is too old to tell.
    pub(crate) softirqs: Vec<SoftirqStatus>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SoftirqStatus {
    /// The `N` of its `ksoftirqd/N`.
    pub(crate) dispatcher: u64,
    pub(crate) vectors: Vec<VectorStatus>,
    pub(crate) ksoftirqd: KsoftirqdStatus,
    /// How often polling stopped with work left.
    pub(crate) squeezed: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct VectorStatus {
    pub(crate) name: String,
    /// Rounds in which it ran.
    pub(crate) runs: u64,
    pub(crate) time_ns: u64,
    /// Raised and not yet run.
    pub(crate) pending: bool,
    /// It panicked, and is not run any more.
    pub(crate) broken: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KsoftirqdStatus {
    /// Whether it runs the softirqs now.
    pub(crate) active: bool,
    pub(crate) taken_over: u64,
    pub(crate) turns: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceStatus {
    pub(crate) name: String,
    pub(crate) driver: String,
    /// `running`, or `gone` after unbind or unplug.
    pub(crate) state: String,
    pub(crate) regions: Vec<RegionStatus>,
    pub(crate) lines: Vec<LineStatus>,
    pub(crate) nodes: Vec<NodeStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RegionStatus {
    pub(crate) index: u64,
    pub(crate) name: String,
    /// Physical; none for a simulated device.
    pub(crate) address: Option<u64>,
    pub(crate) size: u64,
    pub(crate) offset: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LineStatus {
    pub(crate) name: String,
    pub(crate) backend: String,
    pub(crate) masked: bool,
    /// Events that the device raised.
    pub(crate) raised: u64,
    /// Dispatches that some handler took.
    pub(crate) handled: u64,
    /// Dispatches that no handler took.
    pub(crate) none: u64,
    /// Events that came while one was being dispatched, and were dispatched with it.
    pub(crate) missed: u64,
    /// Time in handlers, all together.
    pub(crate) handler_ns: u64,
    pub(crate) handlers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    pub(crate) path: String,
    /// `cuse` or `fuse`.
    pub(crate) kind: String,
    pub(crate) rings: Vec<RingStatus>,
    pub(crate) openers: u64,
    pub(crate) waiting_readers: u64,
    pub(crate) waiting_writers: u64,
    pub(crate) pollers: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RingStatus {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) capacity: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_may_be_missing_and_unknown() {
        let status: Status = serde_json::from_str(
            r#"{"version":9,"new":{},"devices":[{"name":"sim:x","regions":[{"address":null}]}]}"#,
        )
        .unwrap();
        assert_eq!(status.devices[0].name, "sim:x");
        assert_eq!(status.devices[0].regions[0].address, None);
        assert!(status.devices[0].lines.is_empty());
    }

    proptest! {
        #[test]
        fn any_answer_is_taken_or_refused(text in "(\\PC|[\\[\\]{}:,\"0-9]|\"devices\":|\"softirqs\":|\"vectors\":|null){0,60}") {
            let _ = serde_json::from_str::<Status>(&text);
        }
    }
}
