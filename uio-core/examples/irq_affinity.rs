//! Where interrupts are served: a line with a dispatcher of its own, kept on one processor, so that a slow handler of
//! another line does not hold it up.
//!
//! `cargo run --example irq_affinity`

use std::sync::Arc;
use std::thread;

use nix::sched;
use nix::unistd::Pid;
use uio_core::irq::{CpuSet, Dispatcher, Flags, Handler, IrqReturn, Registration, ThreadOptions};
use uio_core::sync::Completion;

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal};

/// Says which thread serves it, and where that may run.
struct Tell {
    pr_info: Print,
    done: Completion,
}

impl Handler for Tell {
    fn handle(&self) -> IrqReturn {
        // (A driver would not print here.)
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        let own = sched::sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let cpus = (0..sched::CpuSet::count()).filter(|&cpu| own.is_set(cpu) == Ok(true)).count();
        (self.pr_info)(&format!("served by {name}, which may run on {cpus} of the processors"));
        self.done.complete();
        IrqReturn::Handled
    }
}

/// A handler that is stuck until it is let go on.
struct Slow {
    busy: Completion,
    go_on: Completion,
}

impl Handler for Slow {
    fn handle(&self) -> IrqReturn {
        self.busy.complete();
        while !self.go_on.try_wait() {
            thread::yield_now();
        }
        IrqReturn::Handled
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with an interrupt on each of two lines in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (slow, slow_hardware) = device("slow", &dispatcher)?;
    let (quick, quick_hardware) = device("quick", &dispatcher)?;

    pr_info("irq_affinity example init");
    let cpus = CpuSet::of(CpuSet::allowed().iter().take(1))
        .map_err(|errno| uio_core::Error::new(errno, "cannot name", "a processor"))?;
    let line = quick.line(0)?;
    let own = line.dedicate(&ThreadOptions { cpus: Some(cpus), ..ThreadOptions::default() })?;
    let tell = Arc::new(Tell { pr_info: pr_info.clone(), done: Completion::new() });
    let stuck = Arc::new(Slow { busy: Completion::new(), go_on: Completion::new() });
    let quick_irq = Registration::request(&line, Flags::empty(), "quick", tell.clone())?;
    let slow_irq = Registration::request(&slow.line(0)?, Flags::empty(), "slow", stuck.clone())?;

    slow_hardware.raise();
    stuck.busy.wait();
    pr_info("the slow handler is busy");
    quick_hardware.raise();
    tell.done.wait();
    stuck.go_on.complete();

    slow_irq.release();
    quick_irq.release();
    drop(own);
    pr_info("irq_affinity example exit");
    Ok(())
}
