//! What an interrupt may cost: no allocation on its whole way from the line through the top half, the tasklet
//! and the ring to a wake-up, and one wake-up of the dispatcher. (System calls are counted from outside, in
//! the scenarios, since only a tracer sees them all.)

use std::alloc::System;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use uio_core::device::sim::{Model, Models, SimLine, SimVector};
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::RegionModel;
use uio_core::irq::{AfterHook, Dispatcher, Flags, Handler, IrqLine, IrqReturn, Registration};
use uio_core::pci::IrqTypes;
use uio_core::ring::spsc;
use uio_core::softirq::{Softirqs, Tasklet};
use uio_core::sync::{WaitQueue, Wake};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// In one stretch.
const INTERRUPTS: u64 = 3_000;

/// A pin and a message, and nothing else.
struct OnlyInterrupts(Arc<SimLine>, Arc<SimVector>);

impl Model for OnlyInterrupts {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.0))
    }

    fn vectors(&self) -> Vec<Arc<SimVector>> {
        vec![Arc::clone(&self.1)]
    }
}

struct TopHalf {
    line: IrqLine,
    tasklet: Tasklet,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        self.line.mask();
        self.tasklet.schedule();
        IrqReturn::Handled
    }
}

/// Counts rounds of the dispatcher.
#[derive(Default)]
struct Rounds(AtomicU64);

impl AfterHook for Rounds {
    fn run(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        false
    }
}

/// Counts the bytes that a reader, woken from the queue, takes out of the ring.
struct Reader {
    ring: Mutex<spsc::Consumer<u8>>,
    taken: AtomicU64,
}

impl Wake for Reader {
    fn wake(&self) {
        let mut buf = [0; 64];
        let count = self.ring.lock().unwrap().pop_slice(&mut buf);
        self.taken.fetch_add(count as u64, Ordering::SeqCst);
    }
}

#[test]
fn an_interrupt_allocates_nothing_and_wakes_the_dispatcher_once() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    let rounds = Arc::new(Rounds::default());
    let hook: Arc<dyn AfterHook> = rounds.clone();
    dispatcher.add_after_hook(&hook);
    let (pin, message) = (SimLine::new().unwrap(), SimVector::new());
    let made = (Arc::clone(&pin), Arc::clone(&message));
    let make = move || Ok(OnlyInterrupts(Arc::clone(&made.0), Arc::clone(&made.1)));
    let models = Models::new().with("interrupts", make);
    let spec = DeviceSpec::Sim("interrupts".to_owned());
    let device = Device::open(&spec, &dispatcher, &models).unwrap();
    measure(&softirqs, &rounds, &device.line(0).unwrap(), || pin.raise());
    let vectors = device.alloc_irq_vectors(1, 1, IrqTypes::MSI).unwrap();
    measure(&softirqs, &rounds, &vectors.line(0).unwrap(), || message.fire());
}

/// Counts what interrupts of `line`, raised one by one, allocate on their way to a reader.
fn measure(softirqs: &Arc<Softirqs>, rounds: &Rounds, line: &IrqLine, raise: impl Fn()) {
    let (producer, consumer) = spsc::channel(1024);
    let reader = Arc::new(Reader { ring: Mutex::new(consumer), taken: AtomicU64::new(0) });
    let queue = Arc::new(WaitQueue::new());
    let subscriber: Arc<dyn Wake> = reader.clone();
    queue.subscribe(&subscriber);
    let (producer, unmask) = (Mutex::new(producer), line.clone());
    let tasklet = Tasklet::new(softirqs, "drain", move || {
        producer.lock().unwrap().push(7);
        queue.wake_all();
        unmask.unmask();
    });
    let tasklet = tasklet.unwrap();
    let top_half = Arc::new(TopHalf { line: line.clone(), tasklet: tasklet.clone() });
    let _held = Registration::request(line, Flags::empty(), "test", top_half).unwrap();

    let interrupt = |number: u64| {
        raise();
        let deadline = Instant::now() + Duration::from_secs(60);
        while reader.taken.load(Ordering::SeqCst) < number {
            assert!(Instant::now() < deadline, "interrupt {number} did not come through");
            std::thread::yield_now();
        }
    };
    // What a thread makes once, it makes now.
    (1..=100).for_each(interrupt);
    // The test harness allocates beside the test, when it has started it and once a minute; it does not do so in
    // each of three stretches.
    let changes: Vec<_> = (0..3)
        .map(|stretch| {
            let first = 101 + stretch * INTERRUPTS;
            let start = rounds.0.load(Ordering::SeqCst);
            let region = Region::new(ALLOCATOR);
            (first..first + INTERRUPTS).for_each(interrupt);
            let change = region.change();
            // A round may have two interrupts where the next came before the dispatcher slept; never the
            // reverse.
            assert!(rounds.0.load(Ordering::SeqCst) - start <= INTERRUPTS + 1);
            (change.allocations, change.reallocations, change.deallocations)
        })
        .collect();
    assert!(changes.contains(&(0, 0, 0)), "{changes:?}");
    assert_eq!(line.stats().raised, 100 + 3 * INTERRUPTS);
}
