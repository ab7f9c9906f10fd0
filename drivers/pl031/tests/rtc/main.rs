//! The driver on a simulated clock, as the clients of its node see it: a test for each rule.
//!
//! Most tests drive the file operations as a session does: a call that says `EAGAIN` and waits is tried again at
//! each wake-up of its queue. [`bench`] has that, and the clock's time. Those in [`node`] have a node, and clients
//! that are programs of their own.

mod alarms;
mod bench;
mod faults;
mod node;
mod races;
mod reads;
mod time;
