//! A test per rule of `include/linux/kthread.h` and the kernel-doc of `kernel/kthread.c`.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::mpsc;

use super::*;
use crate::sync::WaitQueue;

const DEADLINE: Duration = Duration::from_secs(60);

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::yield_now();
    }
}

/// A thread that counts its rounds, and parks and stops where it is asked to.
fn counting(name: &str) -> (Kthread<u32>, Arc<AtomicU32>) {
    let rounds = Arc::new(AtomicU32::new(0));
    let own = Arc::clone(&rounds);
    let thread = create(name, move || {
        while !should_stop() {
            own.fetch_add(1, Ordering::SeqCst);
            if should_park() {
                parkme();
            }
            schedule_timeout(Duration::from_millis(1));
        }
        own.load(Ordering::SeqCst)
    });
    (thread.unwrap(), rounds)
}

fn status(thread: &Kthread<impl Sized>, file: &str) -> String {
    fs::read_to_string(format!("/proc/self/task/{}/{file}", thread.tid())).unwrap()
}

/// Field `number` of `/proc/PID/stat`, counted from 1 as the manual does.
fn stat_field(thread: &Kthread<impl Sized>, number: usize) -> String {
    let stat = status(thread, "stat");
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(number - 3).unwrap().to_owned()
}

#[test]
fn a_created_thread_does_not_start_until_it_is_woken() {
    let (thread, rounds) = counting("kt/created");
    // It exists, sleeps, and has run nothing.
    wait_for("its sleep", || sched::is_asleep(Pid::from_raw(thread.tid())));
    assert_eq!(rounds.load(Ordering::SeqCst), 0);
    thread.wake();
    wait_for("a round", || rounds.load(Ordering::SeqCst) > 0);
}

#[test]
fn stop_wakes_the_thread_waits_for_it_and_returns_its_result() {
    let thread = run("kt/stop", || {
        while !should_stop() {
            schedule();
        }
        -5
    });
    assert_eq!(thread.unwrap().stop().unwrap(), -5);
}

#[test]
fn stop_of_a_thread_that_was_never_woken_is_eintr_and_its_function_does_not_run() {
    let (thread, rounds) = counting("kt/never");
    assert_eq!(thread.stop().unwrap_err().errno(), Errno::EINTR);
    assert_eq!(rounds.load(Ordering::SeqCst), 0);
}

#[test]
fn a_thread_that_returned_by_itself_keeps_its_result_for_stop() {
    let thread = run("kt/done", || "done").unwrap();
    wait_for("its end", || thread.has_ended());
    assert_eq!(thread.stop().unwrap(), "done");
}

#[test]
fn park_waits_until_the_thread_has_parked_and_unpark_lets_it_go_on() {
    let (thread, rounds) = counting("kt/park");
    thread.wake();
    for _ in 0..20 {
        thread.park().unwrap();
        let parked = rounds.load(Ordering::SeqCst);
        assert_eq!(thread.park().unwrap_err().errno(), Errno::EBUSY);
        assert_eq!(rounds.load(Ordering::SeqCst), parked, "a parked thread stands still");
        thread.unpark();
        wait_for("a round after it", || rounds.load(Ordering::SeqCst) > parked);
    }
}

#[test]
fn a_created_thread_can_be_parked_instead_of_woken_and_does_not_call_its_function() {
    let (thread, rounds) = counting("kt/park0");
    thread.park().unwrap();
    assert_eq!(rounds.load(Ordering::SeqCst), 0);
    thread.unpark();
    wait_for("a round", || rounds.load(Ordering::SeqCst) > 0);
}

#[test]
fn stop_of_a_parked_thread_unparks_it() {
    let (thread, rounds) = counting("kt/park1");
    thread.wake();
    wait_for("a round", || rounds.load(Ordering::SeqCst) > 0);
    thread.park().unwrap();
    let parked = rounds.load(Ordering::SeqCst);
    assert!(thread.stop().unwrap() >= parked);
}

#[test]
fn park_of_a_thread_that_has_ended_is_enosys() {
    let thread = run("kt/ended", || ()).unwrap();
    wait_for("its end", || thread.has_ended());
    assert_eq!(thread.park().unwrap_err().errno(), Errno::ENOSYS);
}

#[test]
fn park_by_the_thread_itself_only_sets_the_request() {
    let (hand, own) = mpsc::channel::<Arc<Kthread<()>>>();
    let seen = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&seen);
    let thread = run("kt/self", move || {
        let own = own.recv().unwrap();
        own.park().unwrap();
        noted.store(should_park(), Ordering::SeqCst);
        drop(own);
        parkme();
    });
    let thread = Arc::new(thread.unwrap());
    hand.send(Arc::clone(&thread)).unwrap();
    wait_for("the request", || seen.load(Ordering::SeqCst));
    thread.unpark();
    wait_for("its end", || thread.has_ended());
}

#[test]
fn dropping_a_thread_stops_it() {
    let (thread, rounds) = counting("kt/drop");
    thread.wake();
    wait_for("a round", || rounds.load(Ordering::SeqCst) > 0);
    drop(thread);
    assert_eq!(Arc::strong_count(&rounds), 1, "the function and what it owned are gone");
}

