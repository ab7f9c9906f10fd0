//! A test per rule of `Documentation/RCU/whatisRCU.rst`, `rcubarrier.rst` and `checklist.rst`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use super::super::testing::{DEADLINE, eventually};
use super::section::OWN;
use super::*;

/// Says when it is dropped.
struct Version(u32, Arc<AtomicBool>);

impl Drop for Version {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

fn version(number: u32) -> (Version, Arc<AtomicBool>) {
    let freed = Arc::new(AtomicBool::new(false));
    (Version(number, Arc::clone(&freed)), freed)
}

#[test]
fn a_reader_keeps_the_version_that_it_found_until_its_section_ends() {
    let (first, freed) = version(1);
    let cell = RcuCell::new(first);
    let section = read_lock();
    let found = cell.read(&section);
    drop(cell.replace(version(2).0));
    assert_eq!((found.0, cell.read(&section).0), (1, 2));
    assert!(!freed.load(Ordering::SeqCst));
    drop(section);
    barrier();
    assert!(freed.load(Ordering::SeqCst));
}

#[test]
fn synchronize_waits_for_sections_that_began_before() {
    let (entered, inside) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let reader = thread::spawn(move || {
        let _section = read_lock();
        entered.send(()).unwrap();
        let _ = left.recv_timeout(DEADLINE);
    });
    inside.recv_timeout(DEADLINE).unwrap();
    let (over, waited) = mpsc::channel();
    let writer = thread::spawn(move || {
        synchronize();
        over.send(()).unwrap();
    });
    assert!(waited.recv_timeout(std::time::Duration::from_millis(20)).is_err());
    drop(leave);
    waited.recv_timeout(DEADLINE).unwrap();
    reader.join().unwrap();
    writer.join().unwrap();
}

#[test]
fn synchronize_does_not_wait_for_sections_that_begin_later() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // There is always a section, and always another one.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut section = Some(read_lock());
                while !stop.load(Ordering::Relaxed) {
                    drop(section.take());
                    section = Some(read_lock());
                }
            });
        }
        (0..10).for_each(|_| synchronize());
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn sections_nest_and_the_outermost_counts() {
    let outer = read_lock();
    let inner = read_lock();
    drop(outer);
    assert!(is_reading());
    let since = format!("{inner:?}");
    drop(inner);
    assert!(!is_reading(), "{since}");
    synchronize();
}

#[test]
#[should_panic(expected = "would wait for itself")]
fn synchronize_in_a_section_is_caught() {
    let _section = read_lock();
    synchronize();
}

#[test]
#[should_panic(expected = "would wait for itself")]
fn barrier_in_a_section_is_caught() {
    let _section = read_lock();
    barrier();
}

#[test]
fn a_top_half_may_read_and_call_and_not_synchronize() {
    use super::super::context::{Level, enter};
    let (send, ran) = mpsc::channel();
    let cell = RcuCell::new(1);
    let irq = enter(Level::HardIrq);
    assert_eq!(*cell.read(&read_lock()), 1);
    call(move || send.send(()).unwrap());
    assert_eq!(std::panic::catch_unwind(synchronize).is_err(), cfg!(debug_assertions));
    drop(irq);
    ran.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn call_runs_after_a_grace_period_and_in_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |number| {
        let order = Arc::clone(&order);
        call(move || order.lock().unwrap().push(number));
    };
    let section = read_lock();
    note(1);
    note(2);
    thread::yield_now();
    assert!(order.lock().unwrap().is_empty(), "the section is not over");
    drop(section);
    barrier();
    assert_eq!(*order.lock().unwrap(), [1, 2]);
}

#[test]
fn barrier_waits_for_every_function_that_was_given_before() {
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let ran = Arc::clone(&ran);
        call(move || {
            ran.fetch_add(1, Ordering::SeqCst);
        });
    }
    barrier();
    assert_eq!(ran.load(Ordering::SeqCst), 100);
}

#[test]
fn a_function_runs_as_a_softirq_and_may_give_the_next() {
    let (send, levels) = mpsc::channel();
    call(move || {
        let inner = send.clone();
        send.send(super::super::context::current_level()).unwrap();
        call(move || inner.send(super::super::context::current_level()).unwrap());
    });
    for _ in 0..2 {
        let level = levels.recv_timeout(DEADLINE).unwrap();
        assert_eq!(level, super::super::context::Level::Softirq);
    }
}

#[test]
fn a_function_that_panics_hurts_no_other() {
    call(|| panic!("a bug of the driver"));
    barrier();
}

#[test]
fn a_retired_version_is_given_back_after_a_grace_period() {
    let cell = RcuCell::new(String::from("old"));
    assert_eq!(cell.replace(String::from("new")).synchronize(), "old");
    assert_eq!(*cell.read(&read_lock()), "new");
}

#[test]
fn a_cell_that_is_dropped_frees_its_version() {
    let (first, freed) = version(1);
    let mut cell = RcuCell::new(first);
    cell.get_mut().0 = 2;
    drop(cell);
    assert!(freed.load(Ordering::SeqCst));
}

#[test]
fn readers_never_see_a_version_that_was_freed() {
    const FREED: usize = usize::MAX;
    struct Counted(AtomicUsize);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.store(FREED, Ordering::SeqCst);
        }
    }
    let cell = RcuCell::new(Counted(AtomicUsize::new(0)));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let section = read_lock();
                    assert_ne!(cell.read(&section).0.load(Ordering::SeqCst), FREED);
                }
            });
        }
        for n in 0..2000 {
            drop(cell.replace(Counted(AtomicUsize::new(n))));
        }
        stop.store(true, Ordering::Relaxed);
    });
    barrier();
}

#[test]
fn a_thread_that_ends_is_forgotten() {
    let own = thread::spawn(|| {
        let _section = read_lock();
        OWN.with(|own| Arc::downgrade(&own.reader))
    });
    let place = own.join().unwrap();
    eventually("the end of the place", || place.strong_count() == 0);
}
