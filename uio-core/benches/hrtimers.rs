//! How late hrtimers are, beside a thread that sleeps with `clock_nanosleep`.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use uio_core::irq::Dispatcher;
use uio_core::time::{HrTimer, HrTimerBase, HrTimerRestart, Monotonic, ktime_get};

use crate::support::{Bench, Claim, percentile};

const PERIOD: Duration = Duration::from_micros(500);

const SLEEP: &str = "clock_nanosleep, absolute";
const MEDIAN: Claim = Claim::beside("lateness, every 500 us: median", SLEEP);
const TAIL: Claim = Claim::at_most(1.1, "lateness, every 500 us: 99.9 %", SLEEP).note(
    "The dispatcher comes out of epoll and reads the timer's descriptor before the callback, and arms it after: \
     two system calls more than the peer makes.",
);

pub(crate) fn run(bench: Bench) {
    let samples = bench.ops(2000);
    let dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
    let base = HrTimerBase::attach(&dispatcher).expect("timers attach");
    // Without this the peer sleeps 50 us longer than it was asked to.
    let _ = nix::sys::prctl::set_timerslack(1);
    let figures = |mut late: Vec<f64>| [0.5, 0.999].map(|at| percentile(&mut late, at));
    bench.compare_all(
        [MEDIAN, TAIL],
        || figures(hrtimer_lateness(&base, samples)),
        || figures(nanosleep_lateness(samples)),
    );
}

fn nanosleep_lateness(samples: usize) -> Vec<f64> {
    let mut deadline = ktime_get();
    let mut late = Vec::with_capacity(samples);
    for _ in 0..samples {
        deadline = deadline + PERIOD;
        let ns = deadline.as_nanos();
        let point = TimeSpec::new(ns / 1_000_000_000, ns % 1_000_000_000);
        let flags = ClockNanosleepFlags::TIMER_ABSTIME;
        let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, flags, &point);
        late.push(deadline.elapsed().as_nanos() as f64);
    }
    late
}

fn hrtimer_lateness(base: &Arc<HrTimerBase>, samples: usize) -> Vec<f64> {
    let (tell, told) = mpsc::channel();
    let mut late = Vec::with_capacity(samples);
    let timer = HrTimer::new(base, Monotonic, move |timer| {
        late.push(timer.expires().elapsed().as_nanos() as f64);
        // The next one of the grid, as the peer has it: late ones are not left out.
        let next = timer.expires();
        timer.forward(next, PERIOD);
        if late.len() < samples {
            return HrTimerRestart::Restart;
        }
        let _ = tell.send(std::mem::take(&mut late));
        HrTimerRestart::NoRestart
    });
    let _running = timer.start(PERIOD);
    told.recv().expect("the timer runs")
}
