//! INTERRUPT -> TOP HALF: lines, their handlers, and the dispatcher that brings the two together.
//!
//! # Vocabulary
//!
//! - **line** ([`IrqLine`]): one source of interrupts, a file descriptor that becomes readable: `/dev/uioN`, an
//!   eventfd. Its [`LineSource`] knows how to count and unmask it.
//! - **handler** ([`Handler`]): the top half. It reads the device's status, acknowledges, hands over to a
//!   bottom half, and says whether the interrupt was its own.
//! - **chain**: the handlers of one line, in order of registration, each asked every time.
//! - **dispatcher** ([`Dispatcher`]): the thread that waits for lines and walks their chains. What the hard
//!   interrupt context is to the kernel, this thread is here.
//! - **threaded handler** ([`ThreadedHandler`]): a top half that only wakes a thread of its own, `irq/NAME`,
//!   which may sleep.
//! - **after-hook** ([`AfterHook`]): what runs on the dispatcher when a round of lines is done. Softirqs
//!   attach here; this module does not know them.
//!
//! # The flow
//!
//! ```text
//!   epoll_wait ──▶ line: take the count ──▶ chain: Handler::handle ... ──▶ unmask, unless a handler masked
//!       ▲                                                                        │
//!       └────────────────────────── after-hooks (bottom halves) ◀────────────────┘
//! ```
//!
//! A UIO interrupt costs three system calls: wait, read, unmask; one that comes by an eventfd of its own, as VFIO's
//! do ([`EventFdSource`]), costs the wait alone. A handler that masks the line
//! ([`IrqLine::mask`], free of cost) moves the unmasking to its bottom half ([`IrqLine::unmask`]).
//!
//! # Contexts
//!
//! Handlers run at [`Level::HardIrq`], softirqs and tasklets at [`Level::Softirq`], thread functions and all
//! others at [`Level::Task`]. A call that sleeps says [`might_sleep`] and is caught in debug builds.
//! [`hold_delivery`], `SpinLock::lock_irqsave` and [`SpinLockIrq`] keep handlers from starting.
//!
//! The path allocates nothing, takes no lock and does not log; `tests/interrupt_cost.rs` counts.
//!
//! Mirrors `kernel/irq/{manage,chip,handle}.c` and `rust/kernel/irq/`.

mod action;
mod affinity;
mod any_context;
mod dispatch;
mod eventfd;
mod flow;
mod handler;
pub(crate) mod hold;
mod line;
mod lock;
mod registration;
mod spurious;
mod state;
mod stats;
pub(crate) mod thread;
mod threaded;
mod watch;

pub use crate::sync::context::{
    Level, current_level, in_hardirq, in_interrupt, in_softirq, might_sleep,
};
pub use affinity::{HardwareIrq, ProcIrq};
pub use any_context::{AnyContextRegistration, request_any_context_irq};
pub(crate) use dispatch::DispatcherHandle;
pub(crate) use dispatch::Shared;
pub use dispatch::{AfterHook, Dispatcher};
pub use eventfd::EventFdSource;
pub use handler::{Flags, Handler, IrqReturn, ThreadedHandler, ThreadedIrqReturn};
pub use hold::{DeliveryHeldGuard, hold_delivery};
pub use line::{IrqLine, LineSource};
pub use lock::{IrqSaveGuard, SpinLockIrq, SpinLockIrqGuard};
pub use registration::Registration;
pub use state::LineState;
pub use stats::LineStats;
pub(crate) use stats::bump;
pub use thread::{CpuSet, Scheduler, ThreadOptions};
pub use threaded::{ThreadedRegistration, request_threaded_irq};
pub(crate) use watch::Watch;

#[cfg(all(test, not(loom)))]
mod tests;
