//! A bottom half on a work queue, and a counter that it shares with the top half: a spin lock, taken plainly in the
//! handler, where delivery is held anyway, and with `spin_lock_irqsave` in the work.
//!
//! `cargo run --example bottom_half_work`

use std::sync::Arc;

use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};
use uio_core::sync::{Completion, SpinLock};
use uio_core::workqueue::{Work, WorkItem, schedule_work};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal};

/// What both halves touch: `DEFINE_SPINLOCK(lock)`, and the counter that it protects.
struct Shared {
    counter: SpinLock<u32>,
}

struct TopHalf {
    shared: Arc<Shared>,
    work: Work,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        *self.shared.counter.lock() += 1;
        schedule_work(&self.work);
        IrqReturn::Handled
    }
}

struct BottomHalf {
    shared: Arc<Shared>,
    done: Arc<Completion>,
    pr_info: Print,
}

impl WorkItem for BottomHalf {
    fn run(self: Arc<Self>) {
        // Without it the handler could interrupt this, and spin for ever on what is held here.
        let count = *self.shared.counter.lock_irqsave();
        // In the context of a process: it may sleep, and print.
        (self.pr_info)(&format!("bottom half: {count} interrupts so far"));
        self.done.complete();
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with three interrupts in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (device, hardware) = device("toy", &dispatcher)?;

    pr_info("bottom half example init");
    let shared = Arc::new(Shared { counter: SpinLock::new(0) });
    let done = Arc::new(Completion::new());
    let bottom_half = BottomHalf {
        shared: Arc::clone(&shared),
        done: Arc::clone(&done),
        pr_info: pr_info.clone(),
    };
    let work = Work::new("bottom_half", Arc::new(bottom_half));
    let top_half = Arc::new(TopHalf { shared: Arc::clone(&shared), work: work.clone() });
    let irq = Registration::request(&device.line(0)?, Flags::empty(), "toy", top_half)?;
    for _ in 0..3 {
        hardware.raise();
        done.wait();
    }

    irq.release();
    work.cancel_sync();
    pr_info(&format!("bottom half example exit: {} interrupts", *shared.counter.lock_irqsave()));
    Ok(())
}
