//! Processes that have certain nodes open, from the links in `/proc/PID/fd`.

use std::fmt;
use std::fs;
use std::path::Path;

use super::super::{entry_names, link_name, text_or_empty};

/// A process that has a node open. Displayed as a clause: `uiod (process 123) has /dev/vfio/3 open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it calls itself.
    pub name: String,
    /// The node.
    pub node: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}) has {} open", self.name, self.pid, self.node)
    }
}

/// Who has any of `nodes` open, by process; each process and node once. What this process may have inherited goes
/// with it, and does not count.
pub(super) fn of(proc: &Path, nodes: &[String]) -> Vec<Holder> {
    let own = link_name(&proc.join("self"));
    let mut names = entry_names(proc).unwrap_or_default();
    names.retain(|name| Some(name) != own.as_ref());
    let mut pids: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    let mut holders = Vec::new();
    for pid in pids {
        let dir = proc.join(pid.to_string());
        for node in open_nodes(&dir.join("fd"), nodes) {
            holders.push(Holder { pid, name: text_or_empty(&dir.join("comm")), node });
        }
    }
    holders
}

/// A process may end, or hide its descriptors, while we look.
fn open_nodes(fds: &Path, nodes: &[String]) -> Vec<String> {
    let mut open: Vec<String> = entry_names(fds)
        .unwrap_or_default()
        .iter()
        .filter_map(|fd| fs::read_link(fds.join(fd)).ok()?.into_os_string().into_string().ok())
        // The node of a device that is gone, and whose descriptor is not.
        .map(|target| target.trim_end_matches(" (deleted)").to_owned())
        .filter(|target| nodes.contains(target))
        .collect();
    open.sort();
    open.dedup();
    open
}
