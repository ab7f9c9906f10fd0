//! A shared interrupt line: two drivers ask for it, each takes what is its own; it is disabled and enabled; one
//! leaves while the other goes on.
//!
//! `cargo run --example shared_irq`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};

#[path = "support/mod.rs"]
mod support;
use support::{Print, device, terminal, wait_until};

/// The status register of a device on the line: whether the interrupt is its own.
#[derive(Default)]
struct Status(AtomicU32);

struct Driver {
    name: &'static str,
    pr_info: Print,
    status: Arc<Status>,
    asked: AtomicU32,
}

impl Handler for Driver {
    fn handle(&self) -> IrqReturn {
        // Reading the status acknowledges it. (A driver would not print here.)
        let own = self.status.0.swap(0, Ordering::AcqRel) != 0;
        let said = if own { "IRQ_HANDLED" } else { "IRQ_NONE" };
        (self.pr_info)(&format!("{}: {said}", self.name));
        self.asked.fetch_add(1, Ordering::Release);
        if own { IrqReturn::Handled } else { IrqReturn::None }
    }
}

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do, with interrupts in between.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (device, hardware) = device("board", &dispatcher)?;
    let line = device.line(0)?;
    let driver = |name| {
        let (pr_info, status) = (pr_info.clone(), Arc::default());
        Arc::new(Driver { name, pr_info, status, asked: AtomicU32::new(0) })
    };
    let (uart, button) = (driver("uart"), driver("button"));
    let await_rounds = |driver: &Driver, rounds| {
        wait_until(|| driver.asked.load(Ordering::Acquire) == rounds);
    };

    pr_info("shared_irq example init");
    let first = Registration::request(&line, Flags::SHARED, "uart", uart.clone())?;
    let second = Registration::request(&line, Flags::SHARED, "button", button.clone())?;
    if let Err(error) = Registration::request(&line, Flags::empty(), "greedy", uart.clone()) {
        pr_info(&format!("greedy: {}", error.errno()));
    }
    pr_info(&format!("handlers: {}", line.handlers().join(", ")));

    pr_info("the button is pressed");
    button.status.0.store(1, Ordering::Release);
    hardware.raise();
    await_rounds(&button, 1);

    line.disable();
    line.disable();
    uart.status.0.store(1, Ordering::Release);
    hardware.raise();
    line.enable();
    pr_info("the uart has data, and the line is still disabled");
    line.enable();
    await_rounds(&button, 2);

    second.release();
    pr_info("button has left");
    uart.status.0.store(1, Ordering::Release);
    hardware.raise();
    await_rounds(&uart, 3);
    first.release();
    pr_info("shared_irq example exit");
    Ok(())
}
