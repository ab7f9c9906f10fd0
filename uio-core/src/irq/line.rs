//! [`IrqLine`]: one source of interrupts, and what a driver may do with it.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};

use nix::errno::Errno;

use super::dispatch::{Dispatcher, DispatcherHandle, Shared};
use super::flow::Line;
use super::hold::DeliveryHeldGuard;
use super::state::LineState;
use super::stats::LineStats;
use super::thread::ThreadOptions;
use crate::error::{Error, Result};

/// The device's side of a line, implemented by each backend. The kernel's `struct irq_chip`.
///
/// # Errors
///
/// Every call may fail with `ENODEV`, which means that the device is gone for good.
pub trait LineSource: Send + Sync {
    /// What becomes readable when an interrupt comes in. Never blocks.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Takes the number of interrupts since the last call; 0 if there was none. At most one system call.
    fn take(&self) -> Result<u32, Errno>;

    /// Lets the device raise interrupts. At most one system call.
    fn unmask(&self) -> Result<(), Errno>;

    /// Stops the device from raising interrupts. At most one system call.
    fn mask(&self) -> Result<(), Errno>;

    /// Whether the source masks itself when it fires, so that every round must end with an unmask.
    fn masks_itself(&self) -> bool;

    /// Called before the line is watched, at its first request: what was signalled while it had no handler is not
    /// an interrupt. A source whose [`take`](Self::take) reads the count, and which is masked until then, has
    /// nothing to forget. At most one system call.
    fn forget_past(&self) {}

    /// Whether an error on the descriptor (`EPOLLERR`) means that the device is gone. Then an interrupt need not be
    /// read to be told from that.
    fn error_is_loss(&self) -> bool {
        false
    }

    /// Whether a handler has to sleep to reach the device, which is behind a slow bus: then
    /// [`request_any_context_irq`](super::request_any_context_irq) runs it in a thread. The kernel's
    /// `irq_set_nested_thread`.
    fn needs_thread(&self) -> bool {
        false
    }
}

/// A source of interrupts. Cheap to clone; all clones are the same line.
#[derive(Clone)]
pub struct IrqLine {
    pub(super) line: Arc<Line>,
}

impl IrqLine {
    /// A line called `name` over `source`, to be served by `dispatcher`. It is disabled until its first
    /// handler is [registered](super::Registration::request).
    pub fn new(
        name: impl Into<String>,
        source: Box<dyn LineSource>,
        dispatcher: &Dispatcher,
    ) -> Self {
        Self::on(name, source, &dispatcher.handle())
    }

    /// As [`new`](Self::new), for those who outlive the dispatcher.
    pub(crate) fn on(
        name: impl Into<String>,
        source: Box<dyn LineSource>,
        dispatcher: &DispatcherHandle,
    ) -> Self {
        Self { line: Arc::new(Line::new(name.into(), source, dispatcher.0.clone())) }
    }

    /// Calls `hook` once, on the dispatcher, when the source says that the device is gone.
    ///
    /// The first hook stays; a line has one device.
    pub fn on_gone(&self, hook: impl Fn(Errno) + Send + Sync + 'static) {
        let _ = self.line.gone.set(Box::new(hook));
    }

    /// The device is gone, though its source has not said so: no handler starts any more, and the hook of
    /// [`on_gone`](Self::on_gone) is called, unless it was.
    pub(crate) fn end(&self, errno: Errno) {
        self.line.die(errno);
    }

    /// The name, as in `/proc/interrupts`.
    pub fn name(&self) -> &str {
        &self.line.name
    }

    /// Disables the line: no handler starts until the matching [`unmask`](Self::unmask). Nests. A running
    /// handler is not waited for. What fires meanwhile is kept, and runs then.
    ///
    /// No system call. May be called anywhere, from the handler itself too.
    pub fn mask(&self) {
        self.line.state.mask();
    }

    /// Undoes one [`mask`](Self::mask). The last one lets the device fire again (at most one system call),
    /// or runs what was kept.
    pub fn unmask(&self) {
        self.line.settle(self.line.state.unmask());
    }

