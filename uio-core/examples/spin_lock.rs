//! Spin locks and who takes them: one counter of a top half and a thread, under `spin_lock_irqsave`, and one of a
//! tasklet and a thread, under `spin_lock_bh`.
//!
//! `cargo run --example spin_lock`

use std::sync::Arc;

use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};
use uio_core::softirq::{Softirqs, Tasklet};
use uio_core::sync::{Completion, SpinLock};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal};

const INTERRUPTS: u32 = 5;

struct TopHalf {
    interrupts: Arc<SpinLock<u32>>,
    tasklet: Tasklet,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        // No handler of this dispatcher can interrupt this one.
        *self.interrupts.lock() += 1;
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with some interrupts in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let softirqs = Softirqs::attach(&dispatcher);
    let (device, hardware) = device("toy", &dispatcher)?;

    pr_info("spin lock example init");
    let interrupts = Arc::new(SpinLock::new(0));
    let batches = Arc::new(SpinLock::new(0));
    let done = Arc::new(Completion::new());
    let (own, told) = (Arc::clone(&batches), Arc::clone(&done));
    let tasklet = Tasklet::new(&softirqs, "toy", move || {
        *own.lock() += 1;
        told.complete();
    })?;
    let top_half = Arc::new(TopHalf { interrupts: Arc::clone(&interrupts), tasklet });
    let irq = Registration::request(&device.line(0)?, Flags::empty(), "toy", top_half)?;
    for _ in 0..INTERRUPTS {
        hardware.raise();
        done.wait();
        *interrupts.lock_irqsave() += 100;
        *batches.lock_bh() += 100;
    }
    pr_info(&format!("spin_lock_irqsave: {}", *interrupts.lock_irqsave()));
    pr_info(&format!("spin_lock_bh: {}", *batches.lock_bh()));

    let held = interrupts.lock_irqsave();
    let got = interrupts.try_lock().is_some();
    pr_info(&format!("spin_trylock of a lock that is held: {got}"));
    drop(held);

    irq.release();
    pr_info("spin lock example exit");
    Ok(())
}
