//! A cheap clock for statistics: the processor's cycle counter.
//!
//! `clock_gettime` is a system call wherever the kernel's clock source has no vDSO form (an emulated machine,
//! for one), and an interrupt handler may not pay for that. The counter's rate is learnt from the monotonic
//! clock when somebody asks for nanoseconds.
//!
//! Mirrors `get_cycles` (`include/linux/timex.h`).
#![expect(unsafe_code, reason = "the counter is read by an instruction")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Reads the cycle counter. Monotonic on one processor; comparable between those of a sane machine.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn get_cycles() -> u64 {
    // SAFETY: every x86-64 processor has RDTSC, and Linux leaves it open to userspace.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads the virtual counter of the generic timer.
#[cfg(target_arch = "aarch64")]
#[inline]
pub fn get_cycles() -> u64 {
    let count: u64;
    // SAFETY: Linux leaves CNTVCT_EL0 open to userspace; the instruction has no other effect.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack)) };
    count
}

/// Reads the monotonic clock, in nanoseconds, where no counter is known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn get_cycles() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // CAST: 2^64 ns are 584 years.
    START.elapsed().as_nanos() as u64
}

/// Where both clocks stood at the calibration, and the counter's rate as it was seen then.
struct Calibration {
    clock: Instant,
    count: u64,
    per_ms: u64,
}

/// How long the calibration looks at both clocks.
const CALIBRATION: Duration = Duration::from_millis(1);

/// How far apart two looks at the clock may be for the look at the counter between them to be of one moment.
const MOMENT: Duration = Duration::from_micros(10);
/// How often both are looked at in search of such a moment. A slow clock has none; then the best one counts.
const LOOKS: usize = 16;

static CALIBRATED: LazyLock<Calibration> = LazyLock::new(|| {
    let (clock, count) = both_clocks();
    while clock.elapsed() < CALIBRATION {
        std::hint::spin_loop();
    }
    let (end, last) = both_clocks();
    let ns = u64::try_from((end - clock).as_nanos()).unwrap_or(u64::MAX).max(1);
    let per_ms = last.wrapping_sub(count).saturating_mul(1_000_000) / ns;
    Calibration { clock, count, per_ms: per_ms.max(1) }
});

/// Where both clocks stand at one moment. The thread may be preempted between the one and the other, for a
/// hundred times as long as the calibration takes; such a look does not count.
fn both_clocks() -> (Instant, u64) {
    closest(LOOKS, || (Instant::now(), get_cycles(), Instant::now()))
}

/// Of so many looks the one whose ends are closest to each other; the first that is of one moment.
fn closest(looks: usize, mut look: impl FnMut() -> (Instant, u64, Instant)) -> (Instant, u64) {
    let (mut before, mut count, mut after) = look();
    for _ in 1..looks {
        if after - before <= MOMENT {
            break;
        }
        let again = look();
        if again.2 - again.0 < after - before {
            (before, count, after) = again;
        }
    }
    (before, count)
}

/// A span in cycles of [`get_cycles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cycles(pub u64);

impl Cycles {
    /// Learns the counter's rate, which takes a millisecond the first time. Whoever converts on a path that
    /// must not ask the clock calls this before.
    pub fn calibrate() {
        LazyLock::force(&CALIBRATED);
    }

    /// About how many cycles `time` is, by the rate seen at the calibration. No system call after that.
    pub fn of(time: Duration) -> Self {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self(CALIBRATED.per_ms.saturating_mul(us) / 1000)
    }

    /// The span as time, by the rate seen since the calibration.
    pub fn to_duration(self) -> Duration {
        let (now, count) = both_clocks();
        let elapsed = now.saturating_duration_since(CALIBRATED.clock);
        let cycles = count.wrapping_sub(CALIBRATED.count).max(1);
        // CAST: statistics; a relative error of 2^-52 is nothing to them.
        Duration::from_secs_f64(elapsed.as_secs_f64() * (self.0 as f64 / cycles as f64))
    }
}

/// A bound on how long something may go on, held against the counter: no system call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CycleBudget {
    start: u64,
    cycles: u64,
}

impl CycleBudget {
    /// Begins now and is over after about `time`.
    #[inline]
    pub(crate) fn start(time: Duration) -> Self {
        Self { start: get_cycles(), cycles: Cycles::of(time).0 }
    }

    /// Whether the time is over.
    #[inline]
    pub(crate) fn is_over(self) -> bool {
        get_cycles().wrapping_sub(self.start) >= self.cycles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_convert_to_about_the_time_that_passed() {
        Cycles::calibrate();
        // The thread may be put off between any two of these: the span lies between the inner and the outer time.
        let outer = Instant::now();
        let before = get_cycles();
        let inner = Instant::now();
        while inner.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let least = inner.elapsed();
        let cycles = get_cycles() - before;
        let most = outer.elapsed();
        let span = Cycles(cycles).to_duration();
        assert!(span > least / 2 && span < most * 2, "{span:?} is not {least:?} to {most:?}");
        let back = Cycles::of(span).to_duration();
        assert!(back > span / 2 && back < span * 2, "{span:?} became {back:?}");
    }

    #[test]
    fn a_look_in_which_the_thread_was_put_off_does_not_count() {
        let start = Instant::now();
        let at = |us| start + Duration::from_micros(us);
        let mut looks =
            [(at(0), 7, at(90)), (at(100), 8, at(101)), (at(200), 9, at(200))].into_iter();
        assert_eq!(closest(3, || looks.next().unwrap()), (at(100), 8), "the first of one moment");
        let mut slow =
            [(at(0), 7, at(90)), (at(100), 8, at(150)), (at(200), 9, at(270))].into_iter();
        assert_eq!(closest(3, || slow.next().unwrap()), (at(100), 8), "else the best of all");
    }
}
