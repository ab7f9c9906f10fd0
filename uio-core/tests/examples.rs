//! Every example prints what the kernel module of the texts would print. One table: an example, and its lines.
//!
//! A list in the table is what one thread prints, in order; with several, the lines of one come anywhere between
//! those of another, except that the example begins with the first line of the first list and ends with its last.
//! A `*` stands for anything. A line with a `?` before it comes once or more often, at any time.
#![expect(clippy::duplicate_mod, reason = "each example is a program of its own, with its support")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use uio_core::sync::lockdep;

/// How long an example may take. They take a second at most.
const DEADLINE: Duration = Duration::from_secs(60);

type Print = Arc<dyn Fn(&str) + Send + Sync>;

macro_rules! examples {
    ($($name:ident = $path:literal prints $threads:expr;)*) => {
        $(
            #[path = $path]
            #[expect(dead_code, reason = "its main")]
            mod $name;
        )*

        const FILES: &[&str] = &[$($path),*];

        mod prints_as_the_module {
            $(
                #[test]
                fn $name() {
                    let threads: &[&[&str]] = &$threads;
                    super::check(&super::printed(super::$name::run), threads);
                }
            )*
        }
    };
}

examples! {
    bitops = "../examples/bitops.rs" prints [&[
        "bitops example init",
        "two threads took 33 minors each: 66 are taken",
        "the next one that is free: Some(66)",
        "test_and_clear_bit(64): true",
        "test_and_clear_bit(64): false",
        "find_next_bit from 64 on: Some(65)",
        "test_and_set_bit_lock: taken before: false",
        "test_and_set_bit_lock: taken before: true",
        "clear_bit_unlock: false",
        "the bit beside: true",
    ]];
    blocking_ring = "../examples/blocking_ring.rs" prints [
        &[
            "blocking ring example init",
            "?producer: the ring is full, going to sleep",
            "?consumer: the ring is empty, going to sleep",
            "blocking ring example exit: 10 items put, 10 got",
        ],
        &[
            "producer: put 1",
            "producer: put 2",
            "producer: put 3",
            "producer: put 4",
            "producer: put 5",
            "producer: put 6",
            "producer: put 7",
            "producer: put 8",
            "producer: put 9",
            "producer: put 10",
        ],
        &[
            "consumer: got 1",
            "consumer: got 2",
            "consumer: got 3",
            "consumer: got 4",
            "consumer: got 5",
            "consumer: got 6",
            "consumer: got 7",
            "consumer: got 8",
            "consumer: got 9",
            "consumer: got 10",
        ],
    ];
    bottom_half_work = "../examples/bottom_half_work.rs" prints [&[
        "bottom half example init",
        "bottom half: 1 interrupts so far",
        "bottom half: 2 interrupts so far",
        "bottom half: 3 interrupts so far",
        "bottom half example exit: 3 interrupts",
    ]];
    clocks = "../examples/clocks.rs" prints [&[
        "Monotonic, relative: expired and was not early: true",
        "Monotonic, absolute: expired and was not early: true",
        "RealTime, absolute: expired and was not early: true",
        "BootTime, relative: expired and was not early: true",
        "hrtimer_forward_now: more than 5 periods late: true",
        "deferrable timer: ran with another one: true",
    ]];
    completion = "../examples/completion.rs" prints [&[
        "completion example: init",
        "wait_for_completion: waiting for initialization",
        "wait_for_completion: initialization is done",
        "complete before wait: the wait did not sleep",
        "wait_for_completion_timeout: timed out",
        "complete_all: three waiters went on, done = true",
        "reinit_completion: done = false",
    ]];
    delays = "../examples/delays.rs" prints [&[
        "ndelay: waited 500 ns at least: true",
        "udelay: waited 5000 ns at least: true",
        "fsleep: waited 8000 ns at least: true",
        "fsleep: waited 900000 ns at least: true",
        "fsleep: waited 5000000 ns at least: true",
        "msleep: waited 20000000 ns at least: true",
        "msleep_interruptible: 0 ns left",
        "get_cycles: counts: true",
        "ktime_get_boottime: counts suspended time too: true",
        "ktime_get_real: is the wall clock: true",
    ]];
    devres = "../examples/devres.rs" prints [&[
        "devres example probe",
        "one interrupt; the buffer is there: true",
        "released: interrupt",
        "released: buffer",
        "unbound; access to the buffer: false",
        "unbound; access to the interrupt: false",
    ]];
    dma_coherent = "../examples/dma_coherent.rs" prints [&[
        "dma_coherent example init",
        "ring of 4 shared, below 256 MiB: true",
        "descriptor 0: 10 gave 0, owner 0",
        "descriptor 1: 11 gave 0, owner 0",
        "descriptor 2: 20 gave 400, owner 0",
        "descriptor 3: 13 gave 0, owner 0",
        "the device beyond the ring: fault: true",
        "the device after the driver: fault: true",
        "dma_coherent example exit: 0 mapped",
    ]];
    dma_mapping = "../examples/dma_mapping.rs" prints [&[
        "dma_mapping example init",
        "device: read \"hello, device\": true",
        "device: wrote its answer: true",
        "device: wrote to what it may only read: false",
        "sync_for_cpu: \"HELLO, DEVICE\"",
        "sync_for_device; device: wrote: true",
        "unmapped: \"bye..........\"",
        "device: wrote to what it had: false",
        "dma_mapping example exit: 1 mapped still",
    ]];
    freezable_work = "../examples/freezable_work.rs" prints [&[
        "freezable_work example init",
        "first: written back",
        "frozen; first is running: false",
        "frozen; second is pending: true",
        "second: written back",
        "thawed; second is pending: false",
        "freezable_work example exit",
    ]];
    irq_affinity = "../examples/irq_affinity.rs" prints [&[
        "irq_affinity example init",
        "the slow handler is busy",
        "served by irq/*quick, which may run on 1 of the processors",
        "irq_affinity example exit",
    ]];
    hrtimer = "../examples/hrtimer.rs" prints [&[
        "HR Timer module installing",
        "Starting timer to fire every 200ms (*)",
        "my_hrtimer_callback called (* ms, call 1, overruns *).",
        "my_hrtimer_callback called (* ms, call 2, overruns *).",
        "my_hrtimer_callback called (* ms, call 3, overruns *).",
        "my_hrtimer_callback called (* ms, call 4, overruns *).",
        "my_hrtimer_callback called (* ms, call 5, overruns *).",
        "HR Timer module uninstalling",
    ]];
    jiffies = "../examples/jiffies.rs" prints [&[
        "HZ is 1000, a jiffy is 1000 us",
        "msecs_to_jiffies(200) = 200",
        "usecs_to_jiffies(1) = 1: rounded up",
        "nsecs_to_jiffies(999999) = 0: rounded down",
        "jiffies_to_msecs(2 * HZ) = 2000",
        "a Duration of 1.5 ms = 2 jiffies",
        "time_before: no more, the 20 ms are over",
        "before the wrap 18446744073709551614, after it 8",
        "time_after(after, before) = true",
        "time_before(after, before) = false",
        "the span between them is 10",
    ]];
    kthread = "../examples/kthread.rs" prints [&[
        "init",
        "example_thread is created, and waits",
        "example_thread: started",
        "example_thread: parking",
        "example_thread is parked",
        "example_thread: unparked",
        "example_thread: stopping",
        "exit: the thread returned, rounds >= 6: true",
    ]];
    lock_order = "../examples/lock_order.rs" prints [crate::LOCK_ORDER];
    mutex = "../examples/mutex.rs" prints [&[
        "mutex example init",
        "mutex_lock: two threads counted to 2000",
        "mutex_trylock of a lock that is held: false",
        "mutex_lock_interruptible: interrupted*",
        "mutex_is_locked: true",
        "mutex_unlock; mutex_is_locked: false",
    ]];
    napi = "../examples/napi.rs" prints [&[
        "napi example init",
        "interrupt: masked, polling",
        "poll: budget 64, 64 packets",
        "poll: budget 64, 64 packets",
        "poll: budget 64, 22 packets, complete",
        "interrupt: masked, polling",
        "poll: budget 64, 3 packets, complete",
        "153 packets in 4 polls",
        "napi example exit",
    ]];
    rcu = "../examples/rcu.rs" prints [&[
        "reader: rcu_read_lock, sees config 1",
        "writer: replaced it by config 2",
        "reader: still sees config 1, rcu_read_unlock",
        "writer: synchronize_rcu returned, nobody reads config 1",
        "config 1 freed",
        "config 2 freed",
        "call_rcu: a grace period later",
        "rcu_barrier: all callbacks have run",
        "config 3 freed",
    ]];
    rwlock = "../examples/rwlock.rs" prints [&[
        "rwlock example init",
        "read_lock: two readers at a time",
        "write_trylock beside a reader: false",
        "read_trylock beside a reader: true",
        "read_trylock beside a writer: false",
        "write_lock: the table is [\"eth0\", \"eth1\"]",
        "write_lock_irqsave: the table is []",
    ]];
    rwsem = "../examples/rwsem.rs" prints [&[
        "rwsem example init",
        "down_read beside a reader: version 1",
        "down_write_trylock beside a reader: false",
        "down_write: version 2",
        "down_read_trylock beside a writer: false",
        "downgrade_write: version 2 for all",
        "down_write_trylock: false",
        "up_read; down_write_trylock: true",
    ]];
    semaphore = "../examples/semaphore.rs" prints [&[
        "semaphore example init: 2 channels",
        "down: the first channel",
        "down_trylock: the second channel, true",
        "down_trylock: a third one, false",
        "down_timeout: none in 10 ms",
        "down_interruptible: interrupted*",
        "down: got a channel",
        "up: Semaphore { count: 2, waiting: 0 }",
    ]];
    seqlock = "../examples/seqlock.rs" prints [&[
        "seqlock: starting 1 writer and 2 readers",
        "seqlock: writer done, Position { x: 0, y: 100000 }",
        "seqlock: torn reads: 0",
    ]];
    shared_irq = "../examples/shared_irq.rs" prints [&[
        "shared_irq example init",
        "greedy: EBUSY: Device or resource busy",
        "handlers: uart, button",
        "the button is pressed",
        "uart: IRQ_NONE",
        "button: IRQ_HANDLED",
        "the uart has data, and the line is still disabled",
        "uart: IRQ_HANDLED",
        "button: IRQ_NONE",
        "button has left",
        "uart: IRQ_HANDLED",
        "shared_irq example exit",
    ]];
    softirq = "../examples/softirq.rs" prints [&[
        "softirq example init",
        "softirq TIMER",
        "softirq BLOCK",
        "softirq RCU: run 1",
        "softirq RCU: run 25",
        "ksoftirqd took over: yes",
        "softirq example exit",
    ]];
    spin_lock = "../examples/spin_lock.rs" prints [&[
        "spin lock example init",
        "spin_lock_irqsave: 505",
        "spin_lock_bh: 505",
        "spin_trylock of a lock that is held: false",
        "spin lock example exit",
    ]];
    spurious_irq = "../examples/spurious_irq.rs" prints [&[
        "spurious_irq example init",
        "irq screaming: nobody cared",
        "Disabling IRQ screaming",
        "polled now and then; still shut off: true",
        "enabled again, and handled; shut off: false",
        "spurious_irq example exit",
    ]];
    tasklet = "../examples/tasklet.rs" prints [
        &["tasklet example init", "Example tasklet init continues...", "tasklet example exit"],
        &["Example tasklet starts", "Example tasklet ends"],
    ];
    threaded_irq = "../examples/threaded_irq.rs" prints [&[
        "threaded_irq example init",
        "top half: interrupt, in_hardirq 1",
        "irq/button: button pressed 1",
        "top half: interrupt, in_hardirq 1",
        "irq/button: button pressed 2",
        "top half: interrupt, in_hardirq 1",
        "irq/button: button pressed 3",
        "threaded_irq example exit",
    ]];
    timer = "../examples/timer.rs" prints [&[
        "Timer module installing",
        "Starting timer to fire in 200ms (*)",
        "my_timer_callback called (*).",
        "Timer module uninstalling",
    ]];
    wait_queue = "../examples/wait_queue.rs" prints [
        &[
            "Wait queue example",
            "Going to sleep init",
            "woken up by the work job",
            "wait_event_timeout: nothing in 10 ms",
            "wait_event_interruptible: interrupted*",
            "wake_up: 3 exclusive waiters, one event each",
            "waitqueue example cleanup",
        ],
        &["Waitqueue module handler work_handler", "Wake up the sleeping module"],
    ];
    work_queue = "../examples/work_queue.rs" prints [&[
        "init",
        "second queued again: false",
        "my_work.x 1",
        "my_work.x 2",
        "flushed",
        "third is pending: true",
        "my_work.x 3",
        "a closure on queue events",
        "exit",
    ]];
}

