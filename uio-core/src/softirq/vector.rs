//! [`Vector`]: the ten softirqs, by name and priority.

/// A kind of bottom half. Those that are pending run in this order.
///
/// Mirrors the enumeration in `include/linux/interrupt.h`. The vectors that something here serves say so; the
/// others are free for [`Softirqs::open`](super::Softirqs::open).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vector {
    /// Tasklets of high priority: [`Tasklet::schedule_hi`](super::Tasklet::schedule_hi).
    Hi,
    /// Timers of the wheel: [`time::Timer`](crate::time::Timer).
    Timer,
    /// Network transmission.
    NetTx,
    /// Adaptive polling: [`Napi`](super::Napi).
    NetRx,
    /// Block devices.
    Block,
    /// Polled completions of block devices.
    IrqPoll,
    /// Tasklets: [`Tasklet::schedule`](super::Tasklet::schedule).
    Tasklet,
    /// The scheduler's; free here.
    Sched,
    /// High-resolution timers: [`time::HrTimer`](crate::time::HrTimer).
    HrTimer,
    /// RCU callbacks; always the last.
    Rcu,
}

impl Vector {
    /// How many there are: `NR_SOFTIRQS`.
    pub const COUNT: usize = 10;

    /// All of them, in order of priority.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Hi,
        Self::Timer,
        Self::NetTx,
        Self::NetRx,
        Self::Block,
        Self::IrqPoll,
        Self::Tasklet,
        Self::Sched,
        Self::HrTimer,
        Self::Rcu,
    ];

    /// The name, as in `/proc/softirqs`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hi => "HI",
            Self::Timer => "TIMER",
            Self::NetTx => "NET_TX",
            Self::NetRx => "NET_RX",
            Self::Block => "BLOCK",
            Self::IrqPoll => "IRQ_POLL",
            Self::Tasklet => "TASKLET",
            Self::Sched => "SCHED",
            Self::HrTimer => "HRTIMER",
            Self::Rcu => "RCU",
        }
    }

    pub(super) fn index(self) -> usize {
        // CAST: 0 to 9.
        self as usize
    }

    pub(super) fn bit(self) -> u32 {
        1 << self.index()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_ten_vectors_have_the_kernels_names_and_order() {
        let names: Vec<&str> = Vector::ALL.iter().map(|vector| vector.name()).collect();
        let kernel = [
            "HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER",
            "RCU",
        ];
        assert_eq!(names, kernel);
        assert!(Vector::ALL.iter().enumerate().all(|(index, vector)| vector.index() == index));
    }
}
