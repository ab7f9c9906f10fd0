//! Time: clocks, jiffies, timers, delays, and the cycle counter.
//!
//! | to | there is | mirrors |
//! | --- | --- | --- |
//! | read a clock | [`Instant`], [`ktime_get`], [`ktime_get_real`], [`ktime_get_boottime`] | `ktime_get` ... |
//! | count coarse time | [`Jiffies`], [`now_jiffies`], [`HZ`] | `jiffies` |
//! | run something at an exact point, or periodically | [`HrTimer`] | `struct hrtimer` |
//! | run something unless it is cancelled first, as most timeouts are | [`Timer`] | `struct timer_list` |
//! | wait for a register, with a deadline | [`read_poll_timeout`], [`read_poll_timeout_atomic`] | `readl_poll_timeout` |
//! | wait | [`sleep`], [`fsleep`], [`udelay`] | `msleep`, `fsleep`, `udelay` |
//! | measure short spans | [`get_cycles`], [`Cycles`] | `get_cycles` |
//!
//! # Layers
//!
//! The callbacks of timers are bottom halves: softirqs of a dispatcher, `TIMER` and `HRTIMER`. What they need of
//! it is in `alarm` alone. `cycles` uses nothing of the crate and stands below `irq`, which uses it for its
//! statistics.
//!
//! ```text
//!   timer ── wheel     hrtimer ── queue        delay
//!     └────────┬──────────┘                      │
//!            alarm            jiffies, clock ◀───┘
//!              ▼
//!           softirq ──▶ irq ──▶ cycles
//! ```
//!
//! `wheel` and `queue` are pure: they know no clock, no descriptor and no thread.

#[cfg(not(loom))]
mod alarm;
mod clock;
#[cfg(not(loom))]
mod delay;
#[cfg(not(loom))]
mod hrtimer;
mod jiffies;
#[cfg(not(loom))]
mod poll;
#[cfg(not(loom))]
mod timer;
pub mod wheel;

pub use crate::cycles::{Cycles, get_cycles};
pub use clock::{
    BootTime, ClockId, ClockSource, Instant, Monotonic, RealTime, ktime_get, ktime_get_boottime,
    ktime_get_real,
};
#[cfg(not(loom))]
pub use delay::{fsleep, ndelay, sleep, sleep_interruptible, udelay};
#[cfg(not(loom))]
pub use hrtimer::{
    HrTimer, HrTimerBase, HrTimerContext, HrTimerExpires, HrTimerHandle, HrTimerRestart,
    HrTimerStats,
};
pub(crate) use jiffies::recent_jiffies;
pub use jiffies::{
    HZ, Jiffies, MAX_JIFFY_OFFSET, TICK_NSEC, jiffies_to_msecs, jiffies_to_nsecs, jiffies_to_usecs,
    msecs_to_jiffies, now_jiffies, nsecs_to_jiffies, usecs_to_jiffies,
};
#[cfg(not(loom))]
pub use poll::{Polled, read_poll_timeout, read_poll_timeout_atomic};
#[cfg(not(loom))]
pub use timer::{Timer, TimerBase, TimerContext, TimerFlags, TimerStats};
