//! The guest's console: a log per run, and what in it means that the kernel is not well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use crate::failure::{Context, Result};
use crate::paths;

/// What the kernel prints when it found a fault in itself. A stall is not among them: on a busy host it means nothing.
const COMPLAINTS: [&str; 8] = [
    "[ cut here ]",
    "WARNING: CPU",
    "BUG: ",
    "Oops",
    "general protection fault",
    "Kernel panic",
    "UBSAN: ",
    "blocked for more than",
];

/// What the kernel prints before it starts process 1.
const INIT: &str = "Run /init as init process";

const PREFIX: &str = "console-";

/// How long a log is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Lines shown of a log that is shown.
const TAIL: usize = 60;

pub(crate) struct Log {
    path: PathBuf,
    latest: PathBuf,
}

impl Log {
    pub(crate) fn new(kernel: &str) -> Result<Self> {
        let store = paths::store();
        sweep_old_logs(&store);
        let path = store.join(format!("{PREFIX}{kernel}-{}.log", process::id()));
        fs::write(&path, "").on("create", &path)?;
        Ok(Self { path, latest: store.join(format!("{PREFIX}{kernel}.log")) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the kernel came as far as process 1.
    pub(crate) fn came_to_init(&self) -> bool {
        self.read().contains(INIT)
    }

    /// The first line that says the kernel is not well.
    pub(crate) fn complaint(&self) -> Option<String> {
        complaint(&self.read()).map(str::to_owned)
    }

    /// The log from shortly before its first complaint, or else its last lines.
    pub(crate) fn excerpt(&self) -> String {
        let text = self.read();
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.iter().position(|line| is_complaint(line));
        let from = first.map_or(lines.len().saturating_sub(TAIL), |at| at.saturating_sub(3));
        let shown = lines.iter().skip(from).take(TAIL);
        shown.map(|line| format!("console| {}\n", line.trim_end())).collect()
    }

    /// Names it `console-KERNEL.log`: a run that went well leaves one log per kernel.
    pub(crate) fn keep_as_latest(self) {
        // Nothing depends on the name.
        let _ = fs::rename(&self.path, &self.latest);
    }

    fn read(&self) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Removes the logs of runs that failed or were killed long ago.
fn sweep_old_logs(store: &Path) {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let changed = entry.metadata().and_then(|meta| meta.modified()).ok();
        let age = changed.and_then(|changed| changed.elapsed().ok()).unwrap_or_default();
        if age > KEPT {
            // Best effort: a log that stays does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn complaint(log: &str) -> Option<&str> {
    let mut complaints = log.lines().filter(|line| is_complaint(line)).map(str::trim_end);
    let first = complaints.next()?;
    // "cut here" announces the line that says what happened.
    if first.contains("[ cut here ]") { complaints.next().or(Some(first)) } else { Some(first) }
}

fn is_complaint(line: &str) -> bool {
    COMPLAINTS.iter().any(|complaint| line.contains(complaint))
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn a_warning_is_named_by_its_second_line() {
        let log = "[ 1.0] fine\n[ 2.0] ------------[ cut here ]------------\n[ 2.0] WARNING: CPU: 0 PID: 1 at x\n";
        assert_eq!(complaint(log), Some("[ 2.0] WARNING: CPU: 0 PID: 1 at x"));
        assert_eq!(complaint("[ 1.0] rcu: INFO: stall\n"), None);
    }
}
