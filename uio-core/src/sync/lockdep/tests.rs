//! A test per rule of the checker, and that it is nothing in release builds.

#[test]
#[cfg(not(debug_assertions))]
fn in_release_builds_it_costs_nothing() {
    use super::super::{Mutex, RwSemaphore, RwSpinLock, SpinLock};

    assert_eq!(size_of::<SpinLock<u32>>(), size_of::<std::sync::Mutex<u32>>());
    assert_eq!(size_of::<RwSpinLock<u32>>(), size_of::<std::sync::RwLock<u32>>());
    assert_eq!(
        size_of::<super::super::SpinLockGuard<'_, u32>>(),
        size_of::<std::sync::MutexGuard<'_, u32>>()
    );
    assert_eq!(size_of::<super::Key>() + size_of::<super::Held>(), 0);
    let (a, b) = (Mutex::new(RwSemaphore::new(())), SpinLock::new(()));
    drop((b.lock(), a.lock()));
    drop((a.lock(), b.lock()));
    assert!(super::reports().is_empty());
}

/// What the tests of the rules share.
#[cfg(debug_assertions)]
mod support {
    use std::panic::Location;

    use super::super::{Key, Kind, Report, Rule, reports};

    pub(super) static DELIVERY: Key = Key::new(Kind::DeliveryHeld);
    pub(super) static BOTTOM_HALVES: Key = Key::new(Kind::BottomHalvesDisabled);

    /// The reports of one kind that name a line of this file between the two.
    pub(super) fn found(rule: Rule, from: &Location<'_>, to: &Location<'_>) -> Vec<Report> {
        let within = |place: &Location<'_>| {
            place.file() == from.file() && (from.line()..=to.line()).contains(&place.line())
        };
        let mut all = reports();
        all.retain(|report| report.rule() == rule && report.places().into_iter().any(within));
        all
    }

    #[track_caller]
    pub(super) fn here() -> &'static Location<'static> {
        Location::caller()
    }
}

#[cfg(debug_assertions)]
mod contexts;
#[cfg(debug_assertions)]
mod order;
#[cfg(debug_assertions)]
mod sleep;
