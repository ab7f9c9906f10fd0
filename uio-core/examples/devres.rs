//! Managed resources: the device holds what its driver acquired, and releases it, the latest first, when it is unbound
//! or pulled out. Nobody has to remember.
//!
//! `cargo run --example devres`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, request_any_context_irq};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal, wait_until};

/// Something that a driver acquires: `devm_add_action`.
struct Acquired(&'static str, Print);

impl Drop for Acquired {
    fn drop(&mut self) {
        (self.1)(&format!("released: {}", self.0));
    }
}

/// Counts interrupts, and says when it goes.
struct Top {
    interrupts: Arc<AtomicU32>,
    _acquired: Acquired,
}

impl Handler for Top {
    fn handle(&self) -> IrqReturn {
        self.interrupts.fetch_add(1, Ordering::Release);
        IrqReturn::Handled
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's probe does, an interrupt, and an unbind.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (device, hardware) = device("card", &dispatcher)?;

    pr_info("devres example probe");
    let buffer = device.manage(Acquired("buffer", pr_info.clone()))?;
    let interrupts = Arc::new(AtomicU32::new(0));
    let acquired = Acquired("interrupt", pr_info.clone());
    let top = Arc::new(Top { interrupts: Arc::clone(&interrupts), _acquired: acquired });
    // As a top half, or in a thread where the line needs one: this handler does not care.
    let irq = request_any_context_irq(&device.line(0)?, Flags::empty(), "card", top)?;
    let irq = device.manage(irq)?;

    hardware.raise();
    wait_until(|| interrupts.load(Ordering::Acquire) == 1);
    pr_info(&format!("one interrupt; the buffer is there: {}", buffer.is_available()));

    device.release_managed();
    pr_info(&format!("unbound; access to the buffer: {}", buffer.try_access().is_some()));
    pr_info(&format!("unbound; access to the interrupt: {}", irq.try_access().is_some()));
    Ok(())
}
