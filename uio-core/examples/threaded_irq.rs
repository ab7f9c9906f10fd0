//! A threaded interrupt: the top half wakes a thread, which may sleep, and the line stays masked until it has
//! run.
//!
//! `cargo run --example threaded_irq`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use uio_core::irq::{
    Dispatcher, Flags, IrqReturn, ThreadedHandler, ThreadedIrqReturn, ThreadedRegistration,
    in_hardirq,
};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal, wait_until};

struct Button {
    pr_info: Print,
    presses: AtomicU32,
}

impl ThreadedHandler for Button {
    fn handle(&self) -> ThreadedIrqReturn {
        // In hard interrupt context: look, and hand over. (A driver would not print here.)
        (self.pr_info)(&format!("top half: interrupt, in_hardirq {}", u8::from(in_hardirq())));
        ThreadedIrqReturn::WakeThread
    }

    fn handle_threaded(&self) -> IrqReturn {
        // A thread may sleep, to read a register across a slow bus for one.
        thread::sleep(Duration::from_millis(5));
        let press = self.presses.fetch_add(1, Ordering::SeqCst) + 1;
        let thread = thread::current();
        (self.pr_info)(&format!("{}: button pressed {press}", thread.name().unwrap_or_default()));
        IrqReturn::Handled
    }

    fn has_primary(&self) -> bool {
        true
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with three presses in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (device, hardware) = device("button", &dispatcher)?;
    let line = device.line(0)?;

    pr_info("threaded_irq example init");
    let button = Arc::new(Button { pr_info: pr_info.clone(), presses: AtomicU32::new(0) });
    let handler: Arc<dyn ThreadedHandler> = button.clone();
    let irq = ThreadedRegistration::request(&line, Flags::ONESHOT, "button", handler)?;
    for press in 1..=3 {
        hardware.raise();
        wait_until(|| button.presses.load(Ordering::SeqCst) == press);
    }

    irq.release();
    pr_info("threaded_irq example exit");
    Ok(())
}
