//! What an interrupt of a UIO device costs: one wake-up, and three system calls - wait, read, unmask.

use scenarios::daemon::Daemon;
use scenarios::module::Module;
use scenarios::trace::Trace;
use scenarios::wait;

const INTERRUPTS: u64 = 200;

#[test]
fn an_interrupt_is_a_wait_a_read_and_an_unmask() {
    let module = Module::of_the_bench();
    let daemon = Daemon::start();
    let trace = Trace::of(&daemon, "irq/dispatch");
    for number in 1..=INTERRUPTS {
        module.storm(1);
        // The unmask is the last that happens; the next one would come together with this one before it.
        wait::until("the interrupt", || {
            let status = daemon.status();
            status.line("handled") == number
                && status.0["devices"][0]["lines"][0]["masked"] == false
        });
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
    assert_eq!(reads, INTERRUPTS);
    // The line counts as unmasked a moment before the call is made; the tracer may have left in between.
    assert!(writes == INTERRUPTS || writes == INTERRUPTS - 1, "{writes} unmasks");
    assert!(waits <= INTERRUPTS + 1, "{waits} waits: more than one wake-up an interrupt");
    // Whoever asks for the status, as this story does all the time, may hold a lock when the bottom half comes. That
    // is chance, and not each time.
    let futexes = calls.remove("futex").unwrap_or(0);
    assert!(futexes <= INTERRUPTS / 2, "{futexes} futexes");
    assert!(calls.is_empty(), "more than was reckoned with: {calls:?}");
}
