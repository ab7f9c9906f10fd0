//! A reader-writer spin lock: many read at a time, one writes alone.
//!
//! `cargo run --example rwlock`

use std::sync::Barrier;
use std::thread;

use uio_core::sync::RwSpinLock;

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What the readers and the writer do.
pub(crate) fn run(pr_info: &Print) {
    pr_info("rwlock example init");
    let table = RwSpinLock::new(vec!["eth0"]);

    let inside = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let table = table.read();
                // Both are here, or neither gets on.
                inside.wait();
                table.len()
            });
        }
    });
    pr_info("read_lock: two readers at a time");

    let reading = table.read();
    pr_info(&format!("write_trylock beside a reader: {}", table.try_write().is_some()));
    pr_info(&format!("read_trylock beside a reader: {}", table.try_read().is_some()));
    drop(reading);

    let mut writing = table.write();
    pr_info(&format!("read_trylock beside a writer: {}", table.try_read().is_some()));
    writing.push("eth1");
    drop(writing);
    pr_info(&format!("write_lock: the table is {:?}", *table.read()));
    // Where a top half reads: in the kernel it would spin for ever on a writer that it interrupted.
    table.write_irqsave().clear();
    pr_info(&format!("write_lock_irqsave: the table is {:?}", *table.read()));
}
