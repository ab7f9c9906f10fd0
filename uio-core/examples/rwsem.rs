//! A reader-writer semaphore: sleeping readers and writers, served in order, and a writer that goes on as a reader.
//!
//! `cargo run --example rwsem`

use std::thread;

use uio_core::sync::RwSemaphore;

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What the readers and the writers do.
pub(crate) fn run(pr_info: &Print) {
    pr_info("rwsem example init");
    let firmware = RwSemaphore::new(1);

    let reading = firmware.read();
    thread::scope(|scope| {
        scope
            .spawn(|| pr_info(&format!("down_read beside a reader: version {}", *firmware.read())));
    });
    pr_info(&format!("down_write_trylock beside a reader: {}", firmware.try_write().is_some()));
    drop(reading);

    let mut writing = firmware.write();
    *writing += 1;
    pr_info(&format!("down_write: version {}", *writing));
    pr_info(&format!("down_read_trylock beside a writer: {}", firmware.try_read().is_some()));
    // No other writer comes between.
    let reading = writing.downgrade_write();
    thread::scope(|scope| {
        scope.spawn(|| pr_info(&format!("downgrade_write: version {} for all", *firmware.read())));
    });
    pr_info(&format!("down_write_trylock: {}", firmware.try_write().is_some()));
    drop(reading);
    pr_info(&format!("up_read; down_write_trylock: {}", firmware.try_write().is_some()));
}
