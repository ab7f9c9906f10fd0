//! A handler on the chain of a line, with its flags and, if it has one, its thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::handler::{Flags, Handler, IrqReturn, ThreadedHandler, ThreadedIrqReturn};
use super::threaded::IrqThread;
use crate::sync::context::Origin;

/// The kernel's `struct irqaction`.
pub(super) struct Action {
    pub(super) name: String,
    pub(super) flags: Flags,
    body: Body,
    origin: Origin,
    /// It has left the chain, and is not called any more in a round that is under way.
    left: AtomicBool,
    /// That it asks for a thread it does not have has been said.
    warned: AtomicBool,
}

enum Body {
    Primary(Arc<dyn Handler>),
    Threaded { handler: Arc<dyn ThreadedHandler>, thread: Option<Arc<IrqThread>> },
}

impl Action {
    #[track_caller]
    pub(super) fn primary(name: String, flags: Flags, handler: Arc<dyn Handler>) -> Arc<Self> {
        Self::new(name, flags, Body::Primary(handler))
    }

    #[track_caller]
    pub(super) fn threaded(
        name: String,
        flags: Flags,
        handler: Arc<dyn ThreadedHandler>,
        thread: Option<Arc<IrqThread>>,
    ) -> Arc<Self> {
        Self::new(name, flags, Body::Threaded { handler, thread })
    }

    #[track_caller]
    fn new(name: String, flags: Flags, body: Body) -> Arc<Self> {
        let (left, warned) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { name, flags, body, origin: Origin::here(), left, warned })
    }

    /// Asks the handler.
    pub(super) fn call(&self) -> ThreadedIrqReturn {
        let _origin = self.origin.enter();
        match &self.body {
            Body::Threaded { handler, .. } => handler.handle(),
            Body::Primary(handler) => match handler.handle() {
                IrqReturn::None => ThreadedIrqReturn::None,
                IrqReturn::Handled => ThreadedIrqReturn::Handled,
            },
        }
    }

    pub(super) fn thread(&self) -> Option<&Arc<IrqThread>> {
        match &self.body {
            Body::Primary(_) => None,
            Body::Threaded { thread, .. } => thread.as_ref(),
        }
    }

    /// It asked for a thread that it does not have. Whether that is news. The kernel's `warn_no_thread`.
    pub(super) fn first_time_without_thread(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }

    pub(super) fn has_left(&self) -> bool {
        // Acquire: pairs with `leave`; what the leaver did before is seen.
        self.left.load(Ordering::Acquire)
    }

    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }
}
