//! How the scheduler treats a thread: class, priority, CPUs; and whether the thread sleeps.
//!
//! Mirrors `sched(7)` and `include/uapi/linux/sched.h`.
#![expect(unsafe_code, reason = "there is no safe call for the scheduling class of a thread")]

use std::fmt;
use std::fs;
use std::io::Read;

use nix::errno::Errno;
use nix::sched::{sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// A scheduling class, with the priority that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "sched_param")]
pub enum Scheduler {
    /// The class of ordinary threads, `SCHED_OTHER`.
    Other {
        /// From -20, the most favoured, to 19.
        nice: i8,
    },
    /// As `Other`, for threads that compute and do not mind to wait, `SCHED_BATCH`.
    Batch {
        /// From -20, the most favoured, to 19.
        nice: i8,
    },
    /// Runs when nothing else wants to, `SCHED_IDLE`.
    Idle,
    /// Real time: runs until it sleeps or a higher priority comes, `SCHED_FIFO`.
    Fifo {
        /// From 1 to 99, the highest.
        priority: u8,
    },
    /// As `Fifo`, taking turns with its equals, `SCHED_RR`.
    RoundRobin {
        /// From 1 to 99, the highest.
        priority: u8,
    },
}

/// A set of CPUs, by number.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[doc(alias = "cpumask")]
pub struct CpuSet(nix::sched::CpuSet);

impl CpuSet {
    /// The set of these CPUs.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a number is beyond what the system knows (1024).
    pub fn of(cpus: impl IntoIterator<Item = usize>) -> Result<Self, Errno> {
        let mut set = nix::sched::CpuSet::new();
        cpus.into_iter().try_for_each(|cpu| set.set(cpu))?;
        Ok(Self(set))
    }

    /// Those that this process may run on.
    pub fn allowed() -> Self {
        // The main thread's, so that what a driver does to a thread of its own is not taken for a rule of all.
        sched_getaffinity(Pid::this()).map_or_else(|_| Self::default(), Self)
    }

    /// Whether `cpu` is among them.
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.is_set(cpu).unwrap_or(false)
    }

    /// Them, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..nix::sched::CpuSet::count()).filter(|&cpu| self.contains(cpu))
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The CPU that the caller runs on just now.
pub(crate) fn current_cpu() -> usize {
    sched_getcpu().unwrap_or(0)
}

/// Gives a thread of this process its class.
pub(crate) fn set_scheduler(thread: Pid, scheduler: Scheduler) -> Result<(), Errno> {
    match scheduler {
        Scheduler::Other { nice } => {
            set_class(thread, libc::SCHED_OTHER, 0)?;
            set_nice(thread, nice)
        }
        Scheduler::Batch { nice } => {
            set_class(thread, libc::SCHED_BATCH, 0)?;
            set_nice(thread, nice)
        }
        Scheduler::Idle => set_class(thread, libc::SCHED_IDLE, 0),
        Scheduler::Fifo { priority } => set_class(thread, libc::SCHED_FIFO, priority),
        Scheduler::RoundRobin { priority } => set_class(thread, libc::SCHED_RR, priority),
    }
}

/// Drops what the calling thread has inherited of a real-time parent, and of a pinned one.
pub(crate) fn forget_inherited() {
    let this = Pid::from_raw(0);
    // Neither can be refused to one who may have less afterwards; one who may not (`SCHED_IDLE`) stays there.
    let _ = set_class(this, libc::SCHED_OTHER, 0);
    let _ = set_affinity(this, &CpuSet::allowed());
}

pub(crate) fn set_affinity(thread: Pid, cpus: &CpuSet) -> Result<(), Errno> {
    sched_setaffinity(thread, &cpus.0)
}

#[cfg(test)]
pub(crate) fn affinity(thread: Pid) -> Result<CpuSet, Errno> {
    sched_getaffinity(thread).map(CpuSet)
}

fn set_class(thread: Pid, policy: libc::c_int, priority: u8) -> Result<(), Errno> {
    let param = libc::sched_param { sched_priority: libc::c_int::from(priority) };
    // SAFETY: the call reads `param`, which outlives it; a thread that does not exist makes it fail.
    let result = unsafe { libc::sched_setscheduler(thread.as_raw(), policy, &raw const param) };
    Errno::result(result).map(drop)
}

fn set_nice(thread: Pid, nice: i8) -> Result<(), Errno> {
    // CAST: a thread's number is positive.
    let id = thread.as_raw().cast_unsigned();
    // SAFETY: the call takes numbers and touches no memory of ours.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, id, libc::c_int::from(nice)) };
    Errno::result(result).map(drop)
}

/// Whether a thread of this process sleeps, as `ps` would show it (`S` or `D`). `false` if that is unknown.
pub(crate) fn is_asleep(thread: Pid) -> bool {
    // A line of /proc/PID/stat is shorter than this up to the state, whatever the name.
    let mut line = [0; 128];
    let path = format!("/proc/self/task/{thread}/stat");
    let read = fs::File::open(path).and_then(|mut file| file.read(&mut line)).unwrap_or(0);
    // `4711 (a name) with) braces) S ...`: the name ends at the last brace.
    let line = &line[..read];
    let end = line.iter().rposition(|&byte| byte == b')');
    end.and_then(|end| line.get(end + 2)).is_some_and(|state| matches!(state, b'S' | b'D'))
}
