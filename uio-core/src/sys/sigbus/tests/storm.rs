//! Everything at once: threads hammer devices that go away in any order, while others come and go.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const DEVICES: usize = 4;
const THREADS: usize = 8;
const ROUNDS: u64 = 150;

/// The next number of a row that looks random.
fn scrambled(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Sets the flag, also when a round fails: the others would not end otherwise.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads and writes until every device says that it is gone. Any value that a checked form yields is real.
fn hammer(devices: &[Victim], steady: &Victim, thread: usize) {
    let mut seed = thread as u64;
    let mut alive = true;
    while alive {
        alive = false;
        for victim in devices {
            // CAST: below the length of the mapping.
            let at = (scrambled(&mut seed) as usize % victim.io.size()) & !7;
            match victim.io.try_read32(at) {
                Ok(value) => assert_eq!(value, ALIVE),
                Err(error) => assert_eq!(error, AccessError::Gone),
            }
            alive |= victim.io.try_write32(at + 4, ALIVE).is_ok();
            let value = victim.io.read32(at);
            assert!(value == ALIVE || value == u32::MAX, "{value:#x}");
        }
        assert_eq!(steady.io.try_read32(0), Ok(ALIVE), "a device that is there goes on");
    }
}

#[test]
fn devices_that_go_away_under_access_never_harm_the_process_or_another_device() {
    let steady = Victim::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(Victim::new().io.try_read32(0), Ok(ALIVE));
                }
            });
        }
        let _done = AtEnd(&done);
        let mut seed = 1;
        (0..ROUNDS).for_each(|_| round(&steady, &mut seed));
    });
    assert_eq!(steady.signals(), 0);
}

fn round(steady: &Victim, seed: &mut u64) {
    let devices: [Victim; DEVICES] = std::array::from_fn(|_| Victim::new());
    let mut order: Vec<&Victim> = devices.iter().collect();
    for left in (1..DEVICES).rev() {
        // CAST: below the number of devices.
        order.swap(left, scrambled(seed) as usize % (left + 1));
    }
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let devices = &devices;
            scope.spawn(move || hammer(devices, steady, thread));
        }
        order.iter().for_each(|victim| victim.unplug());
    });
    for victim in &devices {
        assert_eq!((victim.region.is_gone(), victim.signals()), (true, 1));
    }
}
