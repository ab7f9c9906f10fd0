//! Device tree: nodes, their properties, and what a driver's table matches them by.
//!
//! # Vocabulary
//!
//! - **node**: a device, a bus, or a description that belongs to one, at a path such as `/soc/serial@9000000`;
//! - **property**: bytes with a name. Numbers are cells of 32 bits, big-endian; texts end with a zero byte;
//! - **compatible**: what a device is, the most exact name first: `"arm,pl031", "generic-uio"`;
//! - **`reg`**: where its registers and memory are, as its bus sees them. [`Reg`] is what the CPU sees, translated
//!   through the `ranges` of every bus above;
//! - **interrupt specifier**: the cells that tell a controller which of its inputs is meant, and how it is triggered.
//!
//! [`Node`] is a snapshot and opens nothing: it comes from a [`Tree`], which reads what the kernel shows of the tree
//! that it was booted with, or is built by hand for a model. The neighbours: [`device`](crate::device) finds the UIO
//! device of a node, [`driver`](../driver/index.html) matches tables.
//!
//! Mirrors `rust/kernel/of.rs`, `rust/kernel/device/property.rs` and `drivers/of/{base,address,irq}.c`; the formats
//! are those of the Devicetree Specification v0.4, chapters 2.2 to 2.4.

mod cells;
mod id;
mod node;
mod property;
mod selector;
mod tree;
mod wiring;

pub use id::DeviceId;
pub use node::{Interrupt, Node, Reg};
pub use property::{Property, PropertyGuard};
pub use selector::Selector;
pub use tree::Tree;

#[cfg(test)]
mod tests;
