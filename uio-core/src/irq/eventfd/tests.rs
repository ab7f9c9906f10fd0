use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::irq::{Dispatcher, Flags, Handler, IrqLine, IrqReturn, Registration};

const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Count(AtomicU64);

impl Handler for Count {
    fn handle(&self) -> IrqReturn {
        self.0.fetch_add(1, Ordering::SeqCst);
        IrqReturn::Handled
    }
}

struct World {
    dispatcher: Dispatcher,
    line: IrqLine,
    device: OwnedFd,
    count: Arc<Count>,
}

impl World {
    fn new() -> Self {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let source = EventFdSource::new().unwrap();
        let device = source.trigger().unwrap();
        let line = IrqLine::new("msi", Box::new(source), &dispatcher);
        Self { dispatcher, line, device, count: Arc::default() }
    }

    fn request(&self) -> Registration {
        Registration::request(&self.line, Flags::empty(), "test", self.count.clone()).unwrap()
    }

    fn signal(&self) {
        nix::unistd::write(&self.device, &1_u64.to_ne_bytes()).unwrap();
    }

    fn handled(&self) -> u64 {
        self.count.0.load(Ordering::SeqCst)
    }
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupt_is_handled_without_reading_the_count() {
    let world = World::new();
    let _held = world.request();
    for number in 1..=100 {
        world.signal();
        wait_for("the handler", || world.handled() >= number);
    }
    let mut count = [0; 8];
    nix::unistd::read(&world.device, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 100, "somebody has read it");
    assert_eq!(world.handled(), 100);
}

#[test]
fn what_was_signalled_before_the_request_is_no_interrupt() {
    let world = World::new();
    for round in 0..3 {
        world.signal();
        let held = world.request();
        let before = world.handled();
        assert_eq!(before, round, "the handler ran without an interrupt");
        world.signal();
        wait_for("the handler", || world.handled() > before);
        drop(held);
        assert_eq!(world.handled(), before + 1);
    }
}

#[test]
fn what_is_signalled_while_the_line_is_disabled_runs_when_it_is_enabled() {
    let world = World::new();
    let _held = world.request();
    world.line.disable();
    world.signal();
    wait_for("the dispatcher's look", || world.line.stats().raised == 1);
    assert_eq!(world.handled(), 0);
    world.line.enable();
    wait_for("the handler", || world.handled() == 1);
    drop(world.dispatcher);
    assert_eq!(world.count.0.load(Ordering::SeqCst), 1);
}
