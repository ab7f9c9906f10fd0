//! Where dispatchers run, and which lines they serve.

use super::*;

#[test]
fn a_dispatcher_runs_on_the_processors_it_is_given() {
    let last = CpuSet::of(CpuSet::allowed().iter().last()).unwrap();
    let options = ThreadOptions { cpus: Some(last), ..ThreadOptions::default() };
    let dispatcher = Dispatcher::start_with("irq/placed", &options).unwrap();
    let device = Device::new();
    let line = IrqLine::new("test", Box::new(Source(Arc::clone(&device))), &dispatcher);
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let probe = Probe::new(move |_| {
        let own = crate::sys::sched::affinity(nix::unistd::Pid::from_raw(0)).unwrap();
        *note.lock().unwrap() = Some(own);
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.raise(1);
    probe.wait_for(1);
    assert_eq!(*seen.lock().unwrap(), Some(last));
}

/// How the calling thread is scheduled: `policy` and `nice` of `proc_pid_stat(5)`, and its processors.
fn place() -> (String, String, CpuSet) {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let field = |number: usize| fields.split(' ').nth(number - 3).unwrap().to_owned();
    let cpus = crate::sys::sched::affinity(nix::unistd::Pid::from_raw(0)).unwrap();
    (field(41), field(19), cpus)
}

/// A class that everybody may choose, whatever the nice value of the tests, and one processor; and what `place`
/// says then.
fn batch() -> (ThreadOptions, (String, String, CpuSet)) {
    let last = CpuSet::of(CpuSet::allowed().iter().last()).unwrap();
    let scheduler = Some(Scheduler::Batch { nice: 19 });
    let policy = libc::SCHED_BATCH.to_string();
    (ThreadOptions { scheduler, cpus: Some(last) }, (policy, "19".to_owned(), last))
}

type Places = Arc<Mutex<Vec<(String, String, CpuSet)>>>;

/// A handler that notes where it runs.
fn placed() -> (Arc<Probe>, Places) {
    let places = Places::default();
    let note = Arc::clone(&places);
    let probe = Probe::new(move |_| {
        note.lock().unwrap().push(place());
        IrqReturn::Handled
    });
    (probe, places)
}

#[test]
fn a_dispatcher_is_scheduled_as_it_is_told() {
    let (options, expected) = batch();
    let dispatcher = Dispatcher::start_with("irq/placed", &options).unwrap();
    let device = Device::new();
    let line = IrqLine::new("test", Box::new(Source(Arc::clone(&device))), &dispatcher);
    let (probe, places) = placed();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.raise(1);
    probe.wait_for(1);
    assert_eq!(*places.lock().unwrap(), [expected]);
}

#[test]
fn a_dedicated_line_runs_where_and_as_it_is_told() {
    let (options, expected) = batch();
    let (_dispatcher, device, line) = bench();
    let _own = line.dedicate(&options).unwrap();
    let (probe, places) = placed();
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.raise(1);
    probe.wait_for(1);
    assert_eq!(*places.lock().unwrap(), [expected]);
}

#[test]
fn the_thread_of_a_threaded_handler_is_scheduled_as_it_is_told() {
    struct InThread(Arc<Probe>);
    impl ThreadedHandler for InThread {
        fn handle_threaded(&self) -> IrqReturn {
            self.0.handle()
        }
    }
    let (options, expected) = batch();
    let (_dispatcher, device, line) = bench();
    let (probe, places) = placed();
    let handler = Arc::new(InThread(probe.clone()));
    let held =
        ThreadedRegistration::request_with(&line, Flags::ONESHOT, "placed", handler, &options);
    let _held = held.unwrap();
    device.raise(1);
    probe.wait_for(1);
    assert_eq!(*places.lock().unwrap(), [expected]);
}

#[test]
fn every_interrupt_of_this_machine_says_where_it_may_go() {
    let dirs = std::fs::read_dir("/proc/irq").into_iter().flatten().flatten();
    let numbers = dirs.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers {
        match ProcIrq::default().hardware_irq(number).affinity() {
            Ok(cpus) => assert!(!cpus.is_empty(), "{number} goes nowhere"),
            // It was freed meanwhile.
            Err(error) => assert_eq!(error.errno(), Errno::ENOENT, "{error}"),
        }
    }
}

#[test]
fn a_dispatcher_with_a_priority_that_is_none_does_not_start() {
    let scheduler = Some(Scheduler::RoundRobin { priority: 100 });
    let options = ThreadOptions { scheduler, ..ThreadOptions::default() };
    let error = Dispatcher::start_with("irq/never", &options).unwrap_err();
    assert!(error.to_string().contains("irq/never"), "{error}");
}

#[test]
fn a_dedicated_line_is_served_while_another_lines_handler_is_slow() {
    let (_dispatcher, device, line) = bench();
    let own_device = Device::new();
    let own_line = {
        let source = Box::new(Source(Arc::clone(&own_device)));
        IrqLine::new("fast", source, &_dispatcher)
    };
    let _own = own_line.dedicate(&ThreadOptions::default()).unwrap();
    let gate = Arc::new(Mutex::new(()));
    let slow = {
        let gate = Arc::clone(&gate);
        Probe::new(move |_| {
            drop(gate.lock().unwrap());
            IrqReturn::Handled
        })
    };
    let name = Arc::new(Mutex::new(None));
    let note = Arc::clone(&name);
    let fast = Probe::new(move |_| {
        *note.lock().unwrap() = thread::current().name().map(str::to_owned);
        IrqReturn::Handled
    });
    let _slow = Registration::request(&line, Flags::empty(), "slow", slow.clone()).unwrap();
    let _fast = Registration::request(&own_line, Flags::empty(), "fast", fast.clone()).unwrap();
    let closed = gate.lock().unwrap();
    device.raise(1);
    own_device.raise(1);
    fast.wait_for(1);
    assert_eq!(name.lock().unwrap().as_deref(), Some("irq/fast"));
    drop(closed);
    slow.wait_for(1);
}

#[test]
fn a_line_with_handlers_is_not_moved() {
    let (_dispatcher, _device, line) = bench();
    let _held = Registration::request(&line, Flags::empty(), "probe", Probe::handled()).unwrap();
    let error = line.dedicate(&ThreadOptions::default()).unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY);
}
