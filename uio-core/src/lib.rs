//! The Linux kernel's driver API as a safe library in userspace.
//!
//! A driver written against this crate has the shape of a kernel driver: it claims registers and an
//! interrupt line, its top half acknowledges and hands over, its bottom half drains the device into a ring,
//! and a character device serves the ring to `cat` and `echo`. The names are those of Rust-for-Linux.
//!
//! The modules, in layers: each uses only what stands above it.
#![deny(unsafe_code)]
#![cfg_attr(loom, expect(dead_code, reason = "a model uses a part of each module"))]

pub mod chardev;
mod cycles;
pub mod device;
#[cfg(not(loom))]
pub mod driver;
pub mod error;
pub mod io;
pub mod irq;
pub mod kthread;
pub mod mem;
pub mod of;
pub mod pci;
pub mod ring;
mod run_dir;
pub mod softirq;
pub mod sync;
pub mod sys;
pub mod time;
pub mod workqueue;

pub use error::{Errno, Error, Result};
pub use run_dir::default_run_dir;
