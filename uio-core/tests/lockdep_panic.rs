//! The lock checker with the policy to panic. The policy is the process's, so the test is alone in its own.
#![cfg(debug_assertions)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use std::sync::{Arc, mpsc};

use uio_core::irq::{Dispatcher, Flags, Handler, IrqReturn, Registration};
use uio_core::sync::lockdep::{self, Policy, Rule};
use uio_core::sync::{Mutex, SpinLock};

#[path = "../examples/support/mod.rs"]
mod support;

struct TopHalf {
    lock: Arc<SpinLock<u32>>,
    done: mpsc::Sender<()>,
}

impl Handler for TopHalf {
    fn handle(&self) -> IrqReturn {
        *self.lock.lock() += 1;
        let _ = self.done.send(());
        IrqReturn::Handled
    }
}

/// Takes a plain lock in a top half, and then with delivery on.
fn lock_with_delivery_on() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let (device, hardware) = support::device("test", &dispatcher).unwrap();
    let (done, ran) = mpsc::channel();
    let lock = Arc::new(SpinLock::new(0));
    let top_half = Arc::new(TopHalf { lock: Arc::clone(&lock), done });
    let line = device.line(0).unwrap();
    let _irq = Registration::request(&line, Flags::empty(), "test", top_half).unwrap();
    hardware.raise();
    ran.recv().unwrap();
    assert_eq!(*lock.lock_irqsave(), 1);
    *lock.lock() += 1;
}

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
    lockdep::set_policy(Policy::Panic);
    let broken = catch_unwind(lock_with_delivery_on);
    let message = *broken.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("inconsistent lock state"), "{message}");
    assert_eq!(lockdep::reports()[1].rule(), Rule::Delivery);
}
