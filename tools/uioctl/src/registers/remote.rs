//! Registers through the daemon that runs the device.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use uio_core::device::DeviceSpec;
use uio_core::{Errno, Error};

use super::{Map, Spot};
use crate::control;

/// How many words a daemon reads for one request.
const CHUNK: u64 = 4096;

/// The daemon that runs the device.
pub(super) struct Daemon {
    pub(super) pid: u32,
    socket: PathBuf,
    device: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: Option<String>,
    unknown_device: bool,
}

/// Asks each daemon whether it runs the device.
///
/// # Errors
///
/// If one is there that does not answer: it may be the one.
pub(super) fn find(device: &DeviceSpec, run_dir: &Path) -> Result<Option<(Map, Daemon)>, Error> {
    let sockets = control::sockets(run_dir)
        .map_err(|error| Error::from_io(&error, "cannot look for daemons in", run_dir.display()))?;
    for (pid, socket) in sockets {
        let daemon = Daemon { pid, socket, device: device.to_string() };
        let answer = match daemon.ask(&json!({ "request": "registers", "device": daemon.device })) {
            Ok(answer) => answer,
            // A daemon that was killed leaves its socket behind.
            Err(error) if [Errno::ECONNREFUSED, Errno::ENOENT].contains(&error.errno()) => continue,
            Err(error) => return Err(error),
        };
        let refusal = Refusal::deserialize(&answer).unwrap_or_default();
        if refusal.unknown_device {
            continue;
        }
        let answer = daemon.check(answer)?;
        let map = serde_json::from_value(answer).map_err(|error| daemon.babbles(&error))?;
        return Ok(Some((map, daemon)));
    }
    Ok(None)
}

impl Daemon {
    pub(super) fn read(&self, spot: &Spot, count: u64) -> Result<Vec<u64>, Error> {
        let mut values = Vec::new();
        let mut left = count;
        while left > 0 {
            let now = left.min(CHUNK);
            // A sum that overflows is beyond every region, as the highest offset is.
            let offset = spot.offset.saturating_add((count - left).saturating_mul(spot.width));
            let answer = self.request(&json!({
                "request": "peek", "device": self.device, "region": spot.region,
                "offset": offset, "width": spot.width, "count": now,
            }))?;
            let words = answer.get("values").cloned().unwrap_or_default();
            let words: Vec<u64> =
                serde_json::from_value(words).map_err(|error| self.babbles(&error))?;
            values.extend(words);
            left -= now;
        }
        Ok(values)
    }

    pub(super) fn write(&self, spot: &Spot, value: u64) -> Result<(), Error> {
        let answer = self.request(&json!({
            "request": "poke", "device": self.device, "region": spot.region,
            "offset": spot.offset, "width": spot.width, "value": value,
        }))?;
        match answer.get("done") {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err(self.babbles(&"it does not say that it is done")),
        }
    }

    fn request(&self, request: &Value) -> Result<Value, Error> {
        self.check(self.ask(request)?)
    }

    fn ask(&self, request: &Value) -> Result<Value, Error> {
        let text = control::ask(&self.socket, &request.to_string()).map_err(|error| {
            Error::from_io(&error, "cannot ask", format_args!("daemon {}", self.pid))
        })?;
        serde_json::from_str(&text).map_err(|error| self.babbles(&error))
    }

    /// The answer, unless it is a refusal.
    fn check(&self, answer: Value) -> Result<Value, Error> {
        match Refusal::deserialize(&answer).unwrap_or_default().error {
            Some(why) => {
                Err(Error::new(Errno::EIO, "refused by", format_args!("daemon {}", self.pid))
                    .with_cause(why))
            }
            None => Ok(answer),
        }
    }

    fn babbles(&self, why: &dyn std::fmt::Display) -> Error {
        Error::new(Errno::EPROTO, "cannot understand", format_args!("daemon {}", self.pid))
            .with_cause(why)
    }
}
