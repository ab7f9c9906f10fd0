//! The lock checker: two locks that are taken in both orders are found before they deadlock, in debug builds.
//!
//! `cargo run -p uio-core --example lock_order`

use std::thread;

use uio_core::sync::lockdep;
use uio_core::sync::{Mutex, SpinLock};

fn main() {
    let ring = SpinLock::new(());
    let stats = SpinLock::new(());

    println!("thread 1: ring, then stats");
    {
        let _ring = ring.lock();
        let _stats = stats.lock();
    }
    println!("thread 2: stats, then ring");
    thread::scope(|scope| {
        scope.spawn(|| {
            let _stats = stats.lock();
            let _ring = ring.lock();
        });
    });

    println!("a mutex under a spin lock");
    let config = Mutex::new(());
    {
        let _ring = ring.lock();
        let _config = config.lock();
    }

    let reports = lockdep::reports();
    for report in &reports {
        println!("{:?}: {report}", report.rule());
    }
    if cfg!(debug_assertions) {
        println!("{} reports, and nothing hung", reports.len());
    } else {
        println!("the checker is there in debug builds");
    }
}
