//! A line whose interrupts nobody wants: `note_interrupt`, end to end.

use super::*;
use crate::sync::testing::Reports;

/// A handler that wants nothing, and a device that never stops.
fn storming(device: &Arc<Device>) -> (Arc<Probe>, Arc<AtomicBool>) {
    let wanted = Arc::new(AtomicBool::new(false));
    let (answer, device) = (Arc::clone(&wanted), Arc::clone(device));
    let probe = Probe::new(move |_| {
        if answer.load(Ordering::SeqCst) {
            return IrqReturn::Handled;
        }
        device.raise(1);
        IrqReturn::None
    });
    (probe, wanted)
}

#[test]
fn a_line_that_nobody_cares_for_is_shut_off_then_polled_and_enabled_again_on_request() {
    let (_dispatcher, device, line) = bench();
    let (probe, wanted) = storming(&device);
    let _held = Registration::request(&line, Flags::SHARED, "probe", probe.clone()).unwrap();
    device.raise(1);
    wait_until("the shut-off", || line.is_shut_off());
    wait_until("the device to be silenced", || device.masked.load(Ordering::SeqCst) == 1);
    // A poll, which may be under way by now, is counted before its round. And where the whole machine stood
    // still for a tenth of a second, which no statistics tell, the count began anew.
    wait_until("a window's interrupts", || {
        let at = line.stats();
        let unwanted = at.none.saturating_sub(at.polled);
        unwanted >= 100_000 && unwanted.is_multiple_of(100_000)
    });
    assert_eq!(line.stats().shut_off, 1);
    assert!(!line.is_masked(), "the driver has not masked it");

    wanted.store(true, Ordering::SeqCst);
    wait_until("two polls", || line.stats().polled >= 2);
    assert!(line.is_shut_off(), "polling does not end it");

    line.reenable();
    assert!(!line.is_shut_off());
    let before = line.stats().raised;
    device.raise(1);
    wait_until("the interrupt", || line.stats().raised > before);
    assert_eq!(line.stats().shut_off, 1);
}

#[test]
fn a_new_handler_gives_a_line_that_was_shut_off_another_chance() {
    let (_dispatcher, device, line) = bench();
    let (probe, wanted) = storming(&device);
    let _held = Registration::request(&line, Flags::SHARED, "probe", probe).unwrap();
    device.raise(1);
    wait_until("the shut-off", || line.is_shut_off());
    wanted.store(true, Ordering::SeqCst);
    let late = Probe::handled();
    let _late = Registration::request(&line, Flags::SHARED, "late", late.clone()).unwrap();
    assert!(!line.is_shut_off());
    device.raise(1);
    late.wait_for(1);
}

#[test]
fn the_report_of_a_shut_off_names_the_line_and_its_handlers() {
    let (_dispatcher, device, line) = bench();
    let (probe, _wanted) = storming(&device);
    let reports = Reports::default();
    let listener = {
        let reports = reports.clone();
        Probe::new(move |calls| {
            if calls == 0 {
                reports.listen();
            }
            IrqReturn::None
        })
    };
    let _held = Registration::request(&line, Flags::SHARED, "stormy", probe).unwrap();
    let _deaf = Registration::request(&line, Flags::SHARED, "deaf", listener).unwrap();
    device.raise(1);
    // The report comes first.
    wait_until("the shut-off", || line.is_shut_off());
    let said = reports.naming(&["ERROR", "nobody cared", "line=test", "handlers=stormy, deaf"]);
    assert_eq!(said.len(), 1, "{reports:?}");
}
