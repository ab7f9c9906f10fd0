//! What is in a bay can be pulled and plugged again, time after time, and unplugged in order.

use std::time::Instant;

use scenarios::hotplug::Bay;
use scenarios::pci;

const ROUNDS: u32 = 20;

#[test]
fn a_device_comes_back_each_time_it_is_pulled() {
    for bay in [Bay::nvme(), Bay::e1000e()] {
        let device = bay.device();
        let start = Instant::now();
        for _ in 0..ROUNDS {
            bay.surprise_remove();
            bay.plug();
            assert_eq!(device.driver(), None);
            assert_eq!(device.siblings(), [device.to_string()]);
        }
        println!("{device}: {:.1?} for a round", start.elapsed() / ROUNDS);
    }
}

#[test]
fn a_device_that_vfio_has_can_be_pulled_and_bound_again() {
    for bay in [Bay::of(pci::nvme()), Bay::of(pci::e1000e())] {
        for _ in 0..2 {
            let bound = pci::bind(bay.device(), "vfio-pci");
            bay.surprise_remove();
            drop(bound);
            bay.plug();
        }
    }
}

#[test]
fn a_slot_that_is_switched_off_gives_its_device_up_and_takes_it_again() {
    for bay in [Bay::nvme(), Bay::e1000e()] {
        let bound = pci::bind(bay.device(), "vfio-pci");
        bay.unplug();
        drop(bound);
        bay.plug();
    }
}

#[test]
fn a_slot_whose_button_is_pressed_gives_its_device_up_and_takes_it_again() {
    let bay = Bay::e1000e();
    bay.press_button();
    bay.plug();
}
