//! The threads of this module: how they are named, scheduled and placed.
//!
//! Mirrors `setup_irq_thread` and `irq_thread_check_affinity` of `kernel/irq/manage.c`. The kernel's interrupt
//! threads are `SCHED_FIFO` 50; here the default is the ordinary class, which needs no privilege.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Error, Result};
pub use crate::sys::sched::{CpuSet, Scheduler};
use crate::sys::sched::{set_affinity, set_scheduler};

/// Where and how a thread runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadOptions {
    /// Scheduling class and priority; `None` leaves those of the thread that starts it.
    pub scheduler: Option<Scheduler>,
    /// The processors that it may run on; `None` leaves those of the thread that starts it.
    pub cpus: Option<CpuSet>,
}

impl ThreadOptions {
    /// The class and priority of the kernel's interrupt threads. Needs `CAP_SYS_NICE` or an `RLIMIT_RTPRIO`.
    pub const KERNEL: Self = Self { scheduler: Some(Scheduler::Fifo { priority: 50 }), cpus: None };

    /// Applied by the new thread to itself.
    fn apply(&self, name: &str) -> Result<()> {
        // 0 is the calling thread.
        let this = Pid::from_raw(0);
        if let Some(cpus) = &self.cpus {
            set_affinity(this, cpus).map_err(|errno| affinity_error(errno, name, cpus))?;
        }
        match self.scheduler {
            None => Ok(()),
            Some(class) => {
                set_scheduler(this, class).map_err(|errno| class_error(errno, name, class))
            }
        }
    }
}

fn affinity_error(errno: Errno, name: &str, cpus: &CpuSet) -> Error {
    let error = Error::new(errno, "cannot place thread", name);
    match errno {
        Errno::EINVAL => error
            .with_cause(format!("none of the processors {cpus:?} may be used"))
            .with_hint(format!("this process may use {:?}", CpuSet::allowed())),
        _ => error,
    }
}

fn class_error(errno: Errno, name: &str, class: Scheduler) -> Error {
    let error = Error::new(errno, "cannot schedule thread", format_args!("{name} as {class:?}"));
    match errno {
        Errno::EPERM | Errno::EACCES => error
            .with_hint("run with CAP_SYS_NICE, or raise the limit: `ulimit -r 99` or LimitRTPRIO="),
        Errno::EINVAL => error.with_hint("a real-time priority is 1 to 99"),
        _ => error,
    }
}

/// Starts a thread that is in its place before `main` runs.
pub(crate) fn spawn(
    name: &str,
    options: &ThreadOptions,
    main: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>> {
    let (placed, answer) = mpsc::sync_channel(1);
    let (options, own_name) = (*options, name.to_owned());
    let failed = |error: &io::Error| Error::from_io(error, "cannot start thread", name);
    let thread = Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let result = options.apply(&own_name);
            let good = result.is_ok();
            // The starter waits for it.
            let _ = placed.send(result);
            if good {
                main();
            }
        })
        .map_err(|error| failed(&error))?;
    // A thread that ended without an answer has panicked in `apply`, which does not.
    answer.recv().unwrap_or(Ok(()))?;
    Ok(thread)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sys::sched::affinity;

    #[test]
    fn a_thread_is_on_its_processors_before_it_runs() {
        let first = CpuSet::of(CpuSet::allowed().iter().take(1)).unwrap();
        let (seen, answer) = mpsc::channel();
        let options = ThreadOptions { cpus: Some(first), ..ThreadOptions::default() };
        let main = move || seen.send(affinity(Pid::from_raw(0)).unwrap()).unwrap();
        let thread = spawn("irq/test", &options, main).unwrap();
        assert_eq!(answer.recv().unwrap(), first);
        thread.join().unwrap();
    }

    #[test]
    fn a_processor_that_is_not_there_is_an_error_that_says_which_are() {
        let cpus = Some(CpuSet::of([1023]).unwrap());
        let options = ThreadOptions { cpus, ..ThreadOptions::default() };
        let error = spawn("irq/test", &options, || ()).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL);
        assert!(error.to_string().contains("{1023}"), "{error}");
        assert!(error.hint().unwrap().contains("may use"), "{error}");
    }

    #[test]
    fn a_priority_out_of_range_is_an_error() {
        let scheduler = Some(Scheduler::Fifo { priority: 100 });
        let options = ThreadOptions { scheduler, ..ThreadOptions::default() };
        let error = spawn("irq/test", &options, || ()).unwrap_err();
        assert!(error.to_string().contains("cannot schedule thread irq/test"), "{error}");
    }
}
