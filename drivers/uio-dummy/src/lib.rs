//! Driver for `uio_dummy`, the reference device: bytes go out through its TX FIFO, come back through its RX
//! FIFO, and an interrupt says when.
//!
//! ```text
//!  uio_dummy: its timer moves TX to RX and raises the interrupt
//!      │  irq/dispatch
//!      ▼
//!  top_half.rs    TopHalf::handle     mask the line, schedule the tasklet
//!      │  softirq/tasklet
//!      ▼
//!  bottom_half.rs BottomHalf::run     RX FIFO ─▶ rx ring, tx ring ─▶ TX FIFO, unmask the line
//!      │  ring + WaitQueue::wake_all
//!      ▼
//!  node.rs        Node::read, write   rx ring ─▶ client, client ─▶ tx ring
//!      │  chardev/session
//!      ▼
//!  /dev/uio_dummy0 ─▶ cat, echo
//! ```
//!
//! # Lock order
//!
//! `Node`'s `rx` and `tx` are each taken alone, by whoever serves the node. The bottom half owns the other
//! ends of both rings, and takes its own lock (never contended: a tasklet does not run beside itself).
#![forbid(unsafe_code)]

mod bottom_half;
mod node;
mod probe;
mod regs;
mod top_half;

pub use probe::UioDummy;
