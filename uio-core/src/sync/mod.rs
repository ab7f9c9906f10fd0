//! Waiting, waking and locking: what the kernel has for it, with the kernel's semantics.
//!
//! | the kernel's | here | what it is made of |
//! | --- | --- | --- |
//! | `wait_queue_head_t`, `wait_event*`, `wake_up*` | [`WaitQueue`] | own: threads, futures and subscribers in one queue |
//! | `signal_pending`, `flush_signals` | [`Interrupt`], [`task`] | own: a token for each thread |
//! | `struct completion` | [`Completion`] | a count and a wait queue |
//! | `spinlock_t`, `rwlock_t` | [`SpinLock`], [`RwSpinLock`] | `std`'s adaptive futex locks |
//! | `struct mutex` | [`Mutex`] | `std`'s mutex, and a wait queue for interruptible waits |
//! | `struct semaphore` | [`Semaphore`] | own: a count and a list, what is given cannot be snatched |
//! | `struct rw_semaphore` | [`RwSemaphore`] | own: a fair queue; `std`'s lock holds the data |
//! | `seqlock_t` | [`SeqLock`] | own: atomic words and a spin lock |
//! | RCU | [`rcu`] | own: an epoch, and a word for each thread |
//! | `set_bit` and friends | [`bitops`], [`Bitmap`] | `std`'s atomics, with the kernel's rules of order |
//! | lockdep | [`lockdep`] | own, in debug builds only; it watches all of the above |
//! | `in_interrupt`, `might_sleep` | [`context`] | own: a thread-local |
//! | `atomic_t`, `smp_mb` | `std::sync::atomic`, `fence(SeqCst)` | `std` |
//! | `struct once`, `DO_ONCE` | `std::sync::Once`, `OnceLock` | `std` |
//! | `refcount_t`, `kref` | `std::sync::Arc` | `std` |
//!
//! Who may sleep: a wait, a mutex, a semaphore's `down`, a reader-writer semaphore, and RCU's `synchronize`
//! and `barrier`. None of them in a top half, in a bottom half of a softirq, under a spin lock, or in an RCU
//! section. Whatever wakes, gives, or only tries never sleeps, and may be called anywhere.
//!
//! Mutexes, condition variables and atomics beneath are those of `std`; the `facade` swaps them for loom's when
//! the crate is built as a model (`--cfg loom`).

pub mod bitops;
pub mod completion;
pub mod context;
pub(crate) mod facade;
pub mod lockdep;
pub mod mutex;
mod park;
pub mod rcu;
pub mod rwsem;
pub mod semaphore;
pub mod seqlock;
pub(crate) mod sleep;
pub mod spin;
pub mod task;
#[cfg(test)]
pub(crate) mod testing;
pub mod wait;

pub use bitops::Bitmap;
pub use completion::Completion;
pub use mutex::{Mutex, MutexGuard};
pub use rwsem::{RwSemaphore, RwSemaphoreReadGuard, RwSemaphoreWriteGuard};
pub use semaphore::Semaphore;
pub use seqlock::{Plain, SeqLock};
pub use spin::{RwSpinLock, RwSpinLockReadGuard, RwSpinLockWriteGuard, SpinLock, SpinLockGuard};
pub use task::{Interrupt, Interrupted};
pub use wait::{WaitQueue, WaitResult, WaitUntil, Wake};
