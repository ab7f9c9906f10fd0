//! RCU: a reader keeps the version that it found while a writer puts a new one in its place; the old one is freed
//! when the reader has gone.
//!
//! `cargo run -p uio-core --example rcu`

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use uio_core::sync::rcu::{self, RcuCell};

#[derive(Debug)]
struct Config {
    version: u32,
}

impl Drop for Config {
    fn drop(&mut self) {
        println!("config {} freed", self.version);
    }
}

fn main() {
    let config = Arc::new(RcuCell::new(Config { version: 1 }));
    let (reading, read) = mpsc::channel();
    let (replaced, go_on) = mpsc::channel::<()>();

    let reader = {
        let config = Arc::clone(&config);
        thread::spawn(move || {
            let section = rcu::read_lock();
            let found = config.read(&section);
            println!("reader: rcu_read_lock, sees config {}", found.version);
            let _ = reading.send(());
            // (A section must not sleep. This one does, so that the lines come in this order.)
            let _ = go_on.recv();
            println!("reader: still sees config {}, rcu_read_unlock", found.version);
        })
    };

    let _ = read.recv();
    let old = config.replace(Config { version: 2 });
    println!("writer: replaced it by config {}", config.read(&rcu::read_lock()).version);
    drop(replaced);
    let old = old.synchronize();
    println!("writer: synchronize_rcu returned, nobody reads config {}", old.version);
    drop(old);
    // PANIC: the thread does nothing that panics.
    reader.join().expect("the reader ends");

    drop(config.replace(Config { version: 3 }));
    rcu::call(|| println!("call_rcu: a grace period later"));
    rcu::barrier();
    println!("rcu_barrier: all callbacks have run");
}
