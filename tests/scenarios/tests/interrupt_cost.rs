//! What an interrupt of a simulated device costs: two system calls, a wait and a read, and one wake-up.
//! (`bench_interrupt_cost.rs` counts on a real one.)

use scenarios::daemon::{Daemon, Launch};
use scenarios::trace::Trace;
use scenarios::{fd, wait};

const INTERRUPTS: u64 = 50;

/// One byte through the device: one interrupt.
fn once(daemon: &Daemon, file: &std::fs::File) {
    let before = daemon.status().line("raised");
    assert_eq!(fd::write(file, b"x"), Ok(1));
    wait::until("the interrupt and its bottom half", || {
        let status = daemon.status();
        status.line("raised") == before + 1 && status.ring("rx") == before + 1
    });
}

#[test]
fn an_interrupt_of_a_simulated_device_is_a_wait_and_a_read() {
    let daemon = Launch::with(&["run", "sim:uio_dummy", "--node-kind", "fuse"]).start();
    let file = fd::both(daemon.node());
    let trace = Trace::of(&daemon, "irq/dispatch");
    for _ in 0..INTERRUPTS {
        once(&daemon, &file);
    }
    let mut calls = trace.stop();
    let status = daemon.status();
    assert_eq!((status.line("raised"), status.line("handled")), (INTERRUPTS, INTERRUPTS));

    // The writer wakes the dispatcher to have its byte put into the device; the device to have it taken out.
    let waits = calls.remove("epoll_wait").unwrap_or(0) + calls.remove("epoll_pwait").unwrap_or(0);
    let reads = calls.remove("read").unwrap_or(0);
    println!("{INTERRUPTS} interrupts: {waits} waits, {reads} reads, else {calls:?}");
    assert_eq!(reads, INTERRUPTS);
    assert!(waits <= 2 * INTERRUPTS + 1, "{waits} waits");
    // The writer, and whoever asks for the status, as this story does all the time, may hold a lock when the bottom
    // half comes. That is chance, and not each time.
    let futexes = calls.remove("futex").unwrap_or(0);
    assert!(futexes <= INTERRUPTS, "{futexes} futexes");
    assert!(calls.is_empty(), "more than was reckoned with: {calls:?}");
}
