//! Driver for the 16550 serial port and its family (8250, 16450, 16550A): on PCI cards, at I/O ports, and
//! memory-mapped. The node behaves as a terminal in raw mode: `stty`, `picocom` and `pyserial` work on it.
//!
//! ```text
//!  the UART: characters in its FIFO, room in its transmitter, a modem line that changed: the interrupt
//!      │  irq/dispatch
//!      ▼
//!  top_half.rs    TopHalf::handle    IIR: ours? mask the line, schedule the tasklet
//!      │  softirq/tasklet
//!      ▼
//!  bottom_half.rs run                receive.rs  RX FIFO ─▶ input.rs ─▶ rx ring, errors counted
//!      │                             modem.rs    CTS, DSR, RI, DCD
//!      │                             transmit.rs tx ring ─▶ TX FIFO; then unmask the line
//!      │  ring + WaitQueue::wake_all
//!      ▼
//!  node.rs        read, write, poll  rx ring ─▶ client (VMIN, VTIME), client ─▶ output.rs ─▶ tx ring
//!  ioctl.rs       TCGETS, TIOCM...   termios.rs, baud.rs, serial.rs: what the numbers mean
//!      │  chardev/session
//!      ▼
//!  /dev/ttyUIO0 ─▶ stty, picocom, pyserial
//! ```
//!
//! # No byte is lost
//!
//! What is received goes into a ring of 64 KiB. When that is three quarters full the other end is told to stop, if
//! flow control is on: RTS is dropped (CRTSCTS), an XOFF is sent (IXOFF). When it is full, the rest stays in the
//! UART, whose receive interrupt is off until a reader made room ([`room`]); what overruns there is counted.
//!
//! # Lock order
//!
//! [`Hardware`](hardware::Hardware) is a spin lock: taken plainly in the tasklet, with bottom halves disabled
//! elsewhere. The node's `rx` and `tx`, `modes` and `timeouts` are leaves: nothing is called with one of them
//! held. Wait queues are woken without any lock.
#![forbid(unsafe_code)]

mod alarm;
mod baud;
mod bottom_half;
mod detect;
mod hardware;
mod input;
mod ioctl;
mod modem;
mod node;
mod output;
mod port;
mod probe;
mod receive;
mod regs;
mod room;
mod serial;
mod stats;
mod termios;
mod timeouts;
mod top_half;
mod transmit;

pub use port::{Port, Settings};
pub use probe::Ns16550;
pub use regs::Layout;
