//! Order between what the CPU and a device do in memory that both reach: `dma_rmb`, `dma_wmb`, `dma_mb`.
//!
//! The device is no thread of the program: what a thread's fence orders, other threads see, but a device may sit
//! beyond what threads share (the outer shareable domain of arm64). On x86 all stores are seen in their order, by
//! devices too, and only the compiler must be kept from reordering.
//!
//! A write to a register by [`Io`](crate::io::Io) comes after all writes to memory before it, by itself, as
//! `writel` does: a doorbell needs no barrier. These are for memory alone: a descriptor, and then its owner bit.
//!
//! Mirrors `Documentation/memory-barriers.txt` and `arch/*/include/asm/barrier.h`.
#![cfg_attr(
    target_arch = "aarch64",
    expect(unsafe_code, reason = "no fence of the language reaches devices")
)]

#[cfg(not(target_arch = "aarch64"))]
use std::sync::atomic::{Ordering, fence};

macro_rules! barrier {
    ($(#[$doc:meta])* $name:ident: $order:ident, $dmb:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            #[cfg(not(target_arch = "aarch64"))]
            fence(Ordering::$order);
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a barrier changes nothing. Without `nomem`, the compiler keeps its order as well.
            unsafe { core::arch::asm!(concat!("dmb ", $dmb), options(nostack, preserves_flags)) };
        }
    };
}

barrier! {
    /// What is read from now on is read after what was read before: the owner bit, then the descriptor.
    dma_rmb: Acquire, "oshld"
}

barrier! {
    /// What was written before is seen before what is written from now on: the descriptor, then the owner bit.
    dma_wmb: Release, "oshst"
}

barrier! {
    /// What was read and written before comes before what is from now on.
    dma_mb: SeqCst, "osh"
}
