//! The kernel module `uio_dummy` of the bench, by its attributes.

use std::fs;
use std::path::PathBuf;

use uio_core::device::{Device, DeviceSpec, sim::Models};
use uio_core::io::Io;
use uio_core::irq::Dispatcher;

use crate::{wait, world};

/// Its driver in the kernel.
const DRIVER: &str = "/sys/bus/platform/drivers/uio_dummy";

/// Its device there.
const DEVICE: &str = "uio_dummy";

/// Where CTRL is.
const CTRL: usize = 0x40;

/// The module's device.
#[derive(Debug)]
pub struct Module(());

impl Module {
    /// The one of this guest.
    ///
    /// # Panics
    ///
    /// Outside of the bench.
    pub fn of_the_bench() -> Self {
        world::require_bench();
        Self(())
    }

    fn attribute(name: &str) -> PathBuf {
        PathBuf::from(DRIVER).join(DEVICE).join(name)
    }

    /// Raises `events` interrupts back to back.
    ///
    /// # Panics
    ///
    /// If it cannot.
    pub fn storm(&self, events: u32) {
        fs::write(Self::attribute("storm"), events.to_string()).expect("the module storms");
    }

    /// Interrupts raised since it was bound.
    ///
    /// # Panics
    ///
    /// If it does not say.
    pub fn raised(&self) -> u64 {
        let text = fs::read_to_string(Self::attribute("raised")).expect("the module counts");
        text.trim().parse().expect("a number")
    }

    /// Takes the driver from its device.
    ///
    /// # Panics
    ///
    /// If the kernel refuses.
    pub fn unbind(&self) {
        fs::write(format!("{DRIVER}/unbind"), DEVICE).expect("it was bound");
    }

    /// Gives it back, and waits for its node.
    ///
    /// # Panics
    ///
    /// If the kernel refuses.
    pub fn bind(&self) {
        fs::write(format!("{DRIVER}/bind"), DEVICE).expect("it was unbound");
        wait::until("the UIO node", || self.uio_node().is_some_and(|node| node.exists()));
    }

    /// Its `/dev/uioN`.
    pub fn uio_node(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(Self::attribute("uio")).ok()?.flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.map(|name| PathBuf::from("/dev").join(name)).next()
    }

    /// What CTRL reads: 0 is quiet. No daemon may run on it, for this opens the device.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    pub fn ctrl(&self) -> u32 {
        let spec: DeviceSpec = world::device().parse().expect("a device");
        let dispatcher = Dispatcher::start("irq/story").expect("a thread");
        let device = Device::open(&spec, &dispatcher, &Models::new()).expect("nobody has it");
        device.region(0, CTRL + 4).expect("it has registers").read32(CTRL)
    }
}
