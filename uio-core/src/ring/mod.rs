//! RING: hands data from one side to the other without a lock.
//!
//! [`spsc::channel`] is the kernel's `kfifo` with its rule of use made into types: one producer, one consumer,
//! no lock needed between them. A bottom half fills the ring that a node's readers empty, and the other way
//! round.

mod slots;
pub mod spsc;
