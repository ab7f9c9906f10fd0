//! Driver for one channel of the DMA engine of Xilinx ZynqMP (GDMA, ADMA) and Versal (ADMA): it copies memory to
//! memory, inside a carve-out of the device tree, many copies in flight.
//!
//! ```text
//!  channel: a copy has ended, or failed
//!      │  irq/dispatch
//!      ▼
//!  top_half.rs    TopHalf::handle     ask why, acknowledge, schedule the tasklet
//!      │  softirq/tasklet
//!      ▼
//!  bottom_half.rs BottomHalf::run     ─▶ engine.rs: end the copy that runs, start the next (queue.rs)
//!      │  WaitQueue::wake_all
//!      ▼
//!  node.rs        Node::read          echo: what was written, after the engine had it
//!                                     memory: the carve-out itself
//!                                     queue: how copies ended
//!      │  chardev/session
//!      ▼
//!  /dev/zdma0 ─▶ cat, echo, dd, programs
//! ```
//!
//! The registers are programmed in `channel.rs` and nowhere else. What may be copied is in `copies.rs`, where the memory
//! comes from in `memory.rs`, who looks after a copy that does not end in `watch.rs`. The node is told in
//! `docs/zynqmp-dma.md`.
//!
//! # One at a time
//!
//! The channel has two modes: *simple*, where source, destination and length are registers, and *linked*, where it
//! fetches a list of descriptors from memory. This driver uses the first. A list saves an interrupt for each copy but the
//! last; but an error interrupt does not say at which descriptor, and all copies of the list would have to fail with it.
#![forbid(unsafe_code)]

mod bottom_half;
mod channel;
mod copies;
mod engine;
mod ioctl;
mod memory;
mod node;
mod probe;
mod queue;
mod regs;
mod stats;
mod top_half;
mod watch;

pub use probe::ZynqmpDma;

#[cfg(test)]
mod tests;
