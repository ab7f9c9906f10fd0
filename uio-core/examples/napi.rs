//! Adaptive polling, as NAPI: one interrupt for a burst of packets, 64 of them a poll, then interrupts again.
//!
//! `cargo run --example napi`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use uio_core::device::sim::SimLine;
use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};
use uio_core::softirq::{Napi, Poll, Softirqs};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal, wait_until};

/// A network card: packets that wait, and an interrupt when the first of them comes.
struct Card {
    packets: AtomicUsize,
    line: Arc<SimLine>,
}

impl Card {
    fn receive(&self, burst: usize) {
        if self.packets.fetch_add(burst, Ordering::SeqCst) == 0 {
            self.line.raise();
        }
    }
}

struct Receive {
    card: Arc<Card>,
    pr_info: Print,
}

impl Poll for Receive {
    fn poll(&self, budget: usize) -> usize {
        let waiting = self.card.packets.load(Ordering::SeqCst);
        let work = waiting.min(budget);
        self.card.packets.fetch_sub(work, Ordering::SeqCst);
        let end = if work < budget { ", complete" } else { "" };
        (self.pr_info)(&format!("poll: budget {budget}, {work} packets{end}"));
        work
    }
}

struct TopHalf {
    napi: Napi,
    pr_info: Print,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        (self.pr_info)("interrupt: masked, polling");
        self.napi.schedule();
        IrqReturn::Handled
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with two bursts in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let softirqs = Softirqs::attach(&dispatcher);
    let (device, hardware) = device("nic", &dispatcher)?;
    let line = device.line(0)?;

    pr_info("napi example init");
    let card = Arc::new(Card { packets: AtomicUsize::new(0), line: hardware });
    let receive = Receive { card: Arc::clone(&card), pr_info: pr_info.clone() };
    let napi = Napi::new(&softirqs, &line, "eth0", receive)?;
    let top_half = Arc::new(TopHalf { napi: napi.clone(), pr_info: pr_info.clone() });
    let irq = Registration::request(&line, Flags::empty(), "eth0", top_half)?;
    for (burst, done) in [(150, 1), (3, 2)] {
        card.receive(burst);
        wait_until(|| napi.stats().completed == done && !line.is_masked());
    }

    irq.release();
    let stats = napi.stats();
    pr_info(&format!("{} packets in {} polls", stats.work, stats.polls));
    pr_info("napi example exit");
    Ok(())
}
