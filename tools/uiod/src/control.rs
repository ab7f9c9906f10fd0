//! The control socket: JSON lines over a unix stream socket, for the daemon's owner and root.
//!
//! `<run-dir>/control-<pid>.sock`. Each request is one line, each answer is one line; see `docs/control.md`.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::geteuid;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use uio_core::Result;
use uio_core::error::{Errno, Error};

use crate::daemon::Daemon;
use crate::registers::{Peek, Poke, Registers};
use crate::status::Status;

/// The longest request, in bytes.
const MAX_REQUEST: u64 = 4096;

/// A client that says nothing for so long is let go.
const IDLE: Duration = Duration::from_secs(30);

/// What clients ask about.
pub(crate) struct World {
    pub(crate) daemon: Mutex<Option<Daemon>>,
    pub(crate) started: Instant,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
enum Request {
    Status,
    Registers(Registers),
    Peek(Peek),
    Poke(Poke),
}

/// The listening socket; its file is removed on drop.
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Makes the socket in `run_dir`, after sweeping out those of daemons that are dead.
    pub(crate) fn bind(run_dir: &Path) -> Result<Self> {
        sweep(run_dir);
        let path = run_dir.join(format!("control-{}.sock", std::process::id()));
        let failed =
            |error: io::Error| Error::from_io(&error, "cannot make control socket", path.display());
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let control = Self { listener, path: path.clone() };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(control)
    }

    /// Serves clients for ever.
    pub(crate) async fn serve(&self, world: &Arc<World>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, Arc::clone(world)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a client of the control socket");
                    // Out of descriptors, most likely: trying again at once would only spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Somebody may have removed it; nothing is lost.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the sockets on which nobody listens.
fn sweep(run_dir: &Path) {
    let Ok(entries) = fs::read_dir(run_dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        let ours = name.starts_with("control-") && name.ends_with(".sock");
        if ours && connect_now(&path) == Err(Errno::ECONNREFUSED) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Connects without waiting: a daemon that hangs, with a full queue, must not hang the next one.
fn connect_now(path: &Path) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

/// One client, from its first line to its last.
async fn converse(stream: UnixStream, world: Arc<World>) {
    if !may_ask(&stream) {
        return;
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        let mut limited = (&mut reader).take(MAX_REQUEST);
        let read = tokio::time::timeout(IDLE, limited.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(count)) if count > 0) {
            return;
        }
        let mut answer = answer(&line, &world);
        answer.push('\n');
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Only the daemon's own user and root are answered, whatever became of the socket's mode.
fn may_ask(stream: &UnixStream) -> bool {
    let own = geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

fn answer(line: &str, world: &World) -> String {
    let request = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => {
            return json!({ "error": format!("cannot take request: {error}") }).to_string();
        }
    };
    let daemon = world.daemon.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(daemon) = &*daemon else {
        return json!({ "error": "the daemon is ending" }).to_string();
    };
    let answer = match request {
        Request::Status => return to_json(&Status::of(daemon, world.started)),
        Request::Registers(request) => request.answer(daemon),
        Request::Peek(request) => request.answer(daemon),
        Request::Poke(request) => request.answer(daemon),
    };
    answer.unwrap_or_else(|refused| refused).to_string()
}

fn to_json(status: &Status) -> String {
    serde_json::to_string(status)
        .unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World { daemon: Mutex::new(None), started: Instant::now() }
    }

    #[test]
    fn a_request_that_is_none_is_answered_with_what_is_wrong() {
        for line in ["", "{}", "{\"request\":\"reboot\"}", "\u{0}\u{1}", "[1,2"] {
            assert!(answer(line, &world()).starts_with("{\"error\":"), "{line}");
        }
    }

    #[test]
    fn a_daemon_that_is_ending_says_so() {
        assert!(answer("{\"request\":\"status\"}", &world()).contains("ending"));
    }
}
