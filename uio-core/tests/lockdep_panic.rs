//! The lock checker with the policy to panic. The policy is the process's, so the test is alone in its own.
#![cfg(debug_assertions)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use uio_core::sync::lockdep::{self, Policy, Rule};
use uio_core::sync::{Mutex, SpinLock};

#[test]
fn a_broken_rule_can_be_made_a_panic_and_the_lock_is_not_taken() {
    lockdep::set_policy(Policy::Panic);
    let (spin, mutex) = (SpinLock::new(()), Mutex::new(()));
    let broken = catch_unwind(AssertUnwindSafe(|| {
        let _spin = spin.lock();
        let _mutex = mutex.lock();
    }));
    let message = *broken.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("sleeping lock or call at"), "{message}");
    assert!(!mutex.is_locked());

    // The panic has released the spin lock, and what the thread holds is still known.
    lockdep::set_policy(Policy::Report);
    let reports = lockdep::reports();
    assert_eq!((reports.len(), reports[0].rule()), (1, Rule::Sleep));
    assert_eq!(reports[0].to_string(), message);
    drop(mutex.lock());
    assert_eq!(lockdep::reports().len(), 1);
}
