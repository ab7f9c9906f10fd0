//! The run directory, where daemons and tools meet: `control-PID.sock`, and FUSE nodes unless told otherwise.

use std::path::PathBuf;

use nix::unistd::geteuid;

/// `/run/uiod` for root, a directory of the user's own for others: `$XDG_RUNTIME_DIR/uiod`, or
/// `/tmp/uiod-UID` where that is not set.
pub fn default_run_dir() -> PathBuf {
    let user = geteuid();
    if user.is_root() {
        return PathBuf::from("/run/uiod");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir).join("uiod"),
        _ => PathBuf::from(format!("/tmp/uiod-{user}")),
    }
}