#[test]
fn ps_shows_the_first_fifteen_bytes_of_the_name() {
    let (thread, _) = counting("kt/a-name-that-is-too-long");
    assert_eq!(thread.name(), "kt/a-name-that-is-too-long");
    assert_eq!(status(&thread, "comm").trim_end(), "kt/a-name-that-");
    assert_eq!(create("a\0b", || ()).unwrap_err().errno(), Errno::EINVAL);
}

#[test]
fn a_new_thread_inherits_neither_the_scheduling_class_nor_the_cpus_of_its_creator() {
    let cpu = CpuSet::allowed().iter().next().unwrap();
    let creator = run("kt/creator", move || {
        let this = gettid();
        sched::set_affinity(this, &CpuSet::of([cpu]).unwrap()).unwrap();
        sched::set_scheduler(this, Scheduler::Batch { nice: 0 }).map(|()| {
            let (child, _) = counting("kt/child");
            let affinity = sched::affinity(Pid::from_raw(child.tid())).unwrap();
            (stat_field(&child, 41), affinity)
        })
    });
    let creator = creator.unwrap();
    wait_for("the creator", || creator.has_ended());
    match creator.stop().unwrap() {
        Ok((class, affinity)) => {
            assert_eq!(class, libc::SCHED_OTHER.to_string());
            assert_eq!(affinity, CpuSet::allowed());
        }
        // Under a nice value that we may not lower, the class cannot be left with nice 0.
        Err(errno) => assert!(matches!(errno, Errno::EPERM | Errno::EACCES), "{errno}"),
    }
}

#[test]
fn a_thread_can_be_kept_on_a_cpu() {
    let (thread, _) = counting("kt/bound");
    let cpu = CpuSet::allowed().iter().last().unwrap();
    let set = CpuSet::of([cpu]).unwrap();
    thread.set_affinity(&set).unwrap();
    assert_eq!(sched::affinity(Pid::from_raw(thread.tid())).unwrap(), set);
    let none = thread.set_affinity(&CpuSet::default()).unwrap_err();
    assert_eq!(none.errno(), Errno::EINVAL);
}

#[test]
fn a_thread_can_be_given_a_scheduling_class() {
    let (thread, _) = counting("kt/class");
    let classes = [
        (Scheduler::Fifo { priority: 50 }, libc::SCHED_FIFO, 40, "50"),
        (Scheduler::RoundRobin { priority: 3 }, libc::SCHED_RR, 40, "3"),
        (Scheduler::Batch { nice: 19 }, libc::SCHED_BATCH, 19, "19"),
        (Scheduler::Other { nice: 19 }, libc::SCHED_OTHER, 19, "19"),
        (Scheduler::Idle, libc::SCHED_IDLE, 40, "0"),
    ];
    for (scheduler, policy, field, value) in classes {
        match thread.set_scheduler(scheduler) {
            Ok(()) => {
                assert_eq!(stat_field(&thread, 41), policy.to_string(), "{scheduler:?}");
                assert_eq!(stat_field(&thread, field), value, "{scheduler:?}");
            }
            Err(error) => {
                assert_eq!(error.errno(), Errno::EPERM, "{error}");
                assert!(error.hint().is_some(), "{error}");
            }
        }
    }
    let wrong = thread.set_scheduler(Scheduler::Fifo { priority: 100 }).unwrap_err();
    assert_eq!(wrong.errno(), Errno::EINVAL);
}

#[test]
fn a_thread_that_has_ended_cannot_be_changed() {
    let thread = run("kt/gone", || ()).unwrap();
    wait_for("its end", || thread.has_ended());
    let errno = thread.set_affinity(&CpuSet::allowed()).unwrap_err().errno();
    assert_eq!(errno, Errno::ESRCH);
    assert_eq!(thread.set_scheduler(Scheduler::Idle).unwrap_err().errno(), Errno::ESRCH);
}

#[test]
fn wait_until_ends_when_the_condition_holds_and_when_the_thread_should_stop() {
    let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false), AtomicU32::new(0)));
    let own = Arc::clone(&shared);
    let thread = run("kt/wait", move || {
        let (queue, ready, taken) = &*own;
        while wait_until(queue, || ready.swap(false, Ordering::SeqCst)) {
            taken.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (queue, ready, taken) = &*shared;
    for round in 1..=3 {
        ready.store(true, Ordering::SeqCst);
        queue.wake_all();
        wait_for("the condition to be taken", || taken.load(Ordering::SeqCst) == round);
    }
    thread.unwrap().stop().unwrap();
}

#[test]
fn a_thread_that_panics_says_so_to_who_stops_it() {
    let thread = run("kt/panic", || panic!("a bug of the driver")).unwrap();
    wait_for("its end", || thread.has_ended());
    assert_eq!(thread.stop().unwrap_err().errno(), Errno::ENOTRECOVERABLE);
}

#[test]
fn a_thread_that_is_no_kernel_thread_is_asked_for_nothing() {
    assert!(!should_stop() && !should_park());
    parkme();
}