    /// As [`mask`](Self::mask), and waits for handlers and thread functions that run. When it returns, none
    /// runs and none starts until the matching [`enable`](Self::enable). Nests.
    ///
    /// Called in the line's own thread function, it does not wait for that one. It sleeps: a top half, where
    /// the kernel's would wait for itself for ever, uses [`disable_nosync`](Self::disable_nosync).
    ///
    /// # Panics
    ///
    /// In debug builds, if the caller may not sleep.
    #[doc(alias = "disable_irq")]
    #[track_caller]
    pub fn disable(&self) {
        crate::sync::context::might_sleep();
        self.mask();
        self.line.synchronize();
    }

    /// [`mask`](Self::mask), by the kernel's name.
    #[doc(alias = "disable_irq_nosync")]
    pub fn disable_nosync(&self) {
        self.mask();
    }

    /// [`unmask`](Self::unmask), by the kernel's name. Also ends what [`Flags::NO_AUTOEN`] began.
    ///
    /// [`Flags::NO_AUTOEN`]: super::Flags::NO_AUTOEN
    #[doc(alias = "enable_irq")]
    pub fn enable(&self) {
        self.unmask();
    }

    /// How the line stands at this moment.
    #[doc(alias = "irq_get_irqchip_state")]
    pub fn state(&self) -> LineState {
        self.line.state.look()
    }

    /// Whether software has the line masked.
    pub fn is_masked(&self) -> bool {
        self.line.state.is_masked()
    }

    /// Whether the line was shut off, since nobody wanted its interrupts. Its handlers are then asked every
    /// 100 ms without an interrupt.
    pub fn is_shut_off(&self) -> bool {
        self.line.state.is_shut_off()
    }

    /// Gives a line that was shut off another chance; nothing happens to one that was not.
    pub fn reenable(&self) {
        self.line.reenable();
    }

    /// What the line has seen so far.
    pub fn stats(&self) -> LineStats {
        self.line.counters.read()
    }

    /// The names of the handlers, in the order in which they are asked.
    pub fn handlers(&self) -> Vec<String> {
        self.line.chain.read(|chain| chain.iter().map(|action| action.name.clone()).collect())
    }

    /// Holds delivery on the dispatcher that serves this line; see [`hold_delivery`](super::hold_delivery).
    #[track_caller]
    pub fn hold_delivery(&self) -> DeliveryHeldGuard {
        DeliveryHeldGuard::on(self.line.dispatcher())
    }

    /// Moves the line to `dispatcher`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the line has handlers: they would change their thread unawares.
    pub fn serve_by(&self, dispatcher: &Dispatcher) -> Result<()> {
        let _turn = self.line.turn_of_requests();
        if self.line.chain.read(|chain| !chain.is_empty()) {
            return Err(Error::new(Errno::EBUSY, "cannot move interrupt line", self.name())
                .with_cause(format!("{} has it", self.handlers().join(", ")))
                .with_hint("choose the dispatcher before the first handler is registered"));
        }
        self.line.served_by.store(Arc::new(Arc::downgrade(dispatcher.shared())));
        Ok(())
    }

    /// Gives the line a dispatcher of its own, whose thread is called `irq/NAME` and runs as `options` say: a
    /// slow handler of another line then holds it up no more. The dispatcher lives as long as what is
    /// returned, and serves no other line unless told to.
    ///
    /// # Errors
    ///
    /// - `EBUSY` as [`serve_by`](Self::serve_by);
    /// - what [`Dispatcher::start_with`] says.
    pub fn dedicate(&self, options: &ThreadOptions) -> Result<Dispatcher> {
        let dispatcher = Dispatcher::start_with(&format!("irq/{}", self.name()), options)?;
        self.serve_by(&dispatcher)?;
        Ok(dispatcher)
    }
}

impl fmt::Debug for IrqLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrqLine")
            .field("name", &self.line.name)
            .field("state", &self.state())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// How a line finds its dispatcher.
pub(super) type ServedBy = arc_swap::ArcSwap<Weak<Shared>>;
