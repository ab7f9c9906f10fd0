//! What a guest may ask of QEMU: to plug and unplug the devices of its bays, to press its power button, and nothing
//! else.
//!
//! The guest writes a line to the virtio port `monitor` and reads a line in answer: `ok`, or `error WHY`.
//!
//! - `plug ID`, with an ID of [`pc::BAYS`](super::pc::BAYS), is QEMU's `device_add`;
//! - `unplug ID` is its `device_del`, which asks the guest's kernel to let go of the device;
//! - `press power` is its `system_powerdown`: on `virt` a pulse on line 3 of the PL061, up and down again, on a PC the
//!   button of ACPI, on the Versal nothing.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use serde_json::{Map, Value, json};

use super::pc::BAYS;

/// Answers the guest until one of the two streams ends, which it does when QEMU ends.
pub(crate) fn relay(guest: UnixStream, monitor: UnixStream) {
    thread::spawn(move || {
        // The guest hears of what fails: its request is not answered, and has a deadline.
        let _ = answer_all(&guest, &monitor);
    });
}

fn answer_all(mut guest: &UnixStream, monitor: &UnixStream) -> io::Result<()> {
    let mut qemu = Qemu { answers: BufReader::new(monitor), requests: monitor };
    qemu.execute(&json!({"execute": "qmp_capabilities"}))?;
    for line in BufReader::new(guest).lines() {
        let answer = match request(&line?) {
            Ok(request) => qemu.execute(&request)?,
            Err(why) => format!("error {why}"),
        };
        writeln!(guest, "{answer}")?;
    }
    Ok(())
}

/// What a line of the guest asks for, in QEMU's protocol.
fn request(line: &str) -> Result<Value, String> {
    if line == "press power" {
        return Ok(json!({"execute": "system_powerdown"}));
    }
    let (verb, id) = line.split_once(' ').ok_or("say 'plug ID', 'unplug ID' or 'press power'")?;
    let bay = BAYS.iter().find(|(name, _)| *name == id);
    let (_, properties) = bay.ok_or(format!("there is no device '{id}'"))?;
    match verb {
        "plug" => {
            let mut arguments: Map<String, Value> =
                properties.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            arguments.insert("id".into(), id.into());
            Ok(json!({"execute": "device_add", "arguments": arguments}))
        }
        "unplug" => Ok(json!({"execute": "device_del", "arguments": {"id": id}})),
        other => Err(format!("'{other}' is not allowed")),
    }
}

/// QEMU's monitor, in its JSON protocol.
struct Qemu<'a> {
    answers: BufReader<&'a UnixStream>,
    requests: &'a UnixStream,
}

impl Qemu<'_> {
    /// Sends a request and returns the answer as the guest gets it. Events in between are left out.
    fn execute(&mut self, request: &Value) -> io::Result<String> {
        writeln!(self.requests, "{request}")?;
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = serde_json::from_str(&line).ok().as_ref().and_then(answer) {
                return Ok(answer);
            }
        }
    }
}

/// The answer that a message is, if it is one and not an event or the greeting.
fn answer(message: &Value) -> Option<String> {
    if message.get("return").is_some() {
        return Some("ok".to_owned());
    }
    let why = message.get("error")?["desc"].as_str().unwrap_or("no reason given");
    Some(format!("error {}", why.replace('\n', " ")))
}

#[cfg(test)]
mod tests {
    use super::{answer, request};
    use serde_json::json;

    #[test]
    fn nothing_is_done_but_bays_and_the_power_button() {
        let plug = request("plug nvme").unwrap();
        assert_eq!(plug["execute"], "device_add");
        assert_eq!(plug["arguments"]["id"], "nvme");
        assert_eq!(plug["arguments"]["bus"], "bay-nvme");
        let unplug = json!({"execute": "device_del", "arguments": {"id": "e1000e"}});
        assert_eq!(request("unplug e1000e").unwrap(), unplug);
        let press = json!({"execute": "system_powerdown"});
        assert_eq!(request("press power").unwrap(), press);
        for line in ["", "plug", "plug disk", "quit nvme", "unplug ", "press", "press reset"] {
            assert!(request(line).is_err(), "{line}");
        }
    }

    #[test]
    fn answers_are_told_from_events() {
        assert_eq!(answer(&json!({"return": {}})).as_deref(), Some("ok"));
        let refused = json!({"error": {"class": "GenericError", "desc": "in\nuse"}});
        assert_eq!(answer(&refused).as_deref(), Some("error in use"));
        assert_eq!(answer(&json!({"event": "DEVICE_DELETED"})), None);
        assert_eq!(answer(&json!({"QMP": {}})), None);
    }
}
