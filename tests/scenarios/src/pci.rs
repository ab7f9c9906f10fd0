//! The PCI functions of the bench, at the addresses that `xtask/src/vm/pc.rs` gives them.
//!
//! | function | address | what it has |
//! | --- | --- | --- |
//! | [`edu`] 0 and 1 | `00:03.0`, `00:04.0` | a BAR of memory, INTx, MSI, DMA; no driver in the kernel |
//! | [`serial`] 0 and 1 | `00:05.0`, `00:06.0` | a BAR of I/O ports, INTx; the kernel's driver has it; [`serial_end`] |
//! | [`nvme`], [`e1000e`] | behind `00:08.0`, `00:09.0` | MSI-X, DMA; can be pulled, see [`crate::hotplug`] |
//! | [`shared_edu`] 0 and 1 | on the bridge `00:0a.0` | one IOMMU group; in the machine `group` alone |
//!
//! The first four have an interrupt line each. [`bind`] is for stories that are not about `uioctl bind`.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::poll::PollFlags;
use uio_core::pci::Address;

use crate::{fd, task, wait, world};

/// Where sysfs has the bus.
const BUS: &str = "/sys/bus/pci";

/// A PCI function. It may be gone: it is an address and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function(Address);

/// One of the two edu functions.
///
/// # Panics
///
/// If it is not there, as all of these.
pub fn edu(number: u8) -> Function {
    Function::at(0, 3 + pick(number)).expect_id("0x1234", "0x11e8")
}

/// One of the two serial ports.
pub fn serial(number: u8) -> Function {
    Function::at(0, 5 + pick(number)).expect_id("0x1b36", "0x0002")
}

/// The nvme, as it is plugged in when the guest starts.
pub fn nvme() -> Function {
    Function::at(0, 8).behind().expect_id("0x1b36", "0x0010")
}

/// The e1000e.
pub fn e1000e() -> Function {
    Function::at(0, 9).behind().expect_id("0x8086", "0x10d3")
}

/// One of the two edu functions of the machine `group` that share an IOMMU group.
pub fn shared_edu(number: u8) -> Function {
    let bus = Function::at(0, 0x0a).secondary_bus();
    Function::at(bus, 1 + pick(number)).expect_id("0x1234", "0x11e8")
}

fn pick(number: u8) -> u8 {
    assert!(number < 2, "there are two, 0 and 1");
    number
}

impl Function {
    /// Function 0 of a device.
    ///
    /// # Panics
    ///
    /// Outside of the bench.
    pub fn at(bus: u8, device: u8) -> Self {
        world::require_bench();
        Self(Address { domain: 0, bus, device, function: 0 })
    }

    fn expect_id(self, vendor: &str, device: &str) -> Self {
        let found = (self.attribute("vendor"), self.attribute("device"));
        assert_eq!(found, (vendor.to_owned(), device.to_owned()), "{self}");
        self
    }

    /// The one device behind a port.
    pub(crate) fn behind(self) -> Self {
        Self::at(self.secondary_bus(), 0)
    }

    fn secondary_bus(self) -> u8 {
        self.attribute("secondary_bus_number").parse().expect("a bus")
    }

    /// Where it is.
    pub fn address(self) -> Address {
        self.0
    }

    /// As `uiod run` takes it.
    pub fn spec(self) -> String {
        format!("pci:{self}")
    }

    /// Its directory in sysfs.
    pub fn dir(self) -> PathBuf {
        Path::new(BUS).join("devices").join(self.to_string())
    }

    /// Whether the kernel knows it.
    pub fn exists(self) -> bool {
        self.dir().exists()
    }

