//! Devices that are pulled and plugged while the guest runs: the nvme and the e1000e, in a [`Bay`] each.
//!
//! To *pull* is surprise removal: the device is gone at once, and the kernel finds that out after it. QEMU has no
//! hand to pull with, but a way to eject a device by the root port's register ([`crate::slot`]), which is used behind
//! the back of the kernel's `pciehp`. To *unplug* is orderly: the kernel takes the driver from the device first. To
//! *plug* is asked of QEMU ([`crate::monitor`]).
//!
//! A round takes a quarter of a second: 0.1 s for the kernel to forget the device, 0.1 s that it waits after the link
//! is up (`pcie_wait_for_link`), and what it takes to set the device up.

use std::fs;
use std::path::{Path, PathBuf};

use crate::monitor::ask;
use crate::pci::Function;
use crate::slot::{Indicator, Slot};
use crate::{task, wait};

/// What QEMU says while it still lets go of the device that was there.
const NOT_YET: [&str; 4] = ["Duplicate", "conflict", "occupied", "in use"];

/// A root port and what is plugged into it.
#[derive(Debug, Clone, Copy)]
pub struct Bay {
    port: Function,
    id: &'static str,
}

impl Bay {
    /// The bay of the nvme.
    pub fn nvme() -> Self {
        Self { port: Function::at(0, 8), id: "nvme" }
    }

    /// The bay of the e1000e.
    pub fn e1000e() -> Self {
        Self { port: Function::at(0, 9), id: "e1000e" }
    }

    /// The bay that the device is in.
    ///
    /// # Panics
    ///
    /// If it is in none.
    pub fn of(device: Function) -> Self {
        let bay = [Self::nvme(), Self::e1000e()].into_iter().find(|bay| bay.device() == device);
        bay.unwrap_or_else(|| panic!("{device} is in no bay"))
    }

    /// What is in it, or was.
    pub fn device(self) -> Function {
        self.port.behind()
    }

    /// Pulls the device and returns at once: the kernel has yet to find out, and may wait for who has it open.
    ///
    /// # Panics
    ///
    /// If the port's configuration space cannot be written.
    pub fn pull(self) {
        Slot::of(self.port).eject();
    }

    /// Waits until the kernel has forgotten the device.
    ///
    /// # Panics
    ///
    /// When the deadline passes.
    pub fn await_gone(self) {
        let device = self.device();
        wait::until(&format!("{device} to be gone"), || !device.exists());
        Slot::of(self.port).await_rest();
    }

    /// Pulls the device and waits until the kernel has forgotten it.
    ///
    /// # Panics
    ///
    /// When the deadline passes.
    pub fn surprise_remove(self) {
        self.pull();
        self.await_gone();
    }

    /// Has the kernel give the device up, and takes it out then. That waits for who has it open.
    ///
    /// # Panics
    ///
    /// When the deadline passes.
    pub fn unplug(self) {
        let power = self.slot().join("power");
        let off = task::spawn(move || fs::write(power, "0"));
        off.finish("the slot to be switched off").expect("the slot can be switched off");
        self.take_out();
    }

    /// Presses the slot's button, as who is about to take the device out does, and takes it out when the kernel has
    /// given it up. That takes five seconds, in which one could press again.
    ///
    /// # Panics
    ///
    /// When the deadline passes.
    pub fn press_button(self) {
        assert_eq!(ask(&format!("unplug {}", self.id)), "ok");
        self.take_out();
    }

    /// Takes the device out that the kernel has given up.
    fn take_out(self) {
        self.await_gone();
        let slot = Slot::of(self.port);
        wait::until("the slot's indicator to be off", || slot.shows(Indicator::Off));
        let before = slot.rests();
        slot.eject();
        slot.await_rest_since(before);
    }

    /// Plugs the device in and waits until the kernel has set it up. It has no driver then, unless a module was
    /// loaded that drives it.
    ///
    /// # Panics
    ///
    /// When the deadline passes, and if QEMU refuses.
    pub fn plug(self) {
        // What was there is gone, and the kernel is done with that.
        self.await_gone();
        wait::until(&format!("QEMU to plug {}", self.id), || {
            let answer = ask(&format!("plug {}", self.id));
            let later = NOT_YET.iter().any(|words| answer.contains(words));
            assert!(answer == "ok" || later, "plug {}: {answer}", self.id);
            !later
        });
        let (slot, device) = (Slot::of(self.port), self.device());
        wait::until(&format!("{device} to be set up"), || {
            device.exists() && slot.shows(Indicator::On)
        });
        slot.await_rest();
    }

    /// The slot's directory in sysfs.
    fn slot(self) -> PathBuf {
        let device = self.device().to_string();
        let slots = fs::read_dir("/sys/bus/pci/slots").expect("there are slots").flatten();
        let mut slots = slots.map(|slot| slot.path());
        let found = slots.find(|slot| is_of(slot, &device));
        found.unwrap_or_else(|| panic!("no slot of {device}"))
    }
}

/// Whether it is the slot of the device. Its address has no function.
fn is_of(slot: &Path, device: &str) -> bool {
    let address = fs::read_to_string(slot.join("address")).unwrap_or_default();
    device.split('.').next() == Some(address.trim_end())
}
