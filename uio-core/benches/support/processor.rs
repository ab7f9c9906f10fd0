//! Processors and processor time.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Two processors: one for who drives the measurement, one for who is measured. The same one twice where the
/// process may use no other.
#[derive(Clone, Copy)]
pub(crate) struct Cpus {
    /// Where the driving thread is.
    pub(crate) driver: usize,
    /// Where the other one is.
    pub(crate) other: usize,
}

/// The processors that the process may use.
pub(crate) fn two_cpus() -> Cpus {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("the kernel tells our processors");
    let mut allowed = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    let driver = allowed.next().expect("we run on one");
    Cpus { driver, other: allowed.next().unwrap_or(driver) }
}

/// Keeps the calling thread, and those that it starts meanwhile, on one processor until it is dropped.
#[must_use]
pub(crate) struct Pinned(CpuSet);

/// See [`Pinned`].
pub(crate) fn pinned(cpu: usize) -> Pinned {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).expect("the kernel tells our processors");
    let mut only = CpuSet::new();
    only.set(cpu).expect("it is one of ours");
    sched_setaffinity(this, &only).expect("it is one of ours");
    Pinned(before)
}

impl Drop for Pinned {
    fn drop(&mut self) {
        sched_setaffinity(Pid::from_raw(0), &self.0).expect("they were ours before");
    }
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("every kernel has it").into()
}

/// Processor time of this process.
pub(crate) fn cpu_time() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time of the calling thread.
pub(crate) fn thread_cpu_time() -> Duration {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}
