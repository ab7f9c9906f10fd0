//! Deadlines: nothing here waits for time to pass, and nothing waits for ever.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before the story fails. Generous: the bench emulates its processor.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// How long something may take that a user would call immediate, on a machine that does a lot besides; and shorter
/// than anything of ours that gives up by itself.
pub const SOON: Duration = Duration::from_secs(9);

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// Waits until `look` gives something.
///
/// # Panics
///
/// When the deadline passes.
pub fn until_some<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_some_within(what, DEADLINE, look)
}

/// The same with another deadline.
///
/// # Panics
///
/// When the deadline passes.
pub fn until_some_within<T>(what: &str, span: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + span;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {span:?}");
        thread::sleep(GLANCE);
    }
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// When the deadline passes.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    until_some(what, || condition().then_some(()));
}
