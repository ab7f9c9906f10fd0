//! Driver for ARM's PrimeCell PL031 real-time clock (ARM DDI 0224): a counter of seconds, and an interrupt when it
//! meets a value. The node behaves as the kernel's `/dev/rtcN`, and says the time to `cat`.
//!
//! ```text
//!  the clock: RTCDR has become what is in RTCMR: the interrupt, a level
//!      │  irq/dispatch
//!      ▼
//!  top_half.rs    TopHalf::handle    RTCMIS: ours? clear it by RTCICR, schedule the tasklet
//!      │  softirq/tasklet
//!      ▼
//!  bottom_half.rs run                clock.rs: has the alarm's time come? count it, it is off then
//!      │  WaitQueue::wake_all
//!      ▼
//!  node.rs        read, poll         how many alarms since the last read
//!                 write              text.rs: "2026-11-21T12:00:00", "+5"
//!  ioctl.rs       RTC_RD_TIME, ...   calendar.rs: seconds and dates
//!      │  chardev/session
//!      ▼
//!  /dev/rtcuio0 ─▶ cat, echo, hwclock
//! ```
//!
//! Why no alarm is lost, and none comes twice, is told in [`clock`]. The node is told in `docs/pl031.md`.
//!
//! # Lock order
//!
//! `files`, the open files of the node, then `clock`. Both are spin locks: taken plainly in the tasklet, with
//! bottom halves disabled elsewhere. The wait queues are woken without either.
#![forbid(unsafe_code)]

mod bottom_half;
mod calendar;
mod clock;
mod identify;
mod ioctl;
mod node;
mod probe;
mod regs;
mod rtc;
mod text;
mod top_half;

pub use probe::Pl031;
pub use rtc::{Rtc, Settings};
