//! The states of a line, one transition at a time.

use super::*;

fn enabled() -> State {
    let state = State::new();
    assert_eq!(state.open(true), Owed::Unmask);
    state
}

#[test]
fn a_line_is_unmasked_after_its_round() {
    let state = enabled();
    assert_eq!(state.fired(true), Taken::Run);
    assert_eq!(state.leave(), Owed::Unmask);
}

#[test]
fn a_handler_that_masks_moves_the_unmask_to_the_bottom_half() {
    let state = enabled();
    assert_eq!(state.fired(true), Taken::Run);
    state.mask();
    assert_eq!(state.leave(), Owed::Nothing);
    assert_eq!(state.unmask(), Owed::Unmask);
}

#[test]
fn masks_nest() {
    let state = enabled();
    state.mask();
    state.mask();
    assert_eq!(state.unmask(), Owed::Nothing);
    assert!(state.is_masked());
    assert_eq!(state.unmask(), Owed::Nothing);
    assert_eq!(state.unmask(), Owed::Unbalanced);
}

#[test]
fn what_fires_while_disabled_is_kept_pending_not_lost() {
    let state = enabled();
    state.mask();
    assert_eq!(state.fired(true), Taken::Kept);
    assert_eq!(state.fired(true), Taken::Merged);
    assert!(!state.resend(), "not while it is disabled");
    assert_eq!(state.unmask(), Owed::Resend);
    assert!(state.resend() && !state.resend());
    assert_eq!(state.leave(), Owed::Unmask);
}

#[test]
fn a_source_that_does_not_mask_itself_is_never_unmasked() {
    let state = enabled();
    assert_eq!(state.fired(false), Taken::Run);
    assert_eq!(state.leave(), Owed::Nothing);
}

#[test]
fn a_dead_line_takes_nothing() {
    let state = enabled();
    assert!(state.die() && !state.die());
    assert_eq!(state.fired(true), Taken::Dropped);
    state.mask();
    assert_eq!(state.unmask(), Owed::Nothing);
}

#[test]
fn a_line_requested_with_no_autoen_stays_disabled_until_it_is_enabled() {
    let state = State::new();
    assert_eq!(state.open(false), Owed::Nothing);
    assert!(state.is_masked());
    assert_eq!(state.unmask(), Owed::Unmask);
    assert_eq!(state.unmask(), Owed::Unbalanced);
}

#[test]
fn a_line_that_was_never_enabled_can_be_requested_again() {
    let state = State::new();
    assert_eq!(state.open(false), Owed::Nothing);
    state.close();
    assert_eq!(state.open(true), Owed::Unmask);
}

#[test]
fn an_unmask_that_comes_after_the_last_handler_left_lets_nothing_fire() {
    let state = enabled();
    assert_eq!(state.fired(true), Taken::Run);
    state.mask();
    state.close();
    assert_eq!(state.leave(), Owed::Nothing);
    assert_eq!(state.unmask(), Owed::Nothing);
    assert_eq!(state.open(true), Owed::Unmask);
}

#[test]
fn oneshot_keeps_the_line_quiet_until_every_thread_has_run() {
    let state = enabled();
    assert_eq!(state.fired(true), Taken::Run);
    state.hold();
    state.hold();
    assert_eq!(state.leave(), Owed::Nothing);
    assert_eq!(state.release(), Owed::Nothing);
    assert_eq!(state.release(), Owed::Unmask);
}

#[test]
fn what_fires_while_active_is_active_and_pending_and_gets_a_round_of_its_own() {
    let state = enabled();
    assert_eq!(state.fired(false), Taken::Run);
    assert_eq!(state.fired(false), Taken::Kept);
    assert!(!state.resend(), "never beside itself");
    assert_eq!(state.leave(), Owed::Resend);
    assert!(state.resend());
    assert_eq!(state.leave(), Owed::Nothing);
}

#[test]
fn a_line_that_is_shut_off_is_only_polled_and_is_unmasked_once_when_enabled_again() {
    let state = enabled();
    assert_eq!(state.fired(false), Taken::Run);
    state.shut_off();
    assert_eq!(state.leave(), Owed::Nothing);
    assert_eq!(state.fired(false), Taken::Kept);
    assert!(state.poll());
    assert_eq!(state.leave(), Owed::Nothing);
    state.mask();
    assert!(!state.poll(), "a driver that disabled it is not disturbed");
    assert_eq!(state.unmask(), Owed::Nothing);
    assert_eq!(state.reenable(), Owed::Unmask);
    assert_eq!(state.reenable(), Owed::Nothing);
}

#[test]
fn a_line_is_inactive_pending_active_both_or_disabled() {
    let state = State::new();
    assert_eq!(state.look(), LineState::Disabled { pending: false }, "without a handler");
    assert_eq!(state.open(true), Owed::Unmask);
    assert_eq!(state.look(), LineState::Inactive);
    assert_eq!(state.fired(false), Taken::Run);
    assert_eq!(state.look(), LineState::Active);
    assert_eq!(state.fired(false), Taken::Kept);
    assert_eq!(state.look(), LineState::ActiveAndPending);
    assert_eq!(state.leave(), Owed::Resend);
    assert_eq!(state.look(), LineState::Pending);
    state.mask();
    assert_eq!(state.look(), LineState::Disabled { pending: true });
    assert_eq!(state.unmask(), Owed::Resend);
    assert!(state.resend());
    state.hold();
    assert_eq!(
        (state.leave(), state.look()),
        (Owed::Nothing, LineState::Disabled { pending: false })
    );
    assert_eq!((state.release(), state.look()), (Owed::Nothing, LineState::Inactive));
    assert!(state.die());
    assert_eq!(state.look(), LineState::Gone);
}
