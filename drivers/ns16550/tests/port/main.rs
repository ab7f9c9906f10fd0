//! A port on a simulated UART, as the clients of its node see it: a test for each rule.
//!
//! The tests drive the port's file operations as a session does: a call that says `EAGAIN` and waits is tried again
//! at each wake-up of its queue. [`bench`] has that, and the other end of the wire.

mod bench;
mod drain;
mod faults;
mod flow;
mod lines;
mod settings;
mod stream;
mod timing;
