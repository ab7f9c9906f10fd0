//! [`User`]: who asks, and what the kernel lets them do.
//!
//! Read from `/proc/self/status` (`Uid`, `PPid`, `CapEff`) and `/proc/self/limits`; the formats are those of
//! `fs/proc/array.c` and `fs/proc/base.c`.

/// May lock memory beyond the limit (`include/uapi/linux/capability.h`).
const CAP_IPC_LOCK: u32 = 14;
/// May raise its hard limits.
const CAP_SYS_RESOURCE: u32 = 24;

/// A limit in bytes; `None` is unlimited.
pub(crate) type Limit = Option<u64>;

/// The asking process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// The effective user.
    pub(crate) uid: u32,
    /// The process that started us, a shell mostly.
    pub(crate) parent: u32,
    capabilities: u64,
    /// The soft and the hard limit of locked memory; `None` if the kernel does not tell.
    pub(crate) memlock: Option<(Limit, Limit)>,
}

impl User {
    /// From the texts of `status` and `limits`. What is not there reads as an ordinary user's.
    pub(crate) fn parse(status: &str, limits: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace()
        };
        Self {
            // Real, effective, saved, file system.
            uid: field("Uid").nth(1).and_then(|uid| uid.parse().ok()).unwrap_or(u32::MAX),
            parent: field("PPid").next().and_then(|pid| pid.parse().ok()).unwrap_or(0),
            capabilities: field("CapEff")
                .next()
                .and_then(|set| u64::from_str_radix(set, 16).ok())
                .unwrap_or(0),
            memlock: limits.lines().find_map(memlock),
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    fn can(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 != 0
    }

    /// Whether the limit of locked memory does not hold for it.
    pub(crate) fn locks_without_limit(&self) -> bool {
        self.can(CAP_IPC_LOCK)
    }

    /// Whether it may raise its own hard limits.
    pub(crate) fn raises_limits(&self) -> bool {
        self.can(CAP_SYS_RESOURCE)
    }
}

/// Soft and hard limit of `Max locked memory     8388608    8388608    bytes`.
fn memlock(line: &str) -> Option<(Limit, Limit)> {
    let mut values = line.strip_prefix("Max locked memory")?.split_whitespace();
    let mut limit = || match values.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some((limit()?, limit()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tuioctl\nPPid:\t41\nUid:\t1000\t0\t0\t0\nCapInh:\t0\nCapEff:\t0000000000004000\n";
    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max file size             unlimited            unlimited            bytes
Max locked memory         65536                unlimited            bytes
";

    #[test]
    fn the_user_is_the_effective_one() {
        let user = User::parse(STATUS, LIMITS);
        assert!(user.is_root() && user.locks_without_limit() && !user.raises_limits());
        assert_eq!((user.parent, user.memlock), (41, Some((Some(65536), None))));
    }

    #[test]
    fn a_process_of_which_nothing_is_known_is_nobody_special() {
        for (status, limits) in [("", ""), ("Uid:\tx\nCapEff:\tzz", "Max locked memory   many")] {
            let user = User::parse(status, limits);
            assert!(!user.is_root() && !user.locks_without_limit(), "{user:?}");
            assert_eq!((user.parent, user.memlock), (0, None));
        }
    }
}
