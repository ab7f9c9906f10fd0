//! One line that storms, another that does not, and the softirqs.

use super::*;
use crate::softirq::{Softirqs, Tasklet};

#[test]
fn a_storming_line_starves_neither_another_line_nor_the_softirqs() {
    let (dispatcher, storm, storm_line) = bench();
    let softirqs = Softirqs::attach(&dispatcher);
    let rounds = Arc::new(AtomicU64::new(0));
    // It fires again before its handler returns: the line is readable at every turn.
    let stormer = {
        let (storm, rounds) = (Arc::clone(&storm), Arc::clone(&rounds));
        Probe::new(move |_| {
            storm.raise(1);
            rounds.fetch_add(1, Ordering::SeqCst);
            IrqReturn::Handled
        })
    };
    let quiet = Device::new();
    let quiet_line = IrqLine::new("quiet", Box::new(Source(Arc::clone(&quiet))), &dispatcher);
    let (at_handler, at_tasklet) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let done = Probe::handled();
    let tasklet = {
        let (rounds, at, done) = (Arc::clone(&rounds), Arc::clone(&at_tasklet), done.clone());
        Tasklet::new(&softirqs, "test", move || {
            at.store(rounds.load(Ordering::SeqCst), Ordering::SeqCst);
            let _ = done.handle();
        })
        .unwrap()
    };
    let probe = {
        let (rounds, at, tasklet) = (Arc::clone(&rounds), Arc::clone(&at_handler), tasklet);
        Probe::new(move |_| {
            at.store(rounds.load(Ordering::SeqCst), Ordering::SeqCst);
            tasklet.schedule();
            IrqReturn::Handled
        })
    };
    let _storm =
        Registration::request(&storm_line, Flags::empty(), "storm", stormer.clone()).unwrap();
    let _quiet = Registration::request(&quiet_line, Flags::empty(), "quiet", probe).unwrap();
    storm.raise(1);
    stormer.wait_for(1000);
    for round in 1..=50 {
        quiet.raise(1);
        // The raise was seen by the kernel; from here on the storm gets at most the turn that is under way
        // and the one that serves both.
        let before = rounds.load(Ordering::SeqCst);
        done.wait_for(round);
        let handled = at_handler.load(Ordering::SeqCst);
        assert!(handled <= before + 2, "{} storm rounds came first", handled - before);
        assert!(at_tasklet.load(Ordering::SeqCst) <= handled + 1, "the softirqs had to wait");
    }
}
