//! Locked memory: VFIO pins what a device may reach, and counts it against `RLIMIT_MEMLOCK`.
//!
//! The thresholds: below 1 MiB, which the 64 KiB of kernels before 5.16 are, not even a ring with its buffers can be
//! mapped; that is a fault. Below 8 MiB, the kernel's own default since then, a driver with large buffers may fail; that
//! is a warning. `CAP_IPC_LOCK` lifts the limit (`vfio_lock_acct` in `drivers/vfio/vfio_iommu_type1.c`).

use crate::doctor::finding::Finding;
use crate::doctor::machine::Machine;
use crate::doctor::user::{Limit, User};
use crate::size::human_size;

const CHECK: &str = "memlock";

/// Less is a fault, in bytes.
const LEAST: u64 = 1 << 20;

/// Less is a warning, in bytes.
const PLENTY: u64 = 8 << 20;

const LAST: &str = "to keep it: a line `USER - memlock unlimited` in /etc/security/limits.d/uiod.conf and a new login, \
                    LimitMEMLOCK=infinity in a systemd unit, or the capability CAP_IPC_LOCK";

pub(super) fn memlock(machine: &Machine) -> Finding {
    let path = machine.proc("self/limits");
    let user = &machine.user;
    if user.locks_without_limit() {
        let status = machine.proc("self/status");
        return Finding::ok(CHECK, status.display(), "CAP_IPC_LOCK: no limit holds");
    }
    let Some((soft, hard)) = user.memlock else {
        return Finding::ok(CHECK, path.display(), "not known")
            .note("the limit of locked memory cannot be read");
    };
    let found = Finding::ok(
        CHECK,
        path.display(),
        format_args!("{}, at most {}", shown(soft), shown(hard)),
    );
    match soft {
        Some(limit) if limit < LEAST => {
            let problem = format!(
                "only {} may be locked for DMA, and a driver needs {} at least",
                shown(soft),
                shown(Some(LEAST))
            );
            mend(found.fault(problem), user, hard)
        }
        Some(limit) if limit < PLENTY => {
            let problem = format!("only {} may be locked for DMA: large buffers fail", shown(soft));
            mend(found.warning(problem), user, hard)
        }
        _ => found,
    }
}

fn shown(limit: Limit) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |bytes| human_size(bytes.into()))
}

/// Raises the limit of the shell that asks.
fn mend(found: Finding, user: &User, hard: Limit) -> Finding {
    let found = match hard {
        None => found.command("ulimit -S -l unlimited"),
        _ if user.raises_limits() => found.command("ulimit -l unlimited"),
        Some(bytes) if bytes >= PLENTY => {
            found.command(format_args!("ulimit -S -l {}", bytes / 1024))
        }
        Some(_) => {
            found.root_command(format_args!("prlimit --pid {} --memlock=unlimited", user.parent))
        }
    };
    found.advice(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;
    use crate::doctor::finding::Severity;

    fn limited(soft: &str, hard: &str) -> Fake {
        let fake = Fake::ready();
        fake.write("proc/self/limits", format!("Max locked memory  {soft}  {hard}  bytes"));
        fake
    }

    fn found(soft: &str, hard: &str) -> Finding {
        memlock(&limited(soft, hard).machine())
    }

    #[test]
    fn the_limit_of_old_kernels_is_a_fault_and_that_of_new_ones_is_none() {
        assert_eq!(found("65536", "65536").severity, Severity::Fault);
        assert_eq!(found("1048576", "65536").severity, Severity::Warning);
        assert_eq!(found("8388608", "8388608").severity, Severity::Ok);
        assert_eq!(found("unlimited", "unlimited").severity, Severity::Ok);
        assert_eq!(found("what", "ever").severity, Severity::Note);
    }

    #[test]
    fn the_mend_is_what_the_user_may_do() {
        let command = |soft, hard| found(soft, hard).command.unwrap();
        assert_eq!(command("65536", "unlimited"), "ulimit -S -l unlimited");
        assert_eq!(command("65536", "67108864"), "ulimit -S -l 65536");
        assert_eq!(command("65536", "65536"), "prlimit --pid 41 --memlock=unlimited");
        let fake = limited("65536", "65536");
        fake.write("proc/self/status", "CapEff:\t0000000001000000");
        assert_eq!(memlock(&fake.machine()).command.unwrap(), "ulimit -l unlimited");
    }

    #[test]
    fn a_capability_lifts_the_limit() {
        let fake = limited("65536", "65536");
        fake.write("proc/self/status", "CapEff:\t0000000000004000");
        assert_eq!(memlock(&fake.machine()).severity, Severity::Ok);
    }
}
