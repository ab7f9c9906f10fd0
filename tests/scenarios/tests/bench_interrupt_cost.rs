//! What an interrupt of a UIO device costs: one wake-up, and three system calls - wait, read, unmask.

use scenarios::daemon::Daemon;
use scenarios::module::Module;
use scenarios::trace::Trace;

const INTERRUPTS: u64 = 200;

#[test]
fn an_interrupt_is_a_wait_a_read_and_an_unmask() {
    let module = Module::of_the_bench();
    let daemon = Daemon::start();
    let trace = Trace::of(&daemon, "irq/dispatch");
    for number in 1..=INTERRUPTS {
        module.storm(1);
        // The unmask is the last that happens; the next one would come together with this one before it.
        trace.await_calls("write", number);
    }
    let mut calls = trace.stop();
    let status = daemon.status();
    assert_eq!((status.line("raised"), status.line("handled")), (INTERRUPTS, INTERRUPTS));

    let waits = calls.remove("epoll_wait").unwrap_or(0) + calls.remove("epoll_pwait").unwrap_or(0);
    let reads = calls.remove("read").unwrap_or(0);
    let writes = calls.remove("write").unwrap_or(0);
    println!(
        "{INTERRUPTS} interrupts: {waits} waits, {reads} reads, {writes} writes, else {calls:?}"
    );
    assert_eq!((reads, writes), (INTERRUPTS, INTERRUPTS));
    assert!(waits <= INTERRUPTS + 1, "{waits} waits: more than one wake-up an interrupt");
    assert!(calls.is_empty(), "more than a wait, a read and an unmask: {calls:?}");
}
