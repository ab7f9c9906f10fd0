//! A line that nobody cares for: of 100,000 interrupts more than 99,900 are unhandled, and it is shut off, so that
//! one broken device does not take the machine; then polled at a low rate, and enabled again on request.
//!
//! `cargo run --example spurious_irq`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uio_core::device::sim::SimLine;
use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal, wait_until};

/// A driver for the device beside it: this one's interrupts are not its own.
struct Stranger {
    hardware: Arc<SimLine>,
    is_mended: AtomicBool,
}

impl Handler for Stranger {
    fn handle(&self) -> IrqReturn {
        if self.is_mended.load(Ordering::Acquire) {
            return IrqReturn::Handled;
        }
        // Nobody has silenced the device, so its line comes up again at once.
        self.hardware.raise();
        IrqReturn::None
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What happens to the module, from its init to its exit.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (device, hardware) = device("screaming", &dispatcher)?;
    let line = device.line(0)?;

    pr_info("spurious_irq example init");
    let is_mended = AtomicBool::new(false);
    let stranger = Arc::new(Stranger { hardware: Arc::clone(&hardware), is_mended });
    let irq = Registration::request(&line, Flags::SHARED, "stranger", stranger.clone())?;
    hardware.raise();
    wait_until(|| line.is_shut_off());
    pr_info("irq screaming: nobody cared");
    pr_info("Disabling IRQ screaming");

    stranger.is_mended.store(true, Ordering::Release);
    let before = line.stats().polled;
    wait_until(|| line.stats().polled > before);
    pr_info(&format!("polled now and then; still shut off: {}", line.is_shut_off()));

    let handled = line.stats().handled;
    line.reenable();
    hardware.raise();
    wait_until(|| line.stats().handled > handled);
    pr_info(&format!("enabled again, and handled; shut off: {}", line.is_shut_off()));
    irq.release();
    pr_info("spurious_irq example exit");
    Ok(())
}
