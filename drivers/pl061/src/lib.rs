//! Driver for the PrimeCell PL061, ARM's block of eight general-purpose lines (GPIO): direction and level of each
//! line, and what its inputs do as events with a time.
//!
//! ```text
//!  an input rises, falls, or has a level: the block's one interrupt
//!      │  irq/dispatch
//!      ▼
//!  top_half.rs    TopHalf::handle    hardware.rs: GPIOMIS: ours? acknowledge, look at the levels, take the time;
//!      │                             mask the interrupt, schedule the tasklet
//!      │  softirq/tasklet
//!      ▼
//!  bottom_half.rs run                hardware.rs: which events that makes; level interrupts off until armed again
//!      │                             journal.rs: into the ring; then unmask
//!      │  WaitQueue::wake_all
//!      ▼
//!  node.rs        read, poll         journal.rs: each open file reads the ring at its own pace
//!                 write              command.rs: `3 in both`, `4 out 1`
//!  ioctl.rs       GPIO_V2_...        uapi.rs: the structures of the kernel's <linux/gpio.h>
//!      │  chardev/session
//!      ▼
//!  /dev/gpiouio0 ─▶ cat, echo, poll, ioctl
//! ```
//!
//! What a line is to be is a [`Change`](lines::Change), however it was asked for; [`hardware`] carries out several of
//! them or none. The node is told in `docs/pl061.md`.
//!
//! # Lock order
//!
//! [`Hardware`](hardware::Hardware) is a spin lock that the top half takes plainly and all others with delivery held;
//! the [`Journal`](journal::Journal) is one that the tasklet takes plainly and the node with bottom halves off. Neither
//! is taken with the other held, and wait queues are woken without any.
#![forbid(unsafe_code)]

mod bottom_half;
mod command;
mod event;
mod hardware;
mod ioctl;
mod journal;
mod lines;
mod node;
mod probe;
mod regs;
mod top_half;
mod uapi;

pub use probe::Pl061;

#[cfg(test)]
mod tests;
