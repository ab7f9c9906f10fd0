//! What a driver implements to take interrupts: [`Handler`] or [`ThreadedHandler`], what they return, and the
//! [`Flags`] of a request.

bitflags::bitflags! {
    /// How a line is requested. The kernel's `IRQF_*`, as far as they are honoured.
    ///
    /// | rule (`__setup_irq`, `request_threaded_irq`) | answer |
    /// | --- | --- |
    /// | all handlers of a line say `SHARED`, or there is one | `EBUSY` |
    /// | all handlers of a line say `ONESHOT`, or none does | `EBUSY` |
    /// | a threaded handler without a primary one says `ONESHOT` | `EINVAL` |
    /// | `NO_AUTOEN` is not said with `SHARED` | `EINVAL` |
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Flags: u32 {
        /// Other handlers may be on the line. All of them must say so.
        const SHARED = 0x80;
        /// The line stays masked until the thread functions that an interrupt woke have run. All handlers of
        /// the line must say so; on one without a thread function it has no other effect.
        const ONESHOT = 0x2000;
        /// The request leaves the line disabled; the driver enables it with [`IrqLine::enable`]. Not with
        /// `SHARED`: the others would find their line disabled.
        ///
        /// [`IrqLine::enable`]: super::IrqLine::enable
        const NO_AUTOEN = 0x8_0000;
    }
}

/// What a handler says of an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum IrqReturn {
    /// It was not from this device.
    None,
    /// It was from this device and has been dealt with.
    Handled,
}

/// What the primary handler of a [`ThreadedHandler`] says of an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ThreadedIrqReturn {
    /// It was not from this device.
    None,
    /// It was from this device and has been dealt with; the thread is not needed.
    Handled,
    /// The thread function is to run.
    WakeThread,
}

/// The top half of a driver.
///
/// Runs on the dispatcher, in what counts as hard interrupt context: it must be short, and may not sleep,
/// allocate or log. Never runs beside itself for one line.
pub trait Handler: Send + Sync {
    /// An interrupt came in on the line; events that were coalesced come as one call.
    fn handle(&self) -> IrqReturn;
}

impl<T: Handler + ?Sized> Handler for std::sync::Arc<T> {
    fn handle(&self) -> IrqReturn {
        (**self).handle()
    }
}

/// A top half whose work is done in a thread of its own, `irq/NAME`, where it may sleep.
///
/// Neither function runs beside itself. A wake-up that comes while the thread function runs makes it run once
/// more.
pub trait ThreadedHandler: Send + Sync {
    /// The primary handler, under the rules of [`Handler::handle`]. The default one (the kernel's
    /// `irq_default_primary_handler`) wakes the thread and does nothing else.
    fn handle(&self) -> ThreadedIrqReturn {
        ThreadedIrqReturn::WakeThread
    }

    /// The thread function: an ordinary thread, which may sleep.
    fn handle_threaded(&self) -> IrqReturn;

    /// Whether [`handle`](Self::handle) is the driver's own, and keeps the device quiet until the thread
    /// function runs. Without one the request needs [`Flags::ONESHOT`].
    fn has_primary(&self) -> bool {
        false
    }
}

impl<T: ThreadedHandler + ?Sized> ThreadedHandler for std::sync::Arc<T> {
    fn handle(&self) -> ThreadedIrqReturn {
        (**self).handle()
    }

    fn handle_threaded(&self) -> IrqReturn {
        (**self).handle_threaded()
    }

    fn has_primary(&self) -> bool {
        (**self).has_primary()
    }
}
