//! The lock checker: two locks that are taken in both orders are found before they deadlock, in debug builds.
//!
//! `cargo run -p uio-core --example lock_order`

use std::thread;

use uio_core::sync::lockdep;
use uio_core::sync::{Mutex, SpinLock};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What the threads of the module do.
pub(crate) fn run(pr_info: &Print) {
    let ring = SpinLock::new(());
    let stats = SpinLock::new(());

    pr_info("thread 1: ring, then stats");
    {
        let _ring = ring.lock();
        let _stats = stats.lock();
    }
    pr_info("thread 2: stats, then ring");
    thread::scope(|scope| {
        scope.spawn(|| {
            let _stats = stats.lock();
            let _ring = ring.lock();
        });
    });

    pr_info("a mutex under a spin lock");
    let config = Mutex::new(());
    {
        let _ring = ring.lock();
        let _config = config.lock();
    }

    let mut reports = lockdep::reports();
    reports.retain(|report| report.places().iter().any(|place| place.file() == file!()));
    for report in &reports {
        pr_info(&format!("{:?}: {report}", report.rule()));
    }
    if cfg!(debug_assertions) {
        pr_info(&format!("{} reports, and nothing hung", reports.len()));
    } else {
        pr_info("the checker is there in debug builds");
    }
}
