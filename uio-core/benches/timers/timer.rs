//! Timers as a driver has them: with the lock, the clock and the callback.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use uio_core::irq::Dispatcher;
use uio_core::softirq::Softirqs;
use uio_core::time::{Jiffies, Timer, TimerBase, now_jiffies};

use super::{ACTIVE, Cost, DUE, Random, Side, Times, cost, distances};

pub(super) struct Timers {
    active: Vec<Timer>,
    _idle: Vec<Timer>,
    softirqs: Arc<Softirqs>,
    tally: Arc<Tally>,
    _dispatcher: Dispatcher,
}

/// What the callbacks say: how many have run, and when the first and the last one did.
#[derive(Default)]
struct Tally {
    runs: AtomicUsize,
    span: Mutex<(Option<Instant>, Times)>,
}

impl Tally {
    /// Called by the softirq only.
    fn count(&self) {
        let run = self.runs.load(Ordering::Relaxed) + 1;
        if run == 1 {
            self.span.lock().expect("nobody panics").0 = Some(Instant::now());
        }
        if run == ACTIVE {
            let mut span = self.span.lock().expect("nobody panics");
            let took = span.0.map_or(Duration::ZERO, |first| first.elapsed());
            span.1.0.push(took);
        }
        self.runs.store(run, Ordering::Release);
    }
}

impl Timers {
    pub(super) fn new(pending: usize) -> Self {
        let dispatcher = Dispatcher::start("irq/bench").expect("a dispatcher starts");
        let base = TimerBase::attach(&dispatcher).expect("timers attach");
        let (tally, mut random) = (Arc::new(Tally::default()), Random(7));
        let timer = || {
            let tally = Arc::clone(&tally);
            Timer::new(&base, "", move |_| tally.count())
        };
        let idle: Vec<Timer> = (0..pending).map(|_| timer()).collect();
        for timer in &idle {
            timer.modify(now_jiffies() + Jiffies::new(random.far()));
        }
        let active = (0..ACTIVE).map(|_| timer()).collect();
        let softirqs = Softirqs::attach(&dispatcher);
        Self { active, _idle: idle, softirqs, tally, _dispatcher: dispatcher }
    }

    /// Lets all active ones expire at once.
    fn expire(&self) {
        self.tally.runs.store(0, Ordering::Release);
        let held = self.softirqs.bh_disable();
        for (number, timer) in self.active.iter().enumerate() {
            timer.modify(now_jiffies() + Jiffies::new(number as u64 % 4));
        }
        thread::sleep(DUE);
        drop(held);
        while self.tally.runs.load(Ordering::Acquire) < ACTIVE {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

impl Side for Timers {
    fn round(&mut self, repeats: usize, expiries: usize) -> Cost {
        let (mut start, mut cancel) = <(Times, Times)>::default();
        let distances = distances();
        for _ in 0..repeats {
            start.add(|| {
                for (timer, distance) in self.active.iter().zip(&distances) {
                    timer.modify(now_jiffies() + Jiffies::new(*distance));
                }
            });
            cancel.add(|| {
                for timer in &self.active {
                    black_box(timer.delete());
                }
            });
        }
        (0..expiries).for_each(|_| self.expire());
        let expire = std::mem::take(&mut self.tally.span.lock().expect("nobody panics").1);
        cost([start, cancel, expire])
    }
}
