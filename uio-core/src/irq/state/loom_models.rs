//! The device's side held against the state word, in every interleaving.

use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;

use super::*;

/// The device's side: fires while it is unmasked, and masks itself in doing so.
#[derive(Default)]
struct Device {
    unmasked: AtomicUsize,
    rounds: AtomicUsize,
}

impl Device {
    fn unmask(&self) {
        assert_eq!(self.unmasked.fetch_add(1, Ordering::SeqCst), 0, "unmasked twice");
    }

    fn fire(&self, state: &State) {
        if self.unmasked.swap(0, Ordering::SeqCst) == 1 && state.fired(true) == Taken::Run {
            self.round(state);
        }
    }

    fn round(&self, state: &State) {
        self.rounds.fetch_add(1, Ordering::SeqCst);
        if state.leave() == Owed::Unmask {
            self.unmask();
        }
    }
}

/// The dispatcher takes an interrupt while another thread masks and unmasks: the interrupt has its
/// round, and the device ends unmasked, once.
#[test]
fn loom_the_device_is_unmasked_exactly_once_and_no_interrupt_is_lost() {
    loom::model(|| {
        let shared = Arc::new((State::new(), Device::default()));
        assert_eq!(shared.0.open(true), Owed::Unmask);
        shared.1.unmask();
        let other = {
            let shared = Arc::clone(&shared);
            loom::thread::spawn(move || {
                let (state, device) = &*shared;
                state.mask();
                match state.unmask() {
                    Owed::Unmask => device.unmask(),
                    Owed::Nothing | Owed::Resend => {}
                    Owed::Unbalanced => unreachable!("it was masked"),
                }
            })
        };
        let (state, device) = &*shared;
        device.fire(state);
        other.join().unwrap();
        // The dispatcher's kick, had it been asked for.
        if state.resend() {
            device.round(state);
        }
        assert_eq!(device.rounds.load(Ordering::SeqCst), 1);
        assert_eq!(device.unmasked.load(Ordering::SeqCst), 1);
    });
}
