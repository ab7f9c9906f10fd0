//! RCU: a reader keeps the version that it found while a writer puts a new one in its place; the old one is freed
//! when the reader has gone.
//!
//! `cargo run -p uio-core --example rcu`

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use uio_core::sync::rcu::{self, RcuCell};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

struct Config {
    version: u32,
    pr_info: Print,
}

impl Drop for Config {
    fn drop(&mut self) {
        (self.pr_info)(&format!("config {} freed", self.version));
    }
}

fn main() {
    run(&terminal());
}

/// What the reader and the writer do.
pub(crate) fn run(pr_info: &Print) {
    let version = |version| Config { version, pr_info: pr_info.clone() };
    let config = Arc::new(RcuCell::new(version(1)));
    let (reading, read) = mpsc::channel();
    let (replaced, go_on) = mpsc::channel::<()>();

    let reader = {
        let (config, pr_info) = (Arc::clone(&config), pr_info.clone());
        thread::spawn(move || {
            let section = rcu::read_lock();
            let found = config.read(&section);
            pr_info(&format!("reader: rcu_read_lock, sees config {}", found.version));
            let _ = reading.send(());
            // (A section must not sleep. This one does, so that the lines come in this order.)
            let _ = go_on.recv();
            pr_info(&format!("reader: still sees config {}, rcu_read_unlock", found.version));
        })
    };

    let _ = read.recv();
    let old = config.replace(version(2));
    let now = config.read(&rcu::read_lock()).version;
    pr_info(&format!("writer: replaced it by config {now}"));
    drop(replaced);
    let old = old.synchronize();
    pr_info(&format!("writer: synchronize_rcu returned, nobody reads config {}", old.version));
    drop(old);
    // PANIC: the thread does nothing that panics.
    reader.join().expect("the reader ends");

    drop(config.replace(version(3)));
    let print = pr_info.clone();
    rcu::call(move || print("call_rcu: a grace period later"));
    rcu::barrier();
    pr_info("rcu_barrier: all callbacks have run");
}
