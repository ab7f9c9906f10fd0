//! Softirqs: what a top half raises runs in the order of the vectors, and what raises itself goes to
//! `ksoftirqd`.
//!
//! `cargo run --example softirq`

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};
use uio_core::softirq::{Softirqs, Vector};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal, wait_until};

/// How often the last vector raises itself: more than the 10 rounds that the dispatcher runs.
const AGAIN: u64 = 25;

struct TopHalf {
    softirqs: Arc<Softirqs>,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        // In any order: it is the vectors' own that counts.
        self.softirqs.raise_irqoff(Vector::Rcu);
        self.softirqs.raise_irqoff(Vector::Block);
        self.softirqs.raise_irqoff(Vector::Timer);
        IrqReturn::Handled
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with one interrupt in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let softirqs = Softirqs::attach(&dispatcher);
    let (device, hardware) = device("toy", &dispatcher)?;

    pr_info("softirq example init");
    for vector in [Vector::Timer, Vector::Block] {
        let print = pr_info.clone();
        softirqs.open(vector, move || print(&format!("softirq {}", vector.name())))?;
    }
    let runs = Arc::new(AtomicU64::new(0));
    let (count, weak, print) = (Arc::clone(&runs), Arc::downgrade(&softirqs), pr_info.clone());
    softirqs.open(Vector::Rcu, move || again(&count, &weak, &print))?;

    let top_half = Arc::new(TopHalf { softirqs: Arc::clone(&softirqs) });
    let irq = Registration::request(&device.line(0)?, Flags::empty(), "toy", top_half)?;
    hardware.raise();
    wait_until(|| runs.load(Ordering::SeqCst) == AGAIN);

    irq.release();
    let stats = softirqs.stats();
    let handed_over = if stats.handed_over > 0 { "yes" } else { "no" };
    pr_info(&format!("ksoftirqd took over: {handed_over}"));
    pr_info("softirq example exit");
    Ok(())
}

/// Raises itself until it has run often enough.
fn again(runs: &AtomicU64, softirqs: &Weak<Softirqs>, pr_info: &Print) {
    let run = runs.load(Ordering::SeqCst) + 1;
    if run == 1 || run == AGAIN {
        pr_info(&format!("softirq {}: run {run}", Vector::Rcu.name()));
    }
    if let Some(softirqs) = softirqs.upgrade().filter(|_| run < AGAIN) {
        softirqs.raise(Vector::Rcu);
    }
    runs.store(run, Ordering::SeqCst);
}