const LOCK_ORDER: &[&str] = &[
    "thread 1: ring, then stats",
    "thread 2: stats, then ring",
    "a mutex under a spin lock",
    #[cfg(debug_assertions)]
    "Order: possible circular locking dependency: *",
    #[cfg(debug_assertions)]
    "Sleep: sleeping lock or call at * under a spin lock (taken at *)",
    #[cfg(debug_assertions)]
    "2 reports, and nothing hung",
    #[cfg(not(debug_assertions))]
    "the checker is there in debug builds",
];

/// How an example ends.
trait Outcome {
    fn check(self);
}

impl Outcome for () {
    fn check(self) {}
}

impl<E: Debug> Outcome for Result<(), E> {
    fn check(self) {
        self.unwrap();
    }
}

/// The lines that `run` prints.
fn printed<O: Outcome>(run: impl FnOnce(&Print) -> O + Send + 'static) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&lines);
    let print: Print = Arc::new(move |line| list.lock().unwrap().push(line.to_owned()));
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        run(&print).check();
        let _ = end.send(());
    });
    let ended = ended.recv_timeout(DEADLINE);
    let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!(ended, Ok(()), "it failed, or did not end; it printed {lines:#?}");
    let mut reports = lockdep::reports();
    // That one is there to be reported.
    reports.retain(|report| !report.places().iter().any(|at| at.file().ends_with("lock_order.rs")));
    assert!(reports.is_empty(), "the lock checker: {reports:#?}");
    lines
}

