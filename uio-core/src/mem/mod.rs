//! MEMORY: what devices read and write by themselves.
//!
//! [`dma`] has the addresses that devices use, the buffers behind them, and the allocator of addresses.

pub mod dma;