    /// An attribute, without the end of the line.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    pub fn attribute(self, name: &str) -> String {
        let path = self.dir().join(name);
        let text = fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        text.trim_end().to_owned()
    }

    /// The driver it is bound to.
    pub fn driver(self) -> Option<String> {
        self.target("driver")
    }

    /// The number of its IOMMU group.
    pub fn group(self) -> Option<String> {
        self.target("iommu_group")
    }

    /// The functions of its IOMMU group, itself among them.
    ///
    /// # Panics
    ///
    /// If it has no group.
    pub fn siblings(self) -> Vec<String> {
        let entries = fs::read_dir(self.dir().join("iommu_group/devices")).expect("a group");
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The name of what a link leads to.
    fn target(self, link: &str) -> Option<String> {
        let target = fs::read_link(self.dir().join(link)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    fn set_override(self, driver: &str) -> io::Result<()> {
        fs::write(self.dir().join("driver_override"), format!("{driver}\n"))
    }

    /// Has the kernel look for a driver. It does nothing while the kernel still sets the function up.
    fn probe(self) -> io::Result<()> {
        fs::write(Path::new(BUS).join("drivers_probe"), self.to_string())
    }

    /// Takes its driver from it. The kernel waits for the driver, and VFIO for whoever has the device open.
    fn unbind(self) {
        let Some(driver) = self.driver() else { return };
        let unbind = Path::new(BUS).join("drivers").join(driver).join("unbind");
        // The device may go away by itself meanwhile.
        let unbinding = task::spawn(move || drop(fs::write(unbind, self.to_string())));
        unbinding.finish("the driver to let go of the device: does somebody still have it open?");
    }
}

impl fmt::Display for Function {
    /// As sysfs names its directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A function that a story has bound to a driver. On drop it gets back what it had: the driver, or none.
///
/// It goes before the daemon in the story's text, and so is dropped after it.
#[derive(Debug)]
pub struct Bound {
    function: Function,
    had_driver: bool,
}

/// Binds the function to a driver, whichever it had.
///
/// # Panics
///
/// If the kernel refuses.
pub fn bind(function: Function, driver: &str) -> Bound {
    let bound = Bound { function, had_driver: function.driver().is_some() };
    function.unbind();
    function.set_override(driver).expect("its driver can be chosen");
    wait::until(&format!("{function} to be bound to {driver}"), || {
        function.probe().expect("the bus looks for a driver");
        function.driver().as_deref() == Some(driver)
    });
    bound
}

/// Leaves the function as it is, for a story that has it bound by others.
pub fn as_it_is(function: Function) -> Bound {
    Bound { function, had_driver: function.driver().is_some() }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let function = self.function;
        function.unbind();
        // A function that has been pulled has nothing to get back.
        let freed = function.set_override("");
        if freed.is_ok() && self.had_driver {
            let _ = function.probe();
        }
    }
}

/// The other end of a serial port: what is written here, the port receives, and the other way round.
pub fn serial_end(number: u8) -> PathBuf {
    PathBuf::from(format!("/dev/virtio-ports/serial{}-end", pick(number)))
}

/// The node of a serial port while the kernel drives it.
///
/// # Panics
///
/// If it does not.
pub fn tty(number: u8) -> PathBuf {
    let port = serial(number).to_string();
    let ttys = fs::read_dir("/sys/class/tty").expect("there are terminals").flatten();
    // Which directories are between the two depends on the kernel's version.
    let of_port = |path: &PathBuf| path.iter().any(|part| part == port.as_str());
    let mut paths = ttys.filter_map(|tty| fs::canonicalize(tty.path()).ok());
    let found = paths.find(of_port).unwrap_or_else(|| panic!("{port} has no tty"));
    Path::new("/dev").join(found.file_name().unwrap_or_default())
}

/// Opens a serial port's other end, for both directions, without what an earlier story may have left on the line. One at a time can have it.
///
/// # Panics
///
/// If somebody has it.
pub fn open_serial_end(number: u8) -> File {
    let file = fd::both(&serial_end(number));
    while fd::ready(&file, PollFlags::POLLIN).contains(PollFlags::POLLIN) {
        fd::read(&file, 4096).expect("a read");
    }
    file
}
