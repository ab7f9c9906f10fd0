//! BOTTOM HALF that may not sleep: softirqs, tasklets, and adaptive polling.
//!
//! # Vocabulary
//!
//! - [`Softirqs`]: the bottom halves of one dispatcher, an after-hook of it. What `softirq_vec` and its
//!   pending bits are to a processor.
//! - [`Vector`]: a kind of softirq, by the kernel's name. [`Softirqs::open`] gives it a function,
//!   [`Softirqs::raise`] makes it run soon.
//! - [`Tasklet`]: a function that runs once for any number of [`schedule`](Tasklet::schedule) calls made
//!   before it starts, and never beside itself. Tasklets are the vectors `HI` and `TASKLET`.
//! - [`Napi`]: polls a device under load, in place of its interrupts. The vector `NET_RX`.
//! - **`ksoftirqd/N`**: the thread that takes over when there is too much to do on the way.
//!
//! A round runs what is pending, in order of priority; what is raised meanwhile makes another round. After 10
//! rounds or 2 ms (`MAX_SOFTIRQ_RESTART` and `MAX_SOFTIRQ_TIME` of `kernel/softirq.c`) `ksoftirqd` takes
//! over, until nothing is pending: so a driver whose bottom half never ends cannot keep the dispatcher from
//! its lines. Bottom halves of one dispatcher never run beside each other, those of two may; **beside a top
//! half they may run**, as on a machine with more than one processor: what both touch wants an atomic or a
//! [`SpinLock`](crate::sync::SpinLock), taken with `lock_irqsave` in the bottom half. What a bottom half and a
//! thread touch, the thread takes with `lock_bh`.
//!
//! From top half to tasklet there is no thread hop, no allocation and no system call.

mod attach;
mod bh;
mod door;
mod engine;
mod gate;
mod napi;
mod stats;
mod tasklet;
mod vector;

pub use attach::Softirqs;
pub use bh::{BhDisabledGuard, BhGuard, SpinLockBh, SpinLockBhGuard, bh_disable};
pub use napi::{Napi, NapiStats, POLL_WEIGHT, Poll, ROUND_BUDGET};
pub use stats::{SoftirqStats, VectorStats};
pub use tasklet::Tasklet;
pub use vector::Vector;

#[cfg(all(test, not(loom)))]
mod tests;
