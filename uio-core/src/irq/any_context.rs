//! [`request_any_context_irq`]: a handler that does not care where it runs.

use std::sync::Arc;

use super::handler::{Flags, Handler, IrqReturn, ThreadedHandler};
use super::line::IrqLine;
use super::registration::Registration;
use super::threaded::ThreadedRegistration;
use crate::error::Result;

/// What became of a [`request_any_context_irq`]. Released on drop, under the rules of what it holds.
#[derive(Debug)]
pub enum AnyContextRegistration {
    /// The handler is a top half: the kernel's `IRQC_IS_HARDIRQ`.
    HardIrq(Registration),
    /// The handler is a thread function: the kernel's `IRQC_IS_NESTED`.
    Threaded(ThreadedRegistration),
}

/// A handler in a thread.
struct InThread(Arc<dyn Handler>);

impl ThreadedHandler for InThread {
    fn handle_threaded(&self) -> IrqReturn {
        self.0.handle()
    }
}

/// Puts `handler` on the chain as a top half, or as a thread function if the line's source
/// [needs that](super::LineSource::needs_thread), which implies [`Flags::ONESHOT`].
///
/// # Errors
///
/// Those of [`Registration::request`] and [`ThreadedRegistration::request`].
#[track_caller]
pub fn request_any_context_irq(
    line: &IrqLine,
    flags: Flags,
    name: impl Into<String>,
    handler: Arc<dyn Handler>,
) -> Result<AnyContextRegistration> {
    if !line.line.source.needs_thread() {
        return Registration::request(line, flags, name, handler)
            .map(AnyContextRegistration::HardIrq);
    }
    let handler = Arc::new(InThread(handler));
    ThreadedRegistration::request(line, flags | Flags::ONESHOT, name, handler)
        .map(AnyContextRegistration::Threaded)
}
