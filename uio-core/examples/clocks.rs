//! High-resolution timers on the three clocks, relative and absolute, with overruns; and a deferrable timer:
//! `cargo run -p uio-core --example clocks`

use std::sync::{Arc, mpsc};
use std::time::Duration;

use uio_core::irq::Dispatcher;
use uio_core::time::{
    BootTime, ClockSource, HrTimer, HrTimerBase, HrTimerExpires, HrTimerRestart, Instant,
    Monotonic, RealTime, Timer, TimerBase, TimerFlags, msecs_to_jiffies, now_jiffies,
};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

const PERIOD: Duration = Duration::from_millis(10);

/// Lets a timer of the clock `C` expire once, and says whether it was early.
fn once<C: ClockSource + Default>(
    pr_info: &Print,
    base: &Arc<HrTimerBase>,
    how: &str,
    expires: impl Into<HrTimerExpires<C>>,
) {
    let (tell, told) = mpsc::channel();
    let timer = HrTimer::new(base, C::default(), move |timer| {
        let _ = tell.send(Instant::<C>::now() >= timer.expires());
        HrTimerRestart::NoRestart
    });
    let _running = timer.start(expires);
    let in_time = told.recv().is_ok_and(|in_time| in_time);
    pr_info(&format!("{:?}, {how}: expired and was not early: {in_time}", C::ID));
}

/// What the module's init does.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let hrtimers = HrTimerBase::attach(&dispatcher)?;
    once::<Monotonic>(pr_info, &hrtimers, "relative", PERIOD);
    once::<Monotonic>(pr_info, &hrtimers, "absolute", Instant::now() + PERIOD);
    once::<RealTime>(pr_info, &hrtimers, "absolute", Instant::now() + PERIOD);
    once::<BootTime>(pr_info, &hrtimers, "relative", PERIOD);

    // One that comes late catches up with its grid, and says how much it missed.
    let (tell, told) = mpsc::channel();
    let late = HrTimer::new(&hrtimers, Monotonic, move |timer| {
        let _ = tell.send(timer.forward_now(PERIOD));
        HrTimerRestart::NoRestart
    });
    let _running = late.start(Instant::<Monotonic>::now() - 5 * PERIOD);
    let overruns = told.recv().unwrap_or_default();
    pr_info(&format!("hrtimer_forward_now: more than 5 periods late: {}", overruns > 5));

    // A deferrable timer runs when the dispatcher is awake for something else.
    let timers = TimerBase::attach(&dispatcher)?;
    let (tell, told) = mpsc::channel();
    let lazy = Timer::with_flags(&timers, "lazy", TimerFlags::DEFERRABLE, move |_| {
        let _ = tell.send(());
    });
    lazy.modify(now_jiffies());
    let waker = Timer::new(&timers, "waker", |_| {});
    waker.modify(now_jiffies() + msecs_to_jiffies(1));
    pr_info(&format!("deferrable timer: ran with another one: {}", told.recv().is_ok()));
    Ok(())
}
