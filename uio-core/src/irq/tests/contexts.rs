//! In which context handlers run, and what they may not do there.

use super::*;

/// Runs `act` in a handler and returns what it said.
fn in_a_handler<T: Send + 'static>(act: impl Fn() -> T + Send + Sync + 'static) -> T {
    let (_dispatcher, device, line) = bench();
    let said = Arc::new(Mutex::new(None));
    let note = Arc::clone(&said);
    let probe = Probe::new(move |_| {
        *note.lock().unwrap() = Some(act());
        IrqReturn::Handled
    });
    let _held = Registration::request(&line, Flags::empty(), "probe", probe.clone()).unwrap();
    device.raise(1);
    probe.wait_for(1);
    said.lock().unwrap().take().unwrap()
}

/// The text of a panic, if there was one.
#[cfg(debug_assertions)]
fn panic_of(act: impl FnOnce()) -> Option<String> {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).err()?;
    Some(caught.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn a_handler_is_in_interrupt_and_in_hardirq_and_not_in_softirq() {
    assert!(in_a_handler(|| in_interrupt() && in_hardirq() && !in_softirq()));
    assert!(!in_interrupt());
}

#[test]
#[cfg(debug_assertions)]
fn disable_irq_in_a_top_half_is_caught_with_both_places() {
    let (_dispatcher, _device, line) = bench();
    let text = in_a_handler(move || panic_of(|| line.disable())).unwrap();
    // Where it was called, and where the handler was requested.
    let (call, set_up) = text.split_once(" in HardIrq context (set up at ").unwrap();
    for place in [call, set_up] {
        assert!(place.contains("irq/tests/contexts.rs"), "{text}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn free_irq_in_a_top_half_of_another_dispatcher_is_caught() {
    let (_dispatcher, _device, line) = bench();
    let held = Registration::request(&line, Flags::empty(), "other", Probe::handled()).unwrap();
    let held = Mutex::new(Some(held));
    let text = in_a_handler(move || {
        let held = held.lock().unwrap().take();
        panic_of(|| drop(held))
    });
    assert!(text.unwrap().contains("sleeping call"));
}

#[test]
#[cfg(debug_assertions)]
fn synchronize_irq_in_a_top_half_of_another_dispatcher_is_caught() {
    let (_dispatcher, _device, line) = bench();
    let held = Registration::request(&line, Flags::empty(), "other", Probe::handled()).unwrap();
    assert!(in_a_handler(move || panic_of(|| held.synchronize())).is_some());
}
