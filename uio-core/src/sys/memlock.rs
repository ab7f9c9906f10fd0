//! How much memory this process may have pinned, and how much it has: `/proc/self/limits` and `status`.
//!
//! VFIO counts every mapping against `RLIMIT_MEMLOCK`, unless the process has `CAP_IPC_LOCK`. See `proc(5)`.

use std::fs;

/// Bit of `CAP_IPC_LOCK` in a set of capabilities.
const CAP_IPC_LOCK: u32 = 14;

/// The limit on pinned memory, and what counts against it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memlock {
    /// The soft limit; `None` if there is none.
    pub(crate) limit: Option<u64>,
    /// What is locked or pinned now, by whatever part of the process.
    pub(crate) locked: u64,
    /// Whether the process has `CAP_IPC_LOCK`, and the limit so does not count.
    pub(crate) exempt: bool,
}

impl Memlock {
    /// As it stands. What the kernel does not say counts as no limit, nothing, and not exempt.
    pub(crate) fn now() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/proc/self/limits"), &text("/proc/self/status"))
    }

    fn parse(limits: &str, status: &str) -> Self {
        let capabilities =
            value(status, "CapEff:").and_then(|text| u64::from_str_radix(text, 16).ok());
        Self {
            limit: value(limits, "Max locked memory").and_then(|text| text.parse().ok()),
            locked: kib(status, "VmLck:").max(kib(status, "VmPin:")),
            exempt: capabilities.is_some_and(|set| set >> CAP_IPC_LOCK & 1 == 1),
        }
    }

    /// By how much `asked` bytes more are too many; 0 if the limit has room for them, or does not count.
    #[must_use]
    pub(crate) fn short_by(&self, asked: u64) -> u64 {
        match self.limit {
            Some(limit) if !self.exempt => self.locked.saturating_add(asked).saturating_sub(limit),
            _ => 0,
        }
    }
}

/// The first word after `name` at the begin of a line.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

fn kib(text: &str, name: &str) -> u64 {
    value(text, name)
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0)
        .saturating_mul(1024)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max processes             3773                 3773                 processes \n\
                          Max locked memory         8388608              8388608              bytes     \n";
    const STATUS: &str =
        "Name:\tuiod\nVmPin:\t       0 kB\nVmLck:\t    6144 kB\nCapEff:\t0000000000000000\n";

    #[test]
    fn the_limit_what_is_locked_and_what_is_missing() {
        let memlock = Memlock::parse(LIMITS, STATUS);
        assert_eq!(memlock, Memlock { limit: Some(8 << 20), locked: 6 << 20, exempt: false });
        assert_eq!((memlock.short_by(2 << 20), memlock.short_by(3 << 20)), (0, 1 << 20));
        assert_eq!(memlock.short_by(u64::MAX), u64::MAX - (8 << 20));
    }

    #[test]
    fn no_limit_and_cap_ipc_lock_leave_room_for_all() {
        let unlimited = LIMITS.replace("8388608 ", "unlimited");
        assert_eq!(Memlock::parse(&unlimited, STATUS).limit, None);
        let exempt = STATUS.replace("CapEff:\t0000000000000000", "CapEff:\t0000000000004000");
        let exempt = Memlock::parse(LIMITS, &exempt);
        assert!(exempt.exempt);
        assert_eq!(exempt.short_by(u64::MAX), 0);
    }

    #[test]
    fn this_process_has_its_figures() {
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max locked memory")).unwrap();
        let soft = Memlock::now().limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        assert_eq!(line.split_whitespace().nth(3), Some(soft.as_str()));
    }
}
