//! Driver for `edu`, QEMU's educational PCI device (1234:11e8): it computes factorials, inverts numbers, and moves
//! bytes between memory and a buffer of its own; by message-signalled interrupts or by its pin, with DMA or without.
//!
//! ```text
//!  edu: a computation or a transfer has ended
//!      │  irq/dispatch
//!      ▼
//!  top_half.rs    TopHalf::handle     ask why, acknowledge, schedule the tasklet
//!      │  softirq/tasklet
//!      ▼
//!  bottom_half.rs BottomHalf::run     ─▶ engine.rs: end the job, if the device says so, start the next
//!      │  WaitQueue::wake_all
//!      ▼
//!  node.rs        Node::ioctl         claim the result (ioctl.rs)
//!                 Node::read, write   the buffer as a small file (open_file.rs)
//!      │  chardev/session
//!      ▼
//!  /dev/edu0 ─▶ cat, echo, dd, ioctl
//! ```
//!
//! What an engine does is in `factorial.rs` and `dma.rs`; both, and the watch over them, are in `engines.rs`.
//! The node is told in `docs/edu.md`.
#![forbid(unsafe_code)]

mod bottom_half;
mod dma;
mod engine;
mod engines;
mod factorial;
mod ioctl;
mod node;
mod open_file;
mod probe;
mod regs;
mod stats;
mod top_half;

pub use probe::Edu;

#[cfg(test)]
mod tests;
