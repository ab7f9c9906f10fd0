//! What is printed at the start: what was mapped, the line, the node, and what to try.

use std::fmt::Write;
use std::path::Path;

use uio_core::chardev::NodeKind;

use crate::daemon::{Daemon, Unit};

/// The text for all units. `run_dir` is where the control socket is, if not in the usual place.
pub(crate) fn text(daemon: &Daemon, run_dir: Option<&Path>) -> String {
    let mut text = String::new();
    for unit in daemon.running() {
        // Writing to a string does not fail.
        let _ = unit_text(&mut text, unit);
    }
    let status = match run_dir {
        None => "uioctl status".to_owned(),
        Some(dir) => format!("uioctl status --run-dir {}", dir.display()),
    };
    let _ = writeln!(text, "  {status}\nCtrl-C ends it.");
    text
}

fn unit_text(text: &mut String, unit: &Unit) -> std::fmt::Result {
    let (device, node) = (&unit.device, unit.driver.node());
    writeln!(text, "{}: driver {}", device.name(), unit.driver.name())?;
    for region in device.regions() {
        let address = region.address.map_or(String::new(), |at| format!(" at {at:#x}"));
        let size = human(region.size);
        writeln!(text, "  region {} {:<8} {size}{address}", region.index, region.name)?;
    }
    for line in device.all_lines() {
        writeln!(text, "  line {}: taken by {}", line.name(), line.handlers().join(", "))?;
    }
    let path = node.path().display();
    let kind = if node.kind() == NodeKind::Cuse { "CUSE" } else { "FUSE" };
    writeln!(text, "  node {path} ({kind})")?;
    if let Some(why) = node.fallback() {
        writeln!(text, "    FUSE, because: {why}")?;
    }
    writeln!(text, "Try, each in a terminal of its own:")?;
    let path = path.to_string();
    let mut suggestions = unit.driver.suggestions().into_iter();
    suggestions.try_for_each(|line| writeln!(text, "  {}", line.replace("NODE", &path)))
}

/// A size for people, exact where it is one.
fn human(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_exact() {
        assert_eq!(human(4096), "4 KiB");
        assert_eq!(human(4097), "4097 bytes");
        assert_eq!(human(2 << 20), "2 MiB");
    }
}
