//! The raw Linux ABI, one file per kernel object. Everything above speaks through these.
//!
//! Only [`sysfs`] is public: what it reads is text, and tools look at devices through it without touching them.

pub(crate) mod clock;
pub(crate) mod mmap;
pub(crate) mod sched;
pub(crate) mod schedstat;
pub(crate) mod scm;
pub(crate) mod sigbus;
pub mod sysfs;
pub(crate) mod timerfd;
pub(crate) mod uio;
