//! What `/proc` says about a process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A thread of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its number.
    pub tid: i32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its state: `S` sleeps, `R` runs, `D` cannot be disturbed.
    pub state: char,
    /// Processor time that it used, in clock ticks.
    pub ticks: u64,
}

/// The threads of a process; none if it is gone.
pub fn threads(pid: i32) -> Vec<Thread> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let tids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A thread may end while we look.
    tids.filter_map(|tid| thread(pid, tid)).collect()
}

fn thread(pid: i32, tid: i32) -> Option<Thread> {
    parse_stat(tid, &fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?)
}

/// `man 5 proc`: the name stands in parentheses and may have anything in it.
fn parse_stat(tid: i32, stat: &str) -> Option<Thread> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let state = fields.first()?.chars().next()?;
    // utime and stime are fields 14 and 15; the state is field 3.
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Thread { tid, name, state, ticks })
}

/// The processor time that all threads of a process used, in clock ticks.
pub fn ticks(pid: i32) -> u64 {
    threads(pid).iter().map(|thread| thread.ticks).sum()
}

/// How many clock ticks a second has: `USER_HZ`, which every Linux shows as 100.
pub const TICKS_PER_SECOND: u64 = 100;

/// Whether a process has the file at `path` open, by whatever name.
pub fn has_open(pid: i32, path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let Some(wanted) = identity(path) else { return false };
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    fds.filter_map(|fd| identity(&fd.path())).any(|found| found == wanted)
}

/// The mount points at or below `dir`, as the kernel lists them now.
pub fn mounts_below(dir: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split_whitespace().nth(1));
    points.filter(|point| Path::new(point).starts_with(dir)).map(str::to_owned).collect()
}

/// What the descriptors of a process lead to, as the kernel names it: `/dev/uio0`, `anon_inode:[vfio-device]`.
pub fn descriptors(pid: i32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.map(|target| target.to_string_lossy().into_owned()).collect()
}

/// The lines of a process's memory map.
pub fn mappings(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_parentheses_and_spaces() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14";
        let thread = parse_stat(7, stat).unwrap();
        assert_eq!((thread.name.as_str(), thread.state, thread.ticks), ("a) b", 'S', 23));
    }

    #[test]
    fn we_have_threads() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(threads(own).iter().any(|thread| thread.state == 'R'));
    }
}
