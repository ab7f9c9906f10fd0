//! The rules of a shared chain and of its flags: `__setup_irq` and `__handle_irq_event_percpu`.

use super::*;

fn request(line: &IrqLine, flags: Flags, name: &str) -> Result<Registration> {
    Registration::request(line, flags, name, Probe::handled())
}

#[test]
fn all_sharers_agree_on_oneshot() {
    let (_dispatcher, _device, line) = bench();
    let _one = request(&line, Flags::SHARED | Flags::ONESHOT, "one").unwrap();
    let error = request(&line, Flags::SHARED, "two").unwrap_err();
    assert_eq!(error.errno(), Errno::EBUSY);
    assert!(error.to_string().contains("ONESHOT"), "{error}");
    let _three = request(&line, Flags::SHARED | Flags::ONESHOT, "three").unwrap();
}

#[test]
fn no_autoen_and_shared_exclude_each_other() {
    let (_dispatcher, _device, line) = bench();
    let error = request(&line, Flags::SHARED | Flags::NO_AUTOEN, "one").unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL);
    assert!(line.handlers().is_empty());
}

#[test]
fn with_no_autoen_the_line_is_enabled_by_the_driver() {
    let (_dispatcher, device, line) = bench();
    let probe = Probe::handled();
    device.raise(1);
    let _held = Registration::request(&line, Flags::NO_AUTOEN, "probe", probe.clone()).unwrap();
    wait_until("the count", || line.stats().raised == 1);
    assert_eq!(device.unmasked.load(Ordering::SeqCst), 0);
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    assert!(line.is_masked());
    line.enable();
    probe.wait_for(1);
    assert!(!line.is_masked());
}

#[test]
fn a_handler_that_another_handler_takes_off_the_chain_is_not_called_any_more_in_that_round() {
    let (_dispatcher, device, line) = bench();
    let held: Arc<Mutex<Option<Registration>>> = Arc::new(Mutex::new(None));
    let first = {
        let held = Arc::clone(&held);
        Probe::new(move |_| {
            drop(held.lock().unwrap().take());
            IrqReturn::Handled
        })
    };
    let (second, third) = (Probe::handled(), Probe::handled());
    let _first = Registration::request(&line, Flags::SHARED, "first", first).unwrap();
    *held.lock().unwrap() =
        Some(Registration::request(&line, Flags::SHARED, "second", second.clone()).unwrap());
    let _third = Registration::request(&line, Flags::SHARED, "third", third.clone()).unwrap();
    device.raise(1);
    third.wait_for(1);
    assert_eq!(second.calls.load(Ordering::SeqCst), 0);
    assert_eq!(line.handlers(), ["first", "third"]);
}

#[test]
fn a_handler_that_joins_in_a_round_is_asked_from_the_next_round_on() {
    let (_dispatcher, device, line) = bench();
    let joined: Arc<Mutex<Option<Registration>>> = Arc::new(Mutex::new(None));
    let late = Probe::handled();
    let first = {
        let (joined, late, line) = (Arc::clone(&joined), late.clone(), line.clone());
        Probe::new(move |_| {
            let mut joined = joined.lock().unwrap();
            if joined.is_none() {
                let registration =
                    Registration::request(&line, Flags::SHARED, "late", late.clone());
                *joined = Some(registration.unwrap());
            }
            IrqReturn::Handled
        })
    };
    let _first = Registration::request(&line, Flags::SHARED, "first", first.clone()).unwrap();
    device.raise(1);
    wait_until("the round", || line.stats().handled == 1);
    assert_eq!(late.calls.load(Ordering::SeqCst), 0);
    device.raise(1);
    late.wait_for(1);
    joined.lock().unwrap().take();
}

#[test]
fn release_is_the_drop_by_name() {
    let (_dispatcher, device, line) = bench();
    request(&line, Flags::empty(), "one").unwrap().release();
    assert!(line.handlers().is_empty());
    assert_eq!(device.masked.load(Ordering::SeqCst), 1);
}

#[test]
fn request_any_context_runs_the_handler_in_a_thread_where_the_source_needs_one() {
    struct Slow(Source);
    impl LineSource for Slow {
        fn fd(&self) -> BorrowedFd<'_> {
            self.0.fd()
        }
        fn take(&self) -> Result<u32, Errno> {
            self.0.take()
        }
        fn unmask(&self) -> Result<(), Errno> {
            self.0.unmask()
        }
        fn mask(&self) -> Result<(), Errno> {
            self.0.mask()
        }
        fn masks_itself(&self) -> bool {
            self.0.masks_itself()
        }
        fn needs_thread(&self) -> bool {
            true
        }
    }
    let (dispatcher, device, line) = bench();
    let level = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&level);
    let probe = Probe::new(move |_| {
        note.lock().unwrap().push(current_level());
        IrqReturn::Handled
    });
    let held = request_any_context_irq(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    assert!(matches!(held, AnyContextRegistration::HardIrq(_)));
    device.raise(1);
    probe.wait_for(1);
    drop(held);
    let slow = Box::new(Slow(Source(Arc::clone(&device))));
    let line = IrqLine::new("slow", slow, &dispatcher);
    let held = request_any_context_irq(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    assert!(matches!(held, AnyContextRegistration::Threaded(_)));
    device.raise(1);
    probe.wait_for(2);
    assert_eq!(*level.lock().unwrap(), [Level::HardIrq, Level::Task]);
}