/// Whether `line` is what `pattern` says.
fn fits(line: &str, pattern: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return line == pattern };
    let Some(line) = line.strip_prefix(begin) else { return false };
    (0..=line.len()).any(|skipped| line.is_char_boundary(skipped) && fits(&line[skipped..], rest))
}

/// Checks that the lines are those of the threads.
fn check(lines: &[String], threads: &[&[&str]]) {
    let all = format!("it printed {lines:#?}");
    let (first, last) = (threads[0][0], threads[0][threads[0].len() - 1]);
    assert!(lines.first().is_some_and(|line| fits(line, first)), "begins with {first:?}: {all}");
    assert!(lines.last().is_some_and(|line| fits(line, last)), "ends with {last:?}: {all}");
    let any_time = |pattern: &&&str| pattern.starts_with('?');
    let mut left: Vec<Vec<&str>> = threads
        .iter()
        .map(|lines| lines.iter().filter(|line| !any_time(line)).copied().rev().collect())
        .collect();
    let repeated: Vec<&str> = threads
        .iter()
        .flat_map(|lines| lines.iter().filter(any_time))
        .map(|line| &line[1..])
        .collect();
    for pattern in &repeated {
        assert!(lines.iter().any(|line| fits(line, pattern)), "no {pattern:?}: {all}");
    }
    for line in lines.iter().filter(|line| !repeated.iter().any(|pattern| fits(line, pattern))) {
        let thread = left.iter_mut().find(|left| left.last().is_some_and(|next| fits(line, next)));
        let Some(thread) = thread else { panic!("{line:?} is not next: {all}") };
        thread.pop();
    }
    assert!(left.iter().all(Vec::is_empty), "not printed: {left:?}; {all}");
}

#[test]
fn every_example_is_in_the_table() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let listed: BTreeSet<_> = FILES.iter().map(|path| path.replace("../examples/", "")).collect();
    let there: BTreeSet<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".rs"))
        .collect();
    assert_eq!(there, listed);
}

#[test]
fn every_example_is_in_the_list_of_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-the-kernel.md");
    let page = std::fs::read_to_string(page).unwrap();
    let missing: Vec<_> = FILES
        .iter()
        .map(|path| path.replace("../examples/", ""))
        .filter(|name| !page.contains(&format!("- `{name}`: ")))
        .collect();
    assert!(missing.is_empty(), "docs/from-the-kernel.md does not list {missing:?}");
}

#[test]
fn the_lines_of_threads_may_come_between_each_other_and_no_further() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let threads: &[&[&str]] = &[&["a", "?r", "z"], &["1", "2*"]];
    check(&lines("a 1 r 2x r z"), threads);
    for wrong in ["a 2 1 r z", "a 1 r z 2", "a 1 2 z", "a 1 r z", "a 1 r 2 2 z", "1 a r 2 z"] {
        let lines = lines(wrong);
        assert!(std::panic::catch_unwind(|| check(&lines, threads)).is_err(), "{wrong}");
    }
}
