//! The examples of time, waiting, threads, work and locks, run as their readers run them: each prints what the
//! kernel module of the texts would print. (`irq_examples.rs` has those of interrupts and bottom halves.)

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where cargo puts the example programs of this build, which it builds if need be.
fn programs() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        // target/PROFILE/deps/NAME-HASH
        let own = env::current_exe().unwrap();
        let dir = own.ancestors().nth(2).unwrap();
        let profile = dir.file_name().unwrap().to_str().unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let cargo = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
        let mut build = Command::new(cargo);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        build.args(["build", "--quiet", "--examples", "--profile", profile, "--target-dir"]);
        let done = build.arg(dir.parent().unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{build:?} failed:\n{said}");
        dir.join("examples")
    })
}

/// The lines that an example prints.
#[track_caller]
fn printed(name: &str) -> Vec<String> {
    let done = Command::new(programs().join(name)).output().unwrap();
    assert!(done.status.success(), "{name}: {done:?}");
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The same, with `#` for every number: times are another each time.
#[track_caller]
fn without_numbers(name: &str) -> Vec<String> {
    let blank = |line: String| {
        let mut blank: String =
            line.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        while blank.contains("##") {
            blank = blank.replace("##", "#");
        }
        blank
    };
    printed(name).into_iter().map(blank).collect()
}

#[test]
fn timer_prints_as_the_module() {
    assert_eq!(
        without_numbers("timer"),
        [
            "Timer module installing",
            "Starting timer to fire in #ms (#)",
            "my_timer_callback called (#).",
            "Timer module uninstalling",
        ]
    );
}

#[test]
fn hrtimer_prints_as_the_module() {
    let called = "my_hrtimer_callback called (# ms, call #, overruns #).";
    assert_eq!(
        without_numbers("hrtimer"),
        [
            "HR Timer module installing",
            "Starting timer to fire every #ms (#)",
            called,
            called,
            called,
            called,
            called,
            "HR Timer module uninstalling",
        ]
    );
}

#[test]
fn wait_queue_is_woken_by_delayed_work() {
    assert_eq!(
        printed("wait_queue"),
        [
            "wait_event: waiting for the event, which comes in 100 ms",
            "work: the event is there, wake_up",
            "wait_event: event arrived",
            "wait_event_timeout: nothing in 10 ms",
            "wait_event_interruptible: interrupted while waiting",
            "wake_up: 3 exclusive waiters, one event each",
        ]
    );
}

#[test]
fn completion_prints_as_the_module() {
    assert_eq!(
        printed("completion"),
        [
            "completion example: init",
            "wait_for_completion: waiting for initialization",
            "wait_for_completion: initialization is done",
            "complete before wait: the wait did not sleep",
            "wait_for_completion_timeout: timed out",
            "complete_all: three waiters went on, done = true",
            "reinit_completion: done = false",
        ]
    );
}

#[test]
fn work_queue_runs_its_two_items() {
    assert_eq!(
        printed("work_queue"),
        [
            "init",
            "second queued again: false",
            "my_work.x 1",
            "my_work.x 2",
            "flushed",
            "third is pending: true",
            "my_work.x 3",
            "a closure on queue events",
            "exit",
        ]
    );
}

#[test]
fn kthread_is_made_woken_parked_and_stopped() {
    assert_eq!(
        printed("kthread"),
        [
            "init",
            "example_thread is created, and waits",
            "example_thread: started",
            "example_thread: parking",
            "example_thread is parked",
            "example_thread: unparked",
            "example_thread: stopping",
            "exit: the thread returned, rounds >= 6: true",
        ]
    );
}

#[test]
fn rcu_keeps_what_is_read() {
    assert_eq!(
        printed("rcu"),
        [
            "reader: rcu_read_lock, sees config 1",
            "writer: replaced it by config 2",
            "reader: still sees config 1, rcu_read_unlock",
            "writer: synchronize_rcu returned, nobody reads config 1",
            "config 1 freed",
            "config 2 freed",
            "call_rcu: a grace period later",
            "rcu_barrier: all callbacks have run",
            "config 3 freed",
        ]
    );
}

#[test]
fn seqlock_tears_no_read() {
    let lines = printed("seqlock");
    assert_eq!(lines.last().map(String::as_str), Some("seqlock: torn reads: 0"), "{lines:?}");
}

#[test]
fn lock_order_finds_both_bugs() {
    let lines = printed("lock_order");
    let last = if cfg!(debug_assertions) {
        "2 reports, and nothing hung"
    } else {
        "the checker is there in debug builds"
    };
    assert_eq!(lines.last().map(String::as_str), Some(last), "{lines:?}");
}
