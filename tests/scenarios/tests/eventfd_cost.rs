//! What an interrupt costs that comes by an eventfd of its own, as VFIO's do: one system call, the wait; with a
//! tasklet behind it as well as without.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scenarios::trace::Trace;
use scenarios::wait;
use uio_core::irq::{Dispatcher, EventFdSource, Flags, Handler, IrqLine, IrqReturn, Registration};
use uio_core::softirq::{Softirqs, Tasklet};

const INTERRUPTS: u64 = 200;

struct TopHalf(Tasklet);

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        self.0.schedule();
        IrqReturn::Handled
    }
}

fn signal(device: &OwnedFd) {
    nix::unistd::write(device, &1_u64.to_ne_bytes()).expect("the count is not full");
}

#[test]
fn an_interrupt_by_an_eventfd_and_its_tasklet_are_one_system_call() {
    let dispatcher = Dispatcher::start("irq/eventfd").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    let source = EventFdSource::new().unwrap();
    let device = source.trigger().unwrap();
    let line = IrqLine::new("msi", Box::new(source), &dispatcher);
    let done = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&done);
    let tasklet = Tasklet::new(&softirqs, "count", move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let top_half = Arc::new(TopHalf(tasklet.unwrap()));
    let _held = Registration::request(&line, Flags::empty(), "test", top_half).unwrap();

    let trace = Trace::of_own("irq/eventfd");
    for number in 1..=INTERRUPTS {
        signal(&device);
        wait::until("the tasklet", || done.load(Ordering::SeqCst) >= number);
    }
    let mut calls = trace.stop();
    assert_eq!(done.load(Ordering::SeqCst), INTERRUPTS);
    assert_eq!(line.stats().handled, INTERRUPTS);

    let waits = calls.remove("epoll_wait").unwrap_or(0) + calls.remove("epoll_pwait").unwrap_or(0);
    println!("{INTERRUPTS} interrupts: {waits} waits, else {calls:?}");
    // The first wait was under way when the tracer came, and the last may be when it goes.
    assert!(waits <= INTERRUPTS + 1, "{waits} waits: more than one system call an interrupt");
    assert!(waits >= INTERRUPTS - 1, "{waits} waits: some interrupts were not counted");
    assert!(calls.is_empty(), "more than a wait: {calls:?}");
}
