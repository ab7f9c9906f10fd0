//! MEMORY: what devices read and write by themselves.
//!
//! [`dma`] has the addresses that devices use, the buffers behind them, and the allocator of addresses. [`Plain`]
//! is the data that may lie where others write it.

pub mod dma;
mod plain;

pub use plain::Plain;
